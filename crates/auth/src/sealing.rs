//! Secrets that have to be read again, kept so that a copy of the database opens none: sealed with
//! AES-256-GCM under a key of the settings.
//!
//! What is sealed is bound to its owner: copied into another row it does not open. Each seal names its key
//! by an id that is made from the key, so that keys can be rotated:
//!
//! 1. add the new key behind the one in use, everywhere: `old,new`;
//! 2. put it in front, everywhere: `new,old`. What is sealed from now on is sealed with it, and the owner
//!    of the table seals the rest anew;
//! 3. leave the old one out.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tusk_config::Secret;
use uuid::Uuid;

/// Shortest key, in bytes, as it stands in the settings.
const KEY_BYTES_MIN: usize = 32;
/// Bytes of an id, which is shown in hexadecimal.
const ID_BYTES: usize = 4;

/// The keys of a setting: the first one seals, all open; separated by commas, 32 bytes or more each.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct SealingSecrets(Secret<String>);

impl TryFrom<String> for SealingSecrets {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let secrets = Self(text.into());
        if secrets.all().any(|key| key.len() < KEY_BYTES_MIN) {
            return Err("keys of 32 bytes or more are needed, separated by commas");
        }
        let different: BTreeSet<&str> = secrets.all().collect();
        if different.len() < secrets.all().count() {
            return Err("a key stands there twice");
        }
        Ok(secrets)
    }
}

impl SealingSecrets {
    fn all(&self) -> impl Iterator<Item = &str> {
        self.0.expose().split(',').map(str::trim)
    }
}

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct SealingKeys(Arc<Shared>);

struct Shared {
    first: Key,
    others: Vec<Key>,
}

struct Key {
    id: String,
    key: RandomizedNonceKey,
}

/// A secret, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The key that opens it.
    pub key_id: String,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was sealed with a key that is not in the settings.
    #[error("the settings have no key {0}")]
    UnknownKey(String),
    /// It is not what was sealed, or another one's.
    #[error("what is sealed does not open")]
    Broken,
    /// The library could not do it.
    #[error("it could not be sealed")]
    Failed,
}

impl SealingKeys {
    /// The keys of a setting.
    ///
    /// # Errors
    /// The library takes none of them.
    pub fn new(secrets: &SealingSecrets) -> Result<Self, SealError> {
        let mut keys = secrets.all().map(Key::new);
        let first = keys.next().ok_or(SealError::Failed)??;
        Ok(Self(Arc::new(Shared { first, others: keys.collect::<Result<_, _>>()? })))
    }

    /// Seals a secret of an owner.
    ///
    /// # Errors
    /// The library's.
    pub fn seal(&self, secret: &[u8], owner: Uuid) -> Result<Sealed, SealError> {
        let Key { id, key } = &self.0.first;
        let mut sealed = secret.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(owner.as_bytes()), &mut sealed);
        let mut bytes = nonce.map_err(|_| SealError::Failed)?.as_ref().to_vec();
        bytes.extend_from_slice(&sealed);
        Ok(Sealed { key_id: id.clone(), bytes })
    }

    /// Opens what was sealed for an owner.
    ///
    /// # Errors
    /// No key of the settings opens it, or it is another owner's.
    pub fn open(&self, sealed: &Sealed, owner: Uuid) -> Result<Secret<Vec<u8>>, SealError> {
        let known = self.all().find(|key| key.id == sealed.key_id);
        let key = known.ok_or_else(|| SealError::UnknownKey(sealed.key_id.clone()))?;
        let (nonce, rest) = sealed.bytes.split_at_checked(NONCE_LEN).ok_or(SealError::Broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
        let mut opened = rest.to_vec();
        let aad = Aad::from(owner.as_bytes());
        let length = key.key.open_in_place(nonce, aad, &mut opened).map(|secret| secret.len());
        opened.truncate(length.map_err(|_| SealError::Broken)?);
        Ok(opened.into())
    }

    /// The ids of the keys that open, and seal no more.
    pub fn former(&self) -> Vec<String> {
        self.0.others.iter().map(|key| key.id.clone()).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.0.first).chain(&self.0.others)
    }
}

impl Key {
    fn new(secret: &str) -> Result<Self, SealError> {
        let of = |what: &str| Sha256::new().chain_update(what).chain_update(secret).finalize();
        let key = RandomizedNonceKey::new(&AES_256_GCM, &of("sealing key\0"));
        let id = HEXLOWER.encode(&of("id of a sealing key\0")[..ID_BYTES]);
        Ok(Self { id, key: key.map_err(|_| SealError::Failed)? })
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().map(|key| &key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an-old-key-of-thirty-two-bytes-or-more";
    const NEW: &str = "a-new-key-of-thirty-two-bytes-and-more";

    fn keys(text: &str) -> SealingKeys {
        SealingKeys::new(&SealingSecrets::try_from(text.to_owned()).unwrap()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_owner_alone_and_shows_nothing_of_itself() {
        let owner = Uuid::from_u128(1);
        let other = Uuid::from_u128(2);
        let sealed = keys(NEW).seal(b"a plain secret", owner).unwrap();
        assert_eq!(keys(NEW).open(&sealed, owner).unwrap().expose(), b"a plain secret");
        assert_eq!(keys(NEW).open(&sealed, other).unwrap_err(), SealError::Broken);
        assert!(!sealed.bytes.windows(5).any(|bytes| bytes == b"plain"));
        let again = keys(NEW).seal(b"a plain secret", owner).unwrap();
        assert_ne!(again.bytes, sealed.bytes, "each has a nonce of its own");
        for place in [0, NONCE_LEN, sealed.bytes.len() - 1] {
            let mut changed = sealed.clone();
            changed.bytes[place] ^= 1;
            assert_eq!(keys(NEW).open(&changed, owner).unwrap_err(), SealError::Broken, "{place}");
        }
        let cut = Sealed { bytes: vec![0; 3], ..sealed };
        assert_eq!(keys(NEW).open(&cut, owner).unwrap_err(), SealError::Broken);
    }

    #[test]
    fn the_first_key_seals_and_all_open_so_that_keys_can_be_rotated() {
        let owner = Uuid::from_u128(1);
        let old = keys(OLD).seal(b"secret", owner).unwrap();
        let both = keys(&format!("{NEW}, {OLD}"));
        assert_eq!(both.open(&old, owner).unwrap().expose(), b"secret");
        assert_eq!(both.former(), std::slice::from_ref(&old.key_id));
        let new = both.seal(b"secret", owner).unwrap();
        assert_eq!(keys(NEW).open(&new, owner).unwrap().expose(), b"secret");
        let unknown = keys(NEW).open(&old, owner).unwrap_err();
        assert_eq!(unknown, SealError::UnknownKey(old.key_id));
    }

    #[test]
    fn keys_are_long_and_different_and_their_faults_show_none() {
        for (text, fault) in [
            ("", "keys of 32 bytes or more are needed, separated by commas"),
            ("short", "keys of 32 bytes or more are needed, separated by commas"),
            (&format!("{NEW},"), "keys of 32 bytes or more are needed, separated by commas"),
            (&format!("{NEW},{OLD},{NEW}"), "a key stands there twice"),
        ] {
            assert_eq!(SealingSecrets::try_from((*text).to_owned()).unwrap_err(), fault, "{text}");
        }
        let shown = format!("{:?}", keys(NEW));
        assert!(shown.len() == 12 && !shown.contains("key"), "{shown}");
    }
}
