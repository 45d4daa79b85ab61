//! The settings of `[auth]` in `auth.tsk`.

use std::time::Duration;

use serde::Deserialize;
use tusk_config::Secret;

/// Section `[auth]`.
#[derive(Debug, Clone, Deserialize)]
pub struct AuthSettings {
    /// The key that all services share.
    pub jwt_secret: JwtSecret,
    /// How long a user's access token is valid.
    pub jwt_expiration: Duration,
    /// How long a service's token is valid.
    pub service_token_expiration: Duration,
}

/// The HS256 key: 32 bytes at least, as RFC 7518 §3.2 asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct JwtSecret(Secret<String>);

/// Shortest key, in bytes: the size of the hash.
const KEY_BYTES_MIN: usize = 32;

impl JwtSecret {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

impl TryFrom<String> for JwtSecret {
    type Error = String;

    fn try_from(secret: String) -> Result<Self, String> {
        let length = secret.len();
        if length < KEY_BYTES_MIN {
            return Err(format!(
                "a key of {KEY_BYTES_MIN} bytes or more is needed, this has {length}"
            ));
        }
        Ok(Self(Secret::from(secret)))
    }
}
