//! The gateway in Stripe's wire format.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Request, RequestBuilder, Response, Url};
use resilience::bulkhead::Bulkhead;
use telemetry::client_span;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use uuid::Uuid;

use super::wire::{self, Reply};
use super::{
    Answer, ChargeOutcome, ChargeRequest, GatewayError, GatewaySettings, GatewaySettingsError,
    PaymentGateway, RetiredKey, amount,
};
use crate::domain::Money;

/// The version whose objects `wire` reads. Without it an account's own default would apply.
const STRIPE_VERSION: &str = "2025-12-15.clover";
/// Calls at once; more wait, as long as a call may take.
const CALLS_MAX: usize = 16;
/// Calls that wait for a place; more are told to come later.
const CALLS_WAITING_MAX: usize = 1_024;
/// Connections kept open between calls.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// Far above any object we ask for; a search gives at most [`SEARCH_LIMIT`] of them.
const REPLY_BYTES_MAX: usize = 512 * 1024;
/// Payments asked for in one search: one is expected.
const SEARCH_LIMIT: &str = "10";
/// For the connection, out of the time of a call.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// When this gateway's own calls are what is in the way.
const BUSY_DELAY: Duration = Duration::from_secs(1);

/// [`PaymentGateway`] over HTTP. Connections are pooled; the key goes into a header marked as
/// sensitive and is nowhere shown.
pub struct StripeGateway {
    client: Client,
    payment_intents: Url,
    search: Url,
    timeout: Duration,
    base_url: Url,
    calls: Bulkhead,
}

impl std::fmt::Debug for StripeGateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StripeGateway").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl StripeGateway {
    /// A gateway with a connection pool of its own. Opens no connection yet.
    pub fn new(settings: &GatewaySettings) -> Result<Self, GatewaySettingsError> {
        let timeout = settings.call_limit()?;
        let headers = [
            (AUTHORIZATION, settings.authorization()?),
            (HeaderName::from_static("stripe-version"), HeaderValue::from_static(STRIPE_VERSION)),
        ];
        let client = Client::builder()
            .default_headers(headers.into_iter().collect())
            .timeout(timeout)
            .connect_timeout(timeout.min(CONNECT_LIMIT))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            // A redirect would repeat the call, and the key, to somebody else.
            .redirect(Policy::none())
            // Whether to repeat a charge is decided where its row is, not by an HTTP client.
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            payment_intents: settings.url("/v1/payment_intents")?,
            search: settings.url("/v1/payment_intents/search")?,
            timeout,
            base_url: settings.url("")?,
            calls: Bulkhead::with_queue(CALLS_MAX, CALLS_WAITING_MAX),
        })
    }

    /// Where the provider is, for those who operate this service.
    pub fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// The calls that may be in flight at once.
    pub fn calls(&self) -> &Bulkhead {
        &self.calls
    }

    async fn charge_once(&self, request: &ChargeRequest) -> Result<ChargeOutcome, GatewayError> {
        let call = self
            .client
            .post(self.payment_intents.clone())
            .header("idempotency-key", idempotency_key(request.payment_id))
            .form(&parameters(request));
        let reply = self.send(call).await?;
        // An answer that is given again will never change. Where it does not settle the payment,
        // the payment itself does.
        if reply.is_replayed && !reply.settles() {
            let found = self.look_up(request).await?;
            return found
                .ok_or(GatewayError::Unknown { reason: "the provider failed in the middle" });
        }
        reply.into_outcome(request.money)
    }

    /// Searches for the payment, and asks for each that is found by its name: what a search shows
    /// of it may be older than what became of it.
    async fn look_up(
        &self,
        request: &ChargeRequest,
    ) -> Result<Option<ChargeOutcome>, GatewayError> {
        let mut url = self.search.clone();
        url.query_pairs_mut()
            .append_pair("query", &format!("metadata['payment_id']:'{}'", request.payment_id))
            .append_pair("limit", SEARCH_LIMIT);
        let mut found = Vec::new();
        for id in self.send(self.client.get(url)).await?.into_found_ids()? {
            found.push(self.retrieve(&id, request.money).await);
        }
        wire::decide(found)
    }

    async fn retrieve(&self, id: &str, money: Money) -> Result<ChargeOutcome, GatewayError> {
        let mut url = self.payment_intents.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(id);
        }
        self.send(self.client.get(url)).await?.into_outcome(money)
    }

    async fn retire(&self, request: &ChargeRequest) -> Result<RetiredKey, GatewayError> {
        let call = self
            .client
            .post(self.payment_intents.clone())
            .header("idempotency-key", idempotency_key(request.payment_id))
            .form(&retiring_parameters(request));
        self.send(call).await?.into_retired_key()
    }

    /// Sends a call and reads its answer, within the time-out and a bounded number of calls.
    async fn send(&self, call: RequestBuilder) -> Result<Reply, GatewayError> {
        let started = Instant::now();
        let busy = GatewayError::Retryable { retry_after: BUSY_DELAY };
        let permit = tokio::time::timeout(self.timeout, self.calls.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(busy);
        };
        let left = self.timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(busy);
        }
        let request = call.timeout(left).build().map_err(|error| unknown(&error))?;
        let span = span(&request);
        let reply = exchange(&self.client, request).instrument(span.clone()).await;
        let failed = reply.as_ref().map_or(true, |reply| reply.status >= 400);
        if failed {
            span.record("otel.status_code", "ERROR");
        }
        reply
    }
}

