//! Service tokens by client credentials (RFC 6749 §4.4), for a service that cannot sign them.

use std::time::Duration;

use auth::{IssueError, ServiceSecret, ServiceTokens, Token, TokenIssuer, Tokens};
use chassis::Clock;
use chrono::TimeDelta;
use discovery::Registry;
use form_urlencoded::{Serializer, byte_serialize};
use futures_util::future::BoxFuture;
use http::{HeaderMap, header};
use serde::Deserialize;
use telemetry::propagation;

/// Where tokens are issued.
const PATH: &str = "/oauth/token";
/// Longest time for one attempt.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts, each at the instance that is picked then.
const ATTEMPTS_MAX: u32 = 2;
/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// A [`TokenIssuer`] that exchanges this service's own secret for tokens at another service.
///
/// The body is a form, as RFC 6749 wants it, so this does not go through [`crate::ServiceClient`].
/// It needs no breaker: [`ServiceTokens`] asks once in the life of a token, and leaves an issuer
/// that failed alone for a second.
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    service: &'static str,
    secret: ServiceSecret,
    issuer: &'static str,
    registry: Registry,
    http: reqwest::Client,
    clock: Clock,
}

/// RFC 6749 §5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl ClientCredentials {
    /// For `service`, which proves itself with `secret` to the service called `issuer`.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(
        service: &'static str,
        secret: ServiceSecret,
        issuer: &'static str,
        registry: Registry,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Self { service, secret, issuer, registry, http, clock })
    }

    /// The tokens of this service: signed by itself when it holds the key, else got with the
    /// credentials.
    pub fn service_tokens(self, tokens: &Tokens) -> ServiceTokens {
        let clock = self.clock.clone();
        if tokens.keys().algorithm().is_shared() {
            return ServiceTokens::new(tokens.clone(), clock);
        }
        ServiceTokens::new(self, clock)
    }

    async fn exchange(&self, target: &str) -> Result<Token, String> {
        let instance = self.registry.pick(self.issuer).ok_or("no instance is known")?;
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", target)
            .finish();
        let mut headers = HeaderMap::new();
        propagation::inject(&mut headers);
        let asked_at = self.clock.now();
        let answer = self
            .http
            .post(format!("{}{PATH}", instance.base_url()))
            .headers(headers)
            .basic_auth(encoded(self.service), Some(encoded(self.secret.expose())))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        if !answer.status().is_success() {
            return Err(format!("{} answered with status {}", self.issuer, answer.status()));
        }
        let granted: Granted = serde_json::from_slice(&read(answer).await?)
            .map_err(|_| "the answer has another shape".to_owned())?;
        let lifetime = Duration::from_secs(granted.expires_in);
        let expires_at = TimeDelta::from_std(lifetime)
            .ok()
            .and_then(|lifetime| asked_at.checked_add_signed(lifetime))
            .ok_or("the token would be valid for ever")?;
        Ok(Token { value: granted.access_token.into(), lifetime, expires_at })
    }
}

impl TokenIssuer for ClientCredentials {
    fn issue<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Token, IssueError>> {
        Box::pin(async move {
            let mut attempt = 1;
            loop {
                match self.exchange(target).await {
                    Ok(token) => return Ok(token),
                    Err(reason) if attempt == ATTEMPTS_MAX => {
                        return Err(IssueError::new(target, reason));
                    }
                    Err(_) => attempt += 1,
                }
            }
        })
    }
}

/// As RFC 6749 §2.3.1 wants name and secret in HTTP Basic.
fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err("the answer is too large".to_owned());
        }
        body.extend(chunk);
    }
    Ok(body)
}
