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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    #![allow(clippy::disallowed_methods, reason = "tests start what they call")]

    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::{Request, State};
    use axum::http::StatusCode;
    use discovery::Instance;

    use super::*;

    /// What an issuer answers, and what it was asked.
    #[derive(Clone)]
    struct Issuer {
        answer: (StatusCode, String),
        asked: Arc<Mutex<Vec<String>>>,
    }

    async fn handle(State(issuer): State<Issuer>, request: Request) -> (StatusCode, String) {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1024).await.unwrap();
        let header = |name: &str| parts.headers[name].to_str().unwrap().to_owned();
        let words = [
            format!("{} {}", parts.method, parts.uri),
            header("authorization"),
            header("content-type"),
            String::from_utf8(body.to_vec()).unwrap(),
        ];
        issuer.asked.lock().unwrap().extend(words);
        issuer.answer
    }

    async fn issuer(status: StatusCode, body: impl Into<String>) -> (Issuer, Instance) {
        let issuer = Issuer { answer: (status, body.into()), asked: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(handle).with_state(issuer.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        (issuer, Instance::new("user-service", "127.0.0.1", port))
    }

    fn credentials(instances: impl IntoIterator<Item = Instance>) -> ClientCredentials {
        let registry = Registry::empty();
        for instance in instances {
            registry.register(instance);
        }
        let secret = "a secret: 16 bytes&more".to_owned().try_into().unwrap();
        let clock = Clock::system();
        ClientCredentials::new("payment-service", secret, "user-service", registry, clock).unwrap()
    }

    const GRANTED: &str = r#"{"access_token":"a.b.c","token_type":"Bearer","expires_in":60}"#;

    #[tokio::test]
    async fn the_secret_goes_in_basic_form_encoded_and_the_target_in_a_form() {
        let (issuer, instance) = issuer(StatusCode::OK, GRANTED).await;
        let token = credentials([instance]).issue("notification-service").await.unwrap();
        assert_eq!((token.value.expose().as_str(), token.lifetime.as_secs()), ("a.b.c", 60));
        let asked = issuer.asked.lock().unwrap().clone();
        assert_eq!(
            asked,
            [
                "POST /oauth/token",
                // payment-service:a+secret%3A+16+bytes%26more
                "Basic cGF5bWVudC1zZXJ2aWNlOmErc2VjcmV0JTNBKzE2K2J5dGVzJTI2bW9yZQ==",
                "application/x-www-form-urlencoded",
                "grant_type=client_credentials&scope=notification-service",
            ]
        );
    }

    #[tokio::test]
    async fn an_instance_that_fails_is_followed_by_the_next() {
        let (_, bad) = issuer(StatusCode::INTERNAL_SERVER_ERROR, "").await;
        let (_, good) = issuer(StatusCode::OK, GRANTED).await;
        assert!(credentials([bad, good]).issue("user-service").await.is_ok());
    }

    #[tokio::test]
    async fn every_other_answer_is_an_error_that_shows_no_secret() {
        let unbounded = format!("{{\"access_token\":\"x\",\"expires_in\":{}}}", u64::MAX);
        for (status, body, reason) in [
            (401, GRANTED.to_owned(), "user-service answered with status 401 Unauthorized"),
            (200, "{}".to_owned(), "the answer has another shape"),
            (200, unbounded, "the token would be valid for ever"),
            (200, "x".repeat(20_000), "the answer is too large"),
        ] {
            let (_, instance) = issuer(StatusCode::from_u16(status).unwrap(), body).await;
            let error = credentials([instance]).issue("user-service").await.unwrap_err();
            assert_eq!(error.reason, reason);
        }
        let error = credentials([]).issue("user-service").await.unwrap_err();
        assert_eq!(error.reason, "no instance is known");
        assert!(!format!("{:?}", credentials([])).contains("bytes&more"));
    }
}
