//! Opaque tokens: random, single purpose, stored as a hash, so that a copy of the table opens
//! nothing. 256 random bits need no slow hash: they cannot be guessed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tusk_config::Secret;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// What is stored of a token.
pub type OpaqueHash = [u8; 32];

/// A token as its holder has it: 43 characters of URL-safe base64.
#[derive(Debug, Clone)]
pub struct OpaqueToken(Secret<String>);

impl OpaqueToken {
    /// A new random token.
    pub fn generate() -> Self {
        let bytes: [u8; TOKEN_BYTES] = rand::random();
        Self::of(bytes)
    }

    /// The token of bytes that nobody else can know.
    pub(crate) fn of(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// The token to hand out.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What to store.
    pub fn hash(&self) -> OpaqueHash {
        hash(self.expose())
    }
}

/// The hash under which a presented token is looked up.
pub fn hash(token: &str) -> OpaqueHash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_found_by_their_hash() {
        let one = OpaqueToken::generate();
        let other = OpaqueToken::generate();
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len(), 43);
        assert_eq!(hash(one.expose()), one.hash());
    }
}
