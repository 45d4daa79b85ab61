//! The keys that tokens are signed and verified with, each under its `kid`.
//!
//! | algorithm | who holds what |
//! |---|---|
//! | HS256 | every service the same secrets: `jwt_secret` is the key `0`, each file `<kid>.key` another |
//! | EdDSA, RS256 | user-service the private keys (`<kid>.pem`, PKCS#8); the others read its JWKS |
//!
//! A token is verified by the key it names. It is signed by the key whose `kid` comes last in the
//! alphabet among those that have been known for `activation_delay`; by then everybody who verifies
//! has read the file, or the JWKS, and who has not does so on meeting the unknown `kid`. So keys
//! rotate without a restart: add a file with a later name, wait, and remove the old one once the
//! tokens that it signed have expired.
//!
//! How long a key has been known is remembered by its `kid`, because files tell it badly: the kubelet
//! writes all files of a mounted secret anew when one is added, and a pod that starts has all of them
//! new.
//!
//! | the key | is known since |
//! |---|---|
//! | appears while the process runs | it was read for the first time, however old its file is |
//! | is there at the start | its file was written, or the date that its name begins with, if that is earlier (HS256: its file was written; till then everybody has `jwt_secret`) |
//! | is the last one at a start that finds all of them new | always: nothing tells them apart but their order, and the first is the one that is removed next |
//!
//! So a key that has signed does not go back to an older one as long as its file is there. Where names
//! are no dates, a restart in the minutes after a new key came is the one case in which that key signs
//! before the delay is over; a date in its name that is still to come prevents that.
//!
//! Keys that were fetched are believed for `max_staleness` after the last time the set was read. One
//! that has left the set is gone with the next reading; while the set cannot be read, or is empty, no
//! key is believed for longer than that.
//!
//! Keys have no expiry date, so an operator is told how old they are:
//!
//! | gauge | tells |
//! |---|---|
//! | `auth_signing_key_timestamp_seconds` | when the key that signs was made, in Unix time; not there where that is unknown: of `jwt_secret`, and in who only verifies |
//! | `auth_keys_read_timestamp_seconds` | when all keys were last read, in Unix time; with old ones the next rotation goes wrong |

mod folder;
mod jwks;
mod metrics;
mod ring;

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use jsonwebtoken::{DecodingKey, EncodingKey};

pub use jsonwebtoken::jwk::JwkSet;
pub use ring::KeyRing;

/// Keys known at once at most.
const KEYS_MAX: usize = 32;
/// Longest `kid`, in bytes.
const KID_BYTES_MAX: usize = 64;

/// How tokens are signed: one algorithm for all, never chosen by the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// Ed25519.
    EdDsa,
    /// RSA (PKCS#1 v1.5) with SHA-256.
    Rs256,
}

/// Where keys come from: files, or another service's JWKS.
pub trait KeySource: Send + Sync {
    /// All keys as they are now.
    fn load(&self) -> BoxFuture<'_, Result<Keys, KeyError>>;
}

/// Why keys could not be read. Says which, and nothing of their content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The folder, or a file of it, cannot be read.
    #[error("{file}: {reason}")]
    File {
        /// Its path.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Nothing to sign with.
    #[error("[keys] has no key to sign with: put <kid>.pem, a private key, into its folder")]
    NoSigner,
    /// A key would sign before others have read it.
    #[error("[keys] activation_delay must be longer than refresh_interval")]
    ActivationTooEarly,
    /// More keys than are kept.
    #[error("there are more than {KEYS_MAX} keys")]
    TooMany,
    /// Who has the keys gave none.
    #[error("the key set could not be fetched: {0}")]
    Remote(String),
}

/// Whether the keys of the settings and their folder can be used.
pub(crate) fn check(settings: &crate::KeySettings) -> Result<(), KeyError> {
    ring::try_open(settings).map(drop)
}

/// A set of keys of one algorithm.
pub struct Keys {
    algorithm: Algorithm,
    by_kid: BTreeMap<String, Key>,
}

struct Key {
    verify: DecodingKey,
    sign: Option<EncodingKey>,
    /// When its file was written, as far as is known: the earliest time of all readings.
    written: DateTime<Utc>,
    /// Since when everybody can have it: the table at the module's head.
    known_since: DateTime<Utc>,
}