fn span(request: &Request) -> Span {
    let url = request.url();
    client_span(request.method(), url.as_str(), url.host_str(), url.port_or_known_default())
}

async fn exchange(client: &Client, request: Request) -> Result<Reply, GatewayError> {
    let span = Span::current();
    let response = client.execute(request).await.map_err(|error| {
        span.record("error.type", reason(&error));
        unknown(&error)
    })?;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_client_error() || status.is_server_error() {
        span.record("error.type", status.as_str());
    }
    Ok(Reply {
        status: status.as_u16(),
        is_replayed: response
            .headers()
            .get("idempotent-replayed")
            .is_some_and(|value| value == "true"),
        retry_after: seconds(response.headers().get(RETRY_AFTER)),
        body: body(response).await?,
    })
}

impl PaymentGateway for StripeGateway {
    fn charge(&self, request: ChargeRequest) -> Answer<'_, ChargeOutcome> {
        let span = info_span!(
            "payment_gateway.charge",
            payment.id = %request.payment_id,
            payment.outcome = Empty,
        );
        Box::pin(
            async move {
                let result = self.charge_once(&request).await;
                record(&result);
                result
            }
            .instrument(span),
        )
    }

    fn find(&self, request: ChargeRequest) -> Answer<'_, Option<ChargeOutcome>> {
        let span = info_span!("payment_gateway.find", payment.id = %request.payment_id);
        Box::pin(async move { self.look_up(&request).await }.instrument(span))
    }

    fn retire_key(&self, request: ChargeRequest) -> Answer<'_, RetiredKey> {
        let span = info_span!("payment_gateway.retire_key", payment.id = %request.payment_id);
        Box::pin(async move { self.retire(&request).await }.instrument(span))
    }
}

/// Leaves how a charge ended on its span and, where somebody has to look, in the log.
fn record(result: &Result<ChargeOutcome, GatewayError>) {
    let outcome = match result {
        Ok(ChargeOutcome::Succeeded { .. }) => "succeeded",
        Ok(ChargeOutcome::Declined { .. }) => "declined",
        Err(GatewayError::Unknown { reason }) => {
            tracing::warn!(gateway.reason = *reason, "the outcome of a charge is unknown");
            "unknown"
        }
        Err(GatewayError::Retryable { .. }) => "retryable",
        Err(GatewayError::KeyReused) => {
            tracing::error!("the payment provider knows the key of a charge from another call");
            "unknown"
        }
        Err(GatewayError::Rejected { code, .. }) => {
            tracing::error!(gateway.code = code.as_str(), "the payment provider refused a charge");
            "rejected"
        }
    };
    Span::current().record("payment.outcome", outcome);
}

/// The provider's key for a payment: the same in every attempt, on every replica, after every
/// crash.
fn idempotency_key(payment_id: Uuid) -> String {
    format!("payment-{payment_id}")
}

