//! What a token says, and the tokens that said it lately.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::scope::Scopes;
use crate::tokens::{Role, TokenError};

/// Tokens that are remembered at most, a few hundred bytes each.
const TOKENS_MAX: usize = 4096;

/// The claims of both kinds; which ones there are tells the kinds apart.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sub: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<Uuid>,
    /// None where the claim is not there; a claim that is `null` is.
    #[serde(default, deserialize_with = "claimed", skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Scopes>,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<i64>,
}

fn claimed<'de, D: Deserializer<'de>>(claim: D) -> Result<Option<Scopes>, D::Error> {
    Scopes::deserialize(claim).map(Some)
}

/// Tokens whose signatures were verified with one set of keys, by their hashes: a caller sends the same one
/// with each request of an hour. Only who holds a key can put one in.
///
/// Each set of keys has its own, so that what a key has signed is gone with the key. Whether a token is in its
/// time is another question, for each request.
#[derive(Default)]
pub(crate) struct VerifiedTokens(Mutex<HashMap<[u8; 32], Arc<Claims>>>);

impl VerifiedTokens {
    /// The claims of a token, which `verify` reads where it is not known.
    pub(crate) fn claims(
        &self,
        token: &str,
        verify: impl FnOnce() -> Result<Claims, TokenError>,
    ) -> Result<Arc<Claims>, TokenError> {
        let hash = Sha256::digest(token).into();
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = known().get(&hash) {
            return Ok(claims.clone());
        }
        let claims = Arc::new(verify()?);
        let mut known = known();
        if known.len() >= TOKENS_MAX {
            known.clear();
        }
        known.insert(hash, claims.clone());
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn claims() -> Claims {
        serde_json::from_str(r#"{"iss": "us", "aud": "all", "iat": 1, "exp": 2}"#).unwrap()
    }

    #[test]
    fn a_token_is_verified_once_and_one_that_is_refused_each_time() {
        let tokens = VerifiedTokens::default();
        let times = Cell::new(0);
        let verify = |result: Result<Claims, TokenError>| {
            times.set(times.get() + 1);
            result
        };
        for _ in 0..3 {
            assert!(tokens.claims("good", || verify(Ok(claims()))).is_ok());
        }
        assert_eq!(times.get(), 1);
        for _ in 0..3 {
            let refused = tokens.claims("bad", || verify(Err(TokenError::Invalid)));
            assert_eq!(refused.err(), Some(TokenError::Invalid));
        }
        assert_eq!(times.get(), 4);
    }

    #[test]
    fn no_more_tokens_are_remembered_than_there_is_room_for() {
        let tokens = VerifiedTokens::default();
        for number in 0..3 * TOKENS_MAX {
            assert!(tokens.claims(&number.to_string(), || Ok(claims())).is_ok());
            assert!(tokens.0.lock().unwrap().len() <= TOKENS_MAX);
        }
    }
}
