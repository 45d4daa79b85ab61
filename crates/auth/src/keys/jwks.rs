//! Keys as others read them: a JSON Web Key Set (RFC 7517), public halves only.

use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
};
use jsonwebtoken::{DecodingKey, DecodingKeyKind, EncodingKey};

use super::{Algorithm, Key, KeyError, Keys, is_kid};

/// Bytes of an Ed25519 public key.
const ED25519_BYTES: usize = 32;
/// Shortest RSA modulus, in bytes (RFC 7518 §3.3: 2048 bits).
const RSA_BYTES_MIN: usize = 256;

impl Keys {
    /// What others verify with. Of shared secrets nothing: the set is empty then.
    pub fn jwks(&self) -> JwkSet {
        let public = self.by_kid.iter().filter(|_| !self.algorithm.is_shared());
        let keys = public.filter_map(|(kid, key)| {
            let mut jwk = Jwk::from_decoding_key(&key.verify, Some(self.algorithm.jwt())).ok()?;
            jwk.common.key_id = Some(kid.clone());
            jwk.common.public_key_use = Some(PublicKeyUse::Signature);
            Some(jwk)
        });
        JwkSet { keys: keys.collect() }
    }

    /// The keys of a set that fit `algorithm`; those for other uses, too weak, or without a proper
    /// `kid` are left out. A shared secret is never taken from a set.
    ///
    /// # Errors
    /// There are more than 32.
    pub fn from_jwks(algorithm: Algorithm, set: &JwkSet) -> Result<Self, KeyError> {
        let mut keys = Self::none(algorithm);
        for jwk in &set.keys {
            let Some(kid) = jwk.common.key_id.as_deref().filter(|kid| is_kid(kid)) else {
                continue;
            };
            let Some(verify) = verifier(algorithm, jwk) else { continue };
            keys.insert(kid.to_owned(), Key::new(verify, None, DateTime::<Utc>::MIN_UTC))?;
        }
        Ok(keys)
    }
}

fn verifier(algorithm: Algorithm, jwk: &Jwk) -> Option<DecodingKey> {
    let fits = match (&jwk.algorithm, algorithm) {
        (AlgorithmParameters::OctetKeyPair(pair), Algorithm::EdDsa) => {
            pair.curve == EllipticCurve::Ed25519
        }
        (AlgorithmParameters::RSA(_), Algorithm::Rs256) => true,
        _ => false,
    };
    let expected = KeyAlgorithm::from(algorithm.jwt());
    let named = jwk.common.key_algorithm.is_none_or(|named| named == expected);
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let key = (fits && named && signs).then(|| DecodingKey::from_jwk(jwk).ok())??;
    is_strong(algorithm, &key).then_some(key)
}

/// The public half of a private key.
pub(super) fn public_half(algorithm: Algorithm, key: &EncodingKey) -> Option<DecodingKey> {
    DecodingKey::from_jwk(&Jwk::from_encoding_key(key, algorithm.jwt()).ok()?).ok()
}

/// Whether a public key is whole and long enough.
pub(super) fn is_strong(algorithm: Algorithm, key: &DecodingKey) -> bool {
    let jwk = Jwk::from_decoding_key(key, Some(algorithm.jwt())).ok();
    let key = jwk.and_then(|jwk| DecodingKey::from_jwk(&jwk).ok());
    match (algorithm, key.as_ref().map(DecodingKey::kind)) {
        (Algorithm::EdDsa, Some(DecodingKeyKind::SecretOrDer(key))) => key.len() == ED25519_BYTES,
        (Algorithm::Rs256, Some(DecodingKeyKind::RsaModulusExponent { n, .. })) => {
            n.len() >= RSA_BYTES_MIN
        }
        _ => false,
    }
}
