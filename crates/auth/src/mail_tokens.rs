//! Tokens that go to people by mail, of which nothing but an id travels between the service that
//! makes them and the one that sends the mail.
//!
//! ```text
//! user-service           id ─▶ token, keeps its hash ─▶ event with the id
//! notification-service   event with the id ─▶ token ─▶ mail, and keeps neither
//! ```
//!
//! An event that held a token would leave it in the outbox, in queues, in the archive and in front of
//! whoever looks at a dead-letter queue. So both derive it: HMAC-SHA256 of the id, under a key for this
//! use alone that is made from the secret with which the sender of mails proves who it is. Both have that
//! secret already, whatever tokens are signed with; nobody else has. The id needs no secrecy.
//!
//! When that secret changes, tokens whose mails are under way at the moment are good for nothing; their
//! receivers ask for others.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::opaque::OpaqueToken;
use crate::settings::ServiceSecret;

/// Makes the tokens of ids. Cheap to clone.
#[derive(Clone)]
pub struct MailTokens(Hmac<Sha256>);

impl MailTokens {
    /// The tokens that the service with this secret sends.
    pub fn new(secret: &ServiceSecret) -> Self {
        let key = Sha256::new().chain_update("mail tokens\0").chain_update(secret.expose());
        Self(keyed(&key.finalize()))
    }

    /// The tokens that `service` sends, whose secret is one of section `[services]`.
    pub fn sent_by(service: &str, secrets: &BTreeMap<String, ServiceSecret>) -> Option<Self> {
        let named = |key: &str| crate::credentials::service(key) == service;
        secrets.iter().find(|(key, _)| named(key)).map(|(_, secret)| Self::new(secret))
    }

    /// The token of an id: always the same one.
    pub fn token(&self, id: Uuid) -> OpaqueToken {
        OpaqueToken::of(self.0.clone().chain_update(id).finalize().into_bytes().into())
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl fmt::Debug for MailTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailTokens")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> ServiceSecret {
        serde_json::from_value(text.into()).unwrap()
    }

    #[test]
    fn sender_and_maker_have_one_token_for_an_id_and_nobody_else_has() {
        let own = "notification-service-secret";
        let secrets = BTreeMap::from([
            ("payment_service_token".to_owned(), secret("payment-service-secret-1")),
            ("notification_service_token".to_owned(), secret(own)),
        ]);
        let id = Uuid::from_u128(7);
        let other = Uuid::from_u128(8);
        let maker = MailTokens::sent_by("notification-service", &secrets).unwrap();
        let sender = MailTokens::new(&secret(own));
        assert_eq!(maker.token(id).expose(), sender.token(id).expose());
        assert_eq!(sender.token(id).expose().len(), 43);
        assert_ne!(sender.token(id).expose(), sender.token(other).expose());
        let stranger = MailTokens::sent_by("payment-service", &secrets).unwrap();
        assert_ne!(sender.token(id).expose(), stranger.token(id).expose());
        assert!(MailTokens::sent_by("user-service", &secrets).is_none());
    }
}
