//! The keys that the issuer signs with, from its JWKS (RFC 7517).

use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::IssuerError;
use super::calls::Http;

/// How long a key is believed that the issuer may have taken back.
const AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// Delay between two looks for keys that are not known: whoever makes up names of keys has nobody ask more often.
const UNKNOWN_DELAY: Duration = Duration::from_secs(60);

/// The set, as it was read last.
#[derive(Default)]
pub(super) struct KeyCache(Mutex<Cached>);

#[derive(Default)]
struct Cached {
    keys: Vec<Jwk>,
    read_at: Option<Instant>,
    /// When it was last read for a key that was not known.
    sought_at: Option<Instant>,
}

/// Keys of kinds that are not known stand beside the others.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl KeyCache {
    /// Reads the keys if they are older than an hour, or none were read yet.
    pub(super) async fn refresh(&self, http: &Http, url: &Url) -> Result<(), IssuerError> {
        let mut cached = self.0.lock().await;
        if is_past(cached.read_at, AGE_MAX) {
            cached.read(http, url).await?;
        }
        Ok(())
    }

    /// The key of this id for an algorithm, of those that were read. One that is not known is looked for at the
    /// issuer, which may have come by new ones, once a minute at most.
    pub(super) async fn key(
        &self,
        (http, url): (&Http, &Url),
        id: &str,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, IssuerError> {
        let mut cached = self.0.lock().await;
        if cached.find(id, algorithm).is_none() && is_past(cached.sought_at, UNKNOWN_DELAY) {
            // The code is used up: what is not read now is of no use to whoever came with it.
            let unread = |_| IssuerError::Refused("its key is not known, and others were not read");
            cached.read(http, url).await.map_err(unread)?;
            cached.sought_at = Some(Instant::now());
        }
        cached.find(id, algorithm).ok_or(IssuerError::Refused("its key is not known"))
    }
}

fn is_past(at: Option<Instant>, age: Duration) -> bool {
    at.is_none_or(|at| at.elapsed() >= age)
}

impl Cached {
    async fn read(&mut self, http: &Http, url: &Url) -> Result<(), IssuerError> {
        let set: Set = http.get(url).await?;
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        self.keys = keys.collect();
        self.read_at = Some(Instant::now());
        Ok(())
    }

    fn find(&self, id: &str, algorithm: Algorithm) -> Option<DecodingKey> {
        let is_it = |key: &&Jwk| key.common.key_id.as_deref() == Some(id) && fits(key, algorithm);
        self.keys.iter().find(is_it).and_then(|key| DecodingKey::from_jwk(key).ok())
    }
}

/// Whether a key is for signing in this way. One that is too weak verifies nothing: RSA has 2,048 bits or more.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::RS256 | Algorithm::PS256) => true,
        (AlgorithmParameters::EllipticCurve(point), Algorithm::ES256) => {
            point.curve == EllipticCurve::P256
        }
        (AlgorithmParameters::OctetKeyPair(pair), Algorithm::EdDSA) => {
            pair.curve == EllipticCurve::Ed25519
        }
        _ => false,
    };
    let named = key.common.key_algorithm.is_none_or(|named| named == KeyAlgorithm::from(algorithm));
    let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    is_kind && named && signs
}
