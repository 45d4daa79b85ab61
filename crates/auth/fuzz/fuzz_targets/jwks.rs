//! Any bytes as somebody else's key set: keys that fit or an error, never a panic, never a secret.
#![no_main]

use auth::keys::{Algorithm, JwkSet, Keys};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(set) = serde_json::from_slice::<JwkSet>(bytes) else { return };
    for algorithm in [Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Hs256] {
        let Ok(keys) = Keys::from_jwks(algorithm, &set) else { continue };
        let published = keys.jwks();
        assert!(published.keys.len() <= 32);
        assert!(!algorithm.is_shared() || published.keys.is_empty());
    }
});
