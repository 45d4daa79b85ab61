//! The keys of the service that signs tokens, read from its JWKS.

use std::time::Duration;

use auth::keys::{Algorithm, JwkSet, KeyError, Keys};
use auth::{KeyRing, KeySettings, KeySource};
use chassis::Clock;
use futures_util::future::BoxFuture;

use crate::{Call, ServiceClient};

/// Where the set is (RFC 8615 well-known).
const PATH: &str = "/.well-known/jwks.json";
/// Longest time to get it, a second instance included; a request may be waiting.
const TIMEOUT: Duration = Duration::from_secs(4);

/// A [`KeySource`]: the JWKS of the service that a client, without tokens, calls.
#[derive(Debug, Clone)]
pub struct Jwks {
    issuer: ServiceClient,
    algorithm: Algorithm,
}

impl Jwks {
    /// The keys for `algorithm` of the service that `issuer` calls.
    pub fn new(issuer: &ServiceClient, algorithm: Algorithm) -> Self {
        Self { issuer: issuer.persistent(), algorithm }
    }
}

impl KeySource for Jwks {
    fn load(&self) -> BoxFuture<'_, Result<Keys, KeyError>> {
        Box::pin(async move {
            let call = Call::new("get_keys").within(TIMEOUT);
            let set = self.issuer.get::<JwkSet>(PATH, call).await;
            let set = set.map_err(|error| KeyError::Remote(error.to_string()))?;
            Keys::from_jwks(self.algorithm, &set)
        })
    }
}

/// The keys of a service that signs no users' tokens: its own with HS256, else those of the service
/// that `issuer` calls.
///
/// # Errors
/// A key of its own cannot be read.
pub fn key_ring(
    settings: &KeySettings,
    issuer: &ServiceClient,
    clock: Clock,
) -> Result<KeyRing, KeyError> {
    let algorithm = settings.algorithm();
    if algorithm.is_shared() {
        return KeyRing::open(settings, clock);
    }
    Ok(KeyRing::remote(settings, Jwks::new(issuer, algorithm), clock))
}
