//! Section `[external_issuer]`: who the issuer is, and who we are to it.

use std::time::Duration;

use platform::PlatformSettings;
use reqwest::Url;
use serde::Deserialize;
use tusk_config::{Secret, ValidationError};

/// The environment in which what is secret goes unencrypted.
const DEVELOPMENT: &str = "development";
/// What has to be asked for: that somebody is told of, and the address.
const SCOPES_NEEDED: [&str; 2] = ["openid", "email"];

/// Section `[external_issuer]`.
#[derive(Debug, Clone, Deserialize)]
pub struct ExternalIssuerSettings {
    /// How the issuer names itself (`iss`); empty: nobody signs in by one.
    pub url: String,
    /// Who this service is to the issuer.
    pub client_id: String,
    /// What this service proves that with; empty for a public client.
    pub client_secret: Secret<String>,
    /// The page to which the issuer sends the browser back, exactly as the issuer knows it.
    pub redirect_uri: String,
    /// What the issuer is asked to say: `openid`, `email`, and more.
    pub scopes: Vec<String>,
    /// How long all calls to the issuer may take that one request needs.
    pub timeout: Duration,
}

impl ExternalIssuerSettings {
    /// Whether anybody signs in by an issuer.
    pub(super) fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// Whether all that the issuer is asked is encrypted: outside of development it is.
    pub(super) fn is_encrypted(&self) -> bool {
        self.url.starts_with("https:")
    }

    pub(crate) fn check(&self, platform: &PlatformSettings) -> Vec<ValidationError> {
        let at = |key: &str| format!("external_issuer.{key}");
        if !self.is_on() {
            let is_meant = !self.client_id.is_empty() || !self.redirect_uri.is_empty();
            let text = "is empty, though there is a client id or a redirect URI";
            return ValidationError::unless(!is_meant, at("url"), text).into_iter().collect();
        }
        let https = platform.telemetry.tracing.environment != DEVELOPMENT;
        let url =
            url_fault(&self.url, https, false).map(|fault| ValidationError::at(at("url"), fault));
        let redirect = url_fault(&self.redirect_uri, https, true);
        let redirect = redirect.map(|fault| ValidationError::at(at("redirect_uri"), fault));
        let client =
            ValidationError::unless(!self.client_id.is_empty(), at("client_id"), "is empty");
        let has = |needed: &str| self.scopes.iter().any(|scope| scope == needed);
        let is_plain = |scope: &String| {
            let is_sign = |byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
            !scope.is_empty() && scope.bytes().all(is_sign)
        };
        let fits = SCOPES_NEEDED.into_iter().all(has) && self.scopes.iter().all(is_plain);
        let text = "openid and email are needed, and no scope has a space in it";
        let scopes = ValidationError::unless(fits, at("scopes"), text);
        let bounds = Duration::from_millis(100)
            ..=platform.server.request_timeout.max(Duration::from_millis(100));
        let timeout = ValidationError::outside(at("timeout"), self.timeout, bounds);
        [url, redirect, client, scopes, timeout].into_iter().flatten().collect()
    }
}

/// What is wrong with an address.
fn url_fault(text: &str, https: bool, may_have_query: bool) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else { return Some("is no URL") };
    let is_web = url.scheme() == "https" || (url.scheme() == "http" && !https);
    if !is_web || !url.has_host() {
        return Some("needs to be an https address; http is for development alone");
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.fragment().is_some() || (url.query().is_some() && !may_have_query) {
        return Some("has a part that it must not have: a user, a query or a fragment");
    }
    None
}