impl Key {
    fn new(verify: DecodingKey, sign: Option<EncodingKey>, written: DateTime<Utc>) -> Self {
        Self { verify, sign, written, known_since: written }
    }
}

impl Algorithm {
    pub(crate) fn jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }

    /// Whether one key both signs and verifies, so that all services share it.
    pub fn is_shared(self) -> bool {
        self == Self::Hs256
    }
}

impl Keys {
    /// A set without keys.
    fn none(algorithm: Algorithm) -> Self {
        Self { algorithm, by_kid: BTreeMap::new() }
    }

    fn insert(&mut self, kid: String, key: Key) -> Result<(), KeyError> {
        if self.by_kid.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        self.by_kid.insert(kid, key);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.by_kid.is_empty()
    }

    /// The algorithm of each of them.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn verifier(&self, kid: &str) -> Option<&DecodingKey> {
        self.by_kid.get(kid).map(|key| &key.verify)
    }

    /// These keys as those of a process that starts: they are as old as can be told from outside.
    fn at_start(mut self, now: DateTime<Utc>, delay: TimeDelta) -> Self {
        if self.algorithm.is_shared() {
            return self;
        }
        for (kid, key) in &mut self.by_kid {
            key.known_since = made(kid, key).unwrap_or(key.known_since);
        }
        let is_ready = |key: &Key| key.sign.is_some() && now - key.known_since >= delay;
        if !self.by_kid.values().any(is_ready) {
            let last = self.by_kid.values_mut().rev().find(|key| key.sign.is_some());
            if let Some(key) = last {
                key.known_since = DateTime::<Utc>::MIN_UTC;
            }
        }
        self
    }

    /// These keys as read again after `previous`: what was known before stays as old as it was.
    fn after(mut self, previous: &Self, now: DateTime<Utc>) -> Self {
        for (kid, key) in &mut self.by_kid {
            key.known_since = now;
            if let Some(before) = previous.by_kid.get(kid) {
                key.known_since = before.known_since;
                key.written = key.written.min(before.written);
            }
        }
        self
    }

    /// The last key that has been known for the delay; the last of all when none has.
    fn signer(&self, now: DateTime<Utc>, delay: TimeDelta) -> Option<(&str, &Key, &EncodingKey)> {
        let mut signing =
            self.by_kid.iter().rev().filter_map(|(kid, key)| Some((kid, key, key.sign.as_ref()?)));
        let ready = signing.clone().find(|(_, key, _)| now - key.known_since >= delay);
        ready.or_else(|| signing.next()).map(|(kid, key, sign)| (kid.as_str(), key, sign))
    }
}

/// When a key was made: what its name says, where that begins with a date such as `2026-12` or
/// `2026-12-24`, or its file when that is older. None for `jwt_secret`. (The file of a mounted secret
/// is as young as the mount.)
fn made(kid: &str, key: &Key) -> Option<DateTime<Utc>> {
    let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let named = kid.get(..10).and_then(day);
    let named = named.or_else(|| day(&format!("{}-01", kid.get(..7)?)));
    let named = named.map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let made = named.map_or(key.written, |named| named.min(key.written));
    (made != DateTime::<Utc>::MIN_UTC).then_some(made)
}

/// Whether a name can be a `kid`, and so a file's name: letters, digits, `-`, `_` and `.`, at most
/// 64, not beginning with a dot.
pub(crate) fn is_kid(kid: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=KID_BYTES_MAX).contains(&kid.len()) && !kid.starts_with('.') && kid.bytes().all(plain)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("algorithm", &self.algorithm)
            .field("kids", &self.by_kid.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_as_old_as_its_name_says_or_as_its_file_where_that_is_older() {
        let day = |text: &str| format!("{text}T00:00:00Z").parse::<DateTime<Utc>>().unwrap();
        let written = day("2026-03-09");
        let key = |written| Key::new(DecodingKey::from_secret(b"secret"), None, written);
        for (kid, expected) in [
            ("2026-01", "2026-01-01"),
            ("2026-02-28-b", "2026-02-28"),
            ("2026-12", "2026-03-09"),
            ("2026-13", "2026-03-09"),
            ("blue", "2026-03-09"),
            ("0", "2026-03-09"),
        ] {
            assert_eq!(made(kid, &key(written)), Some(day(expected)), "{kid}");
        }
        assert_eq!(made("0", &key(DateTime::<Utc>::MIN_UTC)), None, "jwt_secret has no file");
    }
}