/// Charges now, without the payer being there to confirm anything or to be sent to another page.
fn parameters(request: &ChargeRequest) -> Vec<(&'static str, String)> {
    let mut parameters = vec![
        ("amount", amount::to_wire(request.money).to_string()),
        ("currency", request.money.currency().as_str().to_ascii_lowercase()),
        ("payment_method", request.payment_method.clone()),
        ("confirm", "true".to_owned()),
        ("capture_method", "automatic".to_owned()),
        ("error_on_requires_action", "true".to_owned()),
        ("automatic_payment_methods[enabled]", "true".to_owned()),
        ("automatic_payment_methods[allow_redirects]", "never".to_owned()),
        ("metadata[payment_id]", request.payment_id.to_string()),
    ];
    if let Some(customer) = &request.customer {
        parameters.push(("customer", customer.clone()));
    }
    parameters
}

/// Makes a payment intent that nobody confirms: it charges nothing and has no payment method with
/// which it ever could. Its metadata names the payment for whoever looks, under another name than
/// the one that is searched for.
fn retiring_parameters(request: &ChargeRequest) -> Vec<(&'static str, String)> {
    vec![
        ("amount", amount::to_wire(request.money).to_string()),
        ("currency", request.money.currency().as_str().to_ascii_lowercase()),
        ("automatic_payment_methods[enabled]", "true".to_owned()),
        ("metadata[retires_key_of]", request.payment_id.to_string()),
    ]
}

/// The answer's body, as far as it is of a size that makes sense.
async fn body(mut response: Response) -> Result<Vec<u8>, GatewayError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unknown(&error))? {
        if body.len() + chunk.len() > REPLY_BYTES_MAX {
            return Err(GatewayError::Unknown { reason: "an answer that is too long" });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Every fault of the wire: even a call that seems not to have been sent may have been.
fn unknown(error: &reqwest::Error) -> GatewayError {
    GatewayError::Unknown { reason: reason(error) }
}

fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "not reached"
    } else {
        "connection lost"
    }
}

/// `Retry-After` in seconds; its other form, a date, is not what the provider uses.
fn seconds(header: Option<&HeaderValue>) -> Duration {
    let seconds = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(wire::RETRY_AFTER_DEFAULT, Duration::from_secs).min(wire::RETRY_AFTER_MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::Currency;

    #[test]
    fn the_key_is_nowhere_to_be_seen() {
        let settings = GatewaySettings {
            base_url: "http://stripe".to_owned(),
            api_key: "sk_test_canary".into(),
            timeout: Duration::from_secs(1),
        };
        let gateway = StripeGateway::new(&settings).unwrap();
        let client = format!("{:?}", gateway.client);
        assert!(!format!("{gateway:?}{client}").contains("canary"));
    }

    #[test]
    fn every_attempt_has_the_same_key_and_the_same_parameters() {
        let request = ChargeRequest {
            payment_id: Uuid::from_u128(7),
            money: Money::new(1999, Currency::parse("EUR").unwrap()).unwrap(),
            payment_method: "pm_card_visa".to_owned(),
            customer: Some("cus_7".to_owned()),
        };
        let key = "payment-00000000-0000-0000-0000-000000000007";
        assert_eq!(idempotency_key(request.payment_id), key);
        assert_eq!(parameters(&request), parameters(&request.clone()));
        assert!(parameters(&request).contains(&("customer", "cus_7".to_owned())));
        assert!(parameters(&request).contains(&("currency", "eur".to_owned())));
    }

    #[test]
    fn a_delay_has_a_default_and_a_limit() {
        let header = |text: &'static str| seconds(Some(&HeaderValue::from_static(text)));
        assert_eq!(header("7"), Duration::from_secs(7));
        assert_eq!(header("99999"), wire::RETRY_AFTER_MAX);
        assert_eq!(header("Wed, 21 Oct 2026 07:28:00 GMT"), wire::RETRY_AFTER_DEFAULT);
        assert_eq!(seconds(None), wire::RETRY_AFTER_DEFAULT);
    }
}
