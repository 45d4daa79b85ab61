//! Where the payment provider is, and what must be right about it before the first call.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tusk_config::{Secret, ValidationError};

/// `[gateway]` of payment-service.tsk.
#[derive(Debug, Clone, Deserialize)]
pub struct GatewaySettings {
    /// Where the provider's API is, without `/v1`: `https://api.stripe.com`, or a simulator's
    /// address. A live key goes over https only.
    pub base_url: String,
    /// The secret key, `sk_test_…` or `sk_live_…`.
    pub api_key: Secret<String>,
    /// For a whole call, connecting and reading included; above 0, 10 s unless set. Charging a real
    /// card takes one to three.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

/// What cannot be right about the settings. None of these shows the key.
#[derive(Debug, thiserror::Error)]
pub enum GatewaySettingsError {
    /// It is no URL of a server.
    #[error("gateway.base_url is no http address; set it to one like https://api.stripe.com")]
    BaseUrl,
    /// A live key would go over the wire in the clear.
    #[error("gateway.base_url must be https for a live key; use a test key for a simulator")]
    LiveKeyInTheClear,
    /// It cannot be sent.
    #[error("gateway.api_key is empty or has characters that no key has; set a secret key")]
    ApiKey,
    /// No time, no call.
    #[error("gateway.timeout must be above 0")]
    Timeout,
    /// The HTTP client cannot be built, for want of certificates as a rule.
    #[error("the HTTP client for the payment provider cannot be built: {0}")]
    Client(#[from] reqwest::Error),
}

/// The longest time-out: the provider itself gives up after 80 s.
const TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// The calls of one step of a worker: charge, search, ask for what was found, retire the key.
const CALLS_PER_STEP: u32 = 4;

impl GatewaySettings {
    /// What cannot work. Opens nothing.
    pub fn check(&self) -> Vec<ValidationError> {
        let url = self
            .url("/v1")
            .err()
            .map(|error| ValidationError::at("gateway.base_url", error.to_string()));
        let key = self.authorization().err();
        let key =
            key.map(|error| ValidationError::at("gateway.api_key", error.to_string()).secret());
        let bounds = Duration::from_millis(1)..=TIMEOUT_MAX;
        let timeout = ValidationError::outside("gateway.timeout", self.timeout, bounds);
        [url, key, timeout].into_iter().flatten().collect()
    }

    /// The longest that a worker's step may take at the provider.
    pub fn step_max(&self) -> Duration {
        self.timeout.saturating_mul(CALLS_PER_STEP)
    }

    /// The provider's address followed by `path`, which starts with a slash.
    pub(super) fn url(&self, path: &str) -> Result<Url, GatewaySettingsError> {
        let base = Url::parse(&self.base_url).ok().filter(|base| {
            let is_http = matches!(base.scheme(), "http" | "https") && base.has_host();
            is_http && base.query().is_none() && base.fragment().is_none()
        });
        let base = base.ok_or(GatewaySettingsError::BaseUrl)?;
        let url = format!("{}{path}", base.as_str().trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|_| GatewaySettingsError::BaseUrl)?;
        if url.scheme() == "http" && self.api_key.expose().contains("_live_") {
            return Err(GatewaySettingsError::LiveKeyInTheClear);
        }
        Ok(url)
    }

    /// The header that carries the key, marked so that no Debug output shows it.
    pub(super) fn authorization(&self) -> Result<HeaderValue, GatewaySettingsError> {
        let key = self.api_key.expose();
        let header = HeaderValue::from_str(&format!("Bearer {key}")).ok();
        let header = header.filter(|_| !key.is_empty() && !key.contains(char::is_whitespace));
        let mut header = header.ok_or(GatewaySettingsError::ApiKey)?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// For a whole call.
    pub(super) fn call_limit(&self) -> Result<Duration, GatewaySettingsError> {
        let limit = Some(self.timeout).filter(|timeout| !timeout.is_zero());
        limit.ok_or(GatewaySettingsError::Timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(base_url: &str, key: &str) -> GatewaySettings {
        GatewaySettings {
            base_url: base_url.to_owned(),
            api_key: key.to_owned().into(),
            timeout: default_timeout(),
        }
    }

    #[test]
    fn only_an_address_of_a_server_will_do() {
        for base_url in ["", "api.stripe.com", "ftp://stripe", "http://", "http://s?q", "/v1"] {
            let refused = settings(base_url, "sk_test_x").url("/v1/payment_intents");
            assert!(matches!(refused, Err(GatewaySettingsError::BaseUrl)), "{base_url}");
        }
        for base_url in ["https://api.stripe.com", "https://api.stripe.com/"] {
            let url = settings(base_url, "sk_test_x").url("/v1/payment_intents");
            assert_eq!(url.unwrap().as_str(), "https://api.stripe.com/v1/payment_intents");
        }
    }

    #[test]
    fn a_live_key_never_goes_over_the_wire_in_the_clear() {
        let url = |base_url, key| settings(base_url, key).url("/v1");
        let refused = url("http://api.stripe.com", "sk_live_x");
        assert!(matches!(refused, Err(GatewaySettingsError::LiveKeyInTheClear)));
        assert!(url("https://api.stripe.com", "sk_live_x").is_ok());
        assert!(url("http://payment-simulator:3010", "sk_test_x").is_ok());
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_refused_and_one_that_can_is_not_shown() {
        for key in ["", "sk_test x", "sk_test_x\n", "sk_test_\u{0}"] {
            let refused = settings("http://stripe", key).authorization();
            assert!(matches!(refused, Err(GatewaySettingsError::ApiKey)), "{key:?}");
        }
        let settings = settings("http://stripe", "sk_test_canary");
        let header = settings.authorization().unwrap();
        assert!(!format!("{settings:?} {header:?}").contains("canary"));
    }

    #[test]
    fn a_value_that_cannot_work_is_reported_at_its_key() {
        let reported = |settings: GatewaySettings| {
            let errors = settings.check();
            errors.iter().map(|error| error.path().to_owned()).collect::<Vec<_>>()
        };
        assert!(reported(settings("https://api.stripe.com", "sk_test_x")).is_empty());
        for base_url in ["", "api.stripe.com", "ftp://stripe", "http://", "localhost:3010"] {
            assert_eq!(
                reported(settings(base_url, "sk_test_x")),
                ["gateway.base_url"],
                "{base_url}"
            );
        }
        assert_eq!(reported(settings("http://stripe", "sk_live_x")), ["gateway.base_url"]);
        assert_eq!(reported(settings("http://stripe", "")), ["gateway.api_key"]);
        for timeout in [Duration::ZERO, Duration::from_secs(121)] {
            let settings = GatewaySettings { timeout, ..settings("http://stripe", "sk_test_x") };
            assert_eq!(reported(settings), ["gateway.timeout"], "{timeout:?}");
        }
    }

    #[test]
    fn a_call_takes_some_time() {
        let mut settings = settings("http://stripe", "sk_test_x");
        settings.timeout = Duration::ZERO;
        assert!(matches!(settings.call_limit(), Err(GatewaySettingsError::Timeout)));
    }
}
