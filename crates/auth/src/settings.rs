//! The settings of `[auth]`, `[keys]` and `[services]` in `auth.tsk`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::Interval;
use serde::Deserialize;
use tusk_config::{Secret, Unread};

use crate::keys::Algorithm;

mod check;

/// Section `[auth]`.
#[derive(Debug, Clone, Deserialize)]
pub struct AuthSettings {
    /// Read by `[keys]`, where the algorithm needs it.
    #[serde(default)]
    pub jwt_secret: Unread,
    /// How long a user's access token is valid.
    pub jwt_expiration: Duration,
    /// How long a service's token is valid.
    pub service_token_expiration: Duration,
}

/// Section `[keys]`: what tokens are signed with. `jwt_secret` is required with HS256 alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "algorithm")]
pub enum KeySettings {
    /// One secret for all services.
    HS256 {
        /// The key named `0`.
        secret: JwtSecret,
        /// Where further keys are, and how they change.
        #[serde(flatten)]
        rotation: Rotation,
    },
    /// Ed25519 (RFC 8037).
    EdDSA {
        /// Not needed.
        #[serde(default)]
        secret: Unread,
        /// Where the keys are, and how they change.
        #[serde(flatten)]
        rotation: Rotation,
    },
    /// RSA of 2048 bits or more.
    RS256 {
        /// Not needed.
        #[serde(default)]
        secret: Unread,
        /// Where the keys are, and how they change.
        #[serde(flatten)]
        rotation: Rotation,
    },
}

/// How keys come and go without a restart.
#[derive(Debug, Clone, Deserialize)]
pub struct Rotation {
    /// The folder of key files; empty for none.
    pub folder: PathBuf,
    /// How often keys are read again. A token that names an unknown key has them read at once.
    pub refresh_interval: Interval,
    /// How long a key is known before it signs; longer than `refresh_interval`, so that who verifies
    /// has read the key by then.
    pub activation_delay: Duration,
    /// How long fetched keys are believed while they cannot be read again; longer than
    /// `refresh_interval`. An hour unless it is said: as long as services' tokens live, so that a key
    /// that was withdrawn ends in time and no good token is refused for it.
    #[serde(default = "max_staleness")]
    pub max_staleness: Duration,
}

const fn max_staleness() -> Duration {
    Duration::from_hours(1)
}

impl KeySettings {
    /// The algorithm of every key.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::HS256 { .. } => Algorithm::Hs256,
            Self::EdDSA { .. } => Algorithm::EdDsa,
            Self::RS256 { .. } => Algorithm::Rs256,
        }
    }

    /// How keys come and go.
    pub fn rotation(&self) -> &Rotation {
        match self {
            Self::HS256 { rotation, .. }
            | Self::EdDSA { rotation, .. }
            | Self::RS256 { rotation, .. } => rotation,
        }
    }

    /// The key of the settings themselves.
    pub(crate) fn secret(&self) -> Option<&JwtSecret> {
        match self {
            Self::HS256 { secret, .. } => Some(secret),
            Self::EdDSA { .. } | Self::RS256 { .. } => None,
        }
    }
}

impl Rotation {
    /// The folder of key files, when there is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        Some(self.folder.as_path()).filter(|folder| !folder.as_os_str().is_empty())
    }
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

/// What a service proves itself with, `<name>_service_token` of `[services]`: 16 bytes at least,
/// so that it cannot be guessed over the network.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct ServiceSecret(Secret<String>);

/// Shortest secret of a service, in bytes.
const SERVICE_SECRET_BYTES_MIN: usize = 16;

impl ServiceSecret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl TryFrom<String> for ServiceSecret {
    type Error = String;

    fn try_from(secret: String) -> Result<Self, String> {
        let length = secret.len();
        if length < SERVICE_SECRET_BYTES_MIN {
            return Err(format!(
                "a secret of {SERVICE_SECRET_BYTES_MIN} bytes or more is needed, this has {length}"
            ));
        }
        Ok(Self(Secret::from(secret)))
    }
}
