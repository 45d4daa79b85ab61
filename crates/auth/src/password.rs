//! Passwords: argon2id with OWASP's parameters (19 MiB, two passes), hashed off the async threads.
//!
//! Each hash takes 19 MiB and tens of milliseconds of one core, so only a few run at once: a burst
//! of logins queues instead of taking the machine. The queue is bounded by the server's limit on
//! requests in flight.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tusk_config::Secret;

/// Section `[password]`.
#[derive(Debug, Clone, Deserialize)]
pub struct PasswordSettings {
    /// Hashes computed at once.
    pub concurrency: usize,
}

/// A password's hash in PHC form, `$argon2id$v=19$m=…`; not shown by Debug.
#[derive(Clone)]
pub struct HashedPassword(String);

/// A password could not be hashed: its stored hash is malformed, or the process ends.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct PasswordError;

/// Hashes and verifies. Cheap to clone; clones share the bound.
#[derive(Debug, Clone)]
pub struct Passwords(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    places: Semaphore,
    /// Verified against when there is no such user, so that the answer takes as long.
    decoy: HashedPassword,
}

impl Passwords {
    /// A hasher with the bound of the settings.
    ///
    /// # Errors
    /// The decoy's hash could not be made.
    pub async fn new(settings: &PasswordSettings) -> Result<Self, PasswordError> {
        let decoy = blocking(|| hash(b"no user has this password")).await?;
        let places = Semaphore::new(settings.concurrency.clamp(1, 64));
        Ok(Self(Arc::new(Shared { places, decoy })))
    }

    /// The hash to store, with a fresh salt.
    ///
    /// # Errors
    /// The process ends meanwhile.
    pub async fn hash(&self, password: Secret<String>) -> Result<HashedPassword, PasswordError> {
        let _place = self.0.places.acquire().await.map_err(|_| PasswordError)?;
        blocking(move || hash(password.expose().as_bytes())).await
    }

    /// Whether the password matches. With no hash (no such user) it is compared to a decoy, so
    /// that time does not tell whether an address is known.
    ///
    /// # Errors
    /// The stored hash is malformed.
    pub async fn verify(
        &self,
        password: Secret<String>,
        stored: Option<HashedPassword>,
    ) -> Result<bool, PasswordError> {
        let _place = self.0.places.acquire().await.map_err(|_| PasswordError)?;
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.0.decoy.clone());
        let matches = blocking(move || {
            let hash = PasswordHash::new(&stored.0).map_err(|_| PasswordError)?;
            Ok(Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
        });
        Ok(matches.await? && known)
    }
}

impl HashedPassword {
    /// A hash as it was stored.
    pub fn from_stored(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC form, for storage.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashedPassword")
    }
}

fn hash(password: &[u8]) -> Result<HashedPassword, PasswordError> {
    let hash = Argon2::default().hash_password(password).map_err(|_| PasswordError)?;
    Ok(HashedPassword(hash.to_string()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
) -> Result<T, PasswordError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError)?
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn passwords() -> Passwords {
        Passwords::new(&PasswordSettings { concurrency: 2 }).await.unwrap()
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = passwords().await;
        let stored = passwords.hash("correct horse".to_owned().into()).await.unwrap();
        assert!(stored.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verify = |word: &str| passwords.verify(word.to_owned().into(), Some(stored.clone()));
        assert!(verify("correct horse").await.unwrap());
        assert!(!verify("correct horsf").await.unwrap());
    }

    #[tokio::test]
    async fn without_a_user_no_password_matches_not_even_the_decoys() {
        let passwords = passwords().await;
        let decoy = "no user has this password".to_owned().into();
        assert!(!passwords.verify(decoy, None).await.unwrap());
    }
}
