//! Service tokens by client credentials (RFC 6749 §4.4), for a service that cannot sign them.

use std::time::Duration;

use auth::{IssueError, ServiceSecret, ServiceTokens, Token, TokenIssuer, Tokens};
use chassis::Clock;
use chrono::TimeDelta;
use form_urlencoded::byte_serialize;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tusk_config::Secret;

use crate::{Call, ServiceClient};

/// Where tokens are issued.
const PATH: &str = "/oauth/token";
/// Longest time to get one; a call may be waiting.
const TIMEOUT: Duration = Duration::from_secs(4);

/// A [`TokenIssuer`] that exchanges this service's own secret for tokens at another service.
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    service: &'static str,
    secret: ServiceSecret,
    issuer: ServiceClient,
    clock: Clock,
}

/// RFC 6749 §5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl ClientCredentials {
    /// For `service`, which proves itself with `secret` to the service that `issuer` calls.
    pub fn new(
        service: &'static str,
        secret: ServiceSecret,
        issuer: &ServiceClient,
        clock: Clock,
    ) -> Self {
        Self { service, secret, issuer: issuer.persistent(), clock }
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
        let secret = Secret::from(encoded(self.secret.expose()));
        let call = Call::new("issue_token").within(TIMEOUT).may_repeat();
        let call = call.basic_auth(&encoded(self.service), &secret);
        // No scope: all that the rules of the target give this service.
        let form = [("grant_type", "client_credentials"), ("audience", target)];
        let asked_at = self.clock.now();
        let granted = self.issuer.post_form::<Granted>(PATH, &form, call).await;
        let granted = granted.map_err(|error| error.to_string())?;
        let lifetime = Duration::from_secs(granted.expires_in);
        let expires_at = TimeDelta::from_std(lifetime)
            .ok()
            .and_then(|lifetime| asked_at.checked_add_signed(lifetime))
            .ok_or("the token would be valid for ever")?;
        Ok(Token { value: granted.access_token.into(), lifetime, expires_at, id: None })
    }
}

impl TokenIssuer for ClientCredentials {
    fn issue<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Token, IssueError>> {
        Box::pin(async move {
            let token = self.exchange(target).await;
            token.map_err(|reason| IssueError::new(target, reason))
        })
    }
}

/// As RFC 6749 §2.3.1 wants name and secret in HTTP Basic.
fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
