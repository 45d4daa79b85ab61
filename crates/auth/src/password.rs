//! Passwords: argon2id with OWASP's parameters (19 MiB, two passes), hashed off the async threads.
//!
//! Each hash takes 19 MiB and tens of milliseconds of one core, so only a few run at once: a burst
//! of logins queues instead of taking the machine. The queue is bounded by the server's limit on
//! requests in flight.
//!
//! A hash that has begun cannot be stopped. So its place belongs to the work, not to the request:
//! a caller who goes away neither ends the one nor frees the other. Each place keeps its memory
//! once it was used: an allocator that gets 19 MiB back from many threads may keep it for each.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tusk_config::Secret;

/// Section `[password]`.
#[derive(Debug, Clone, Deserialize)]
pub struct PasswordSettings {
    /// Hashes computed at once, 1 to 64; each place keeps 19 MiB once it was used.
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

struct Shared {
    places: Arc<Semaphore>,
    /// What places that are free now have hashed in.
    memory: Mutex<Vec<Vec<Block>>>,
    /// Verified against when there is no such user, so that the answer takes as long.
    decoy: HashedPassword,
}

impl Passwords {
    /// A hasher with the bound of the settings.
    ///
    /// # Errors
    /// The decoy cannot be written in PHC form.
    pub fn new(settings: &PasswordSettings) -> Result<Self, PasswordError> {
        // In the form of all others, and the hash of nothing: it is only there to be compared with.
        let output = Output::new(&[0; Params::DEFAULT_OUTPUT_LEN]).map_err(|_| PasswordError)?;
        let decoy = phc(&Argon2::default(), Salt::generate(), output)?;
        let places = Arc::new(Semaphore::new(settings.concurrency.clamp(1, 64)));
        Ok(Self(Arc::new(Shared { places, memory: Mutex::default(), decoy })))
    }

    /// The hash to store, with a fresh salt.
    ///
    /// # Errors
    /// The process ends meanwhile.
    pub async fn hash(&self, password: Secret<String>) -> Result<HashedPassword, PasswordError> {
        self.in_a_place(move |memory| hash(password.expose().as_bytes(), memory)).await
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
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.0.decoy.clone());
        let matches = self
            .in_a_place(move |memory| matches(password.expose().as_bytes(), &stored, memory))
            .await?;
        Ok(matches && known)
    }

    /// Waits for a place and does the work there, to its end even if nobody waits for it any more.
    async fn in_a_place<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let shared = self.0.clone();
        let place = shared.places.clone().acquire_owned().await.map_err(|_| PasswordError)?;
        let work = move || {
            // Given back last, with the memory there for whoever gets it.
            let _place = place;
            let mut memory = shared.memory().pop().unwrap_or_default();
            let outcome = work(&mut memory);
            shared.memory().push(memory);
            outcome
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError)?
    }
}

impl Shared {
    fn memory(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").field("places", &self.places).finish_non_exhaustive()
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

fn hash(password: &[u8], memory: &mut Vec<Block>) -> Result<HashedPassword, PasswordError> {
    let (argon2, salt) = (Argon2::default(), Salt::generate());
    let output = output(&argon2, password, &salt, memory)?;
    phc(&argon2, salt, output)
}

fn phc(argon2: &Argon2<'_>, salt: Salt, output: Output) -> Result<HashedPassword, PasswordError> {
    let hash = PasswordHash {
        algorithm: Algorithm::default().into(),
        version: Some(Version::default().into()),
        params: argon2.params().try_into().map_err(|_| PasswordError)?,
        salt: Some(salt),
        hash: Some(output),
    };
    Ok(HashedPassword(hash.to_string()))
}

/// Hashes with the parameters of the stored hash, which may be older ones.
fn matches(
    password: &[u8],
    stored: &HashedPassword,
    memory: &mut Vec<Block>,
) -> Result<bool, PasswordError> {
    let hash = PasswordHash::new(&stored.0).map_err(|_| PasswordError)?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| PasswordError)?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from);
    let params = Params::try_from(&hash).map_err(|_| PasswordError)?;
    let argon2 = Argon2::new(algorithm, version.map_err(|_| PasswordError)?, params);
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return Err(PasswordError) };
    // Outputs are compared in constant time.
    Ok(output(&argon2, password, &salt, memory)? == expected)
}

fn output(
    argon2: &Argon2<'_>,
    password: &[u8],
    salt: &[u8],
    memory: &mut Vec<Block>,
) -> Result<Output, PasswordError> {
    let params = argon2.params();
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let mut output = [0; Output::MAX_LENGTH];
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let output = output.get_mut(..length).ok_or(PasswordError)?;
    argon2
        .hash_password_into_with_memory(password, salt, output, memory)
        .map_err(|_| PasswordError)?;
    Output::new(output).map_err(|_| PasswordError)
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordHasher;
    use futures_util::FutureExt;

    use super::*;

    async fn passwords() -> Passwords {
        Passwords::new(&PasswordSettings { concurrency: 2 }).unwrap()
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
    async fn hashes_of_other_parameters_are_verified_and_malformed_ones_are_an_error() {
        let passwords = passwords().await;
        let older = Params::new(64, 1, 1, None).unwrap();
        let older = Argon2::new(Algorithm::Argon2id, Version::V0x13, older);
        let older = older.hash_password(b"correct horse").unwrap().to_string();
        let verify = |stored: &str| {
            let stored = HashedPassword::from_stored(stored.to_owned());
            passwords.verify("correct horse".to_owned().into(), Some(stored))
        };
        assert!(verify(&older).await.unwrap());
        for malformed in ["", "$argon2id$v=19$m=64,t=1,p=1", "$scrypt$ln=1$YWJjZGVmZ2g$YWJjZGVmZ2g"]
        {
            verify(malformed).await.unwrap_err();
        }
        // The memory is that of the largest parameters, and serves the others as well.
        let stored = passwords.hash("correct horse".to_owned().into()).await.unwrap();
        assert!(verify(stored.as_str()).await.unwrap());
        assert!(verify(&older).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_whose_caller_is_gone_keeps_its_place_until_it_is_done() {
        let passwords = passwords().await;
        let word = || "correct horse".to_owned().into();
        for _ in 0..8 {
            // Polled once, so that a hash for which there is a place has begun; then dropped.
            assert!(passwords.hash(word()).now_or_never().is_none());
            assert!(passwords.verify(word(), None).now_or_never().is_none());
            assert_eq!(passwords.0.places.available_permits(), 0, "both still hash");
        }
        assert!(!passwords.verify(word(), None).await.unwrap());
    }

    #[tokio::test]
    async fn without_a_user_no_password_matches_not_even_the_decoys() {
        let passwords = passwords().await;
        let decoy = "no user has this password".to_owned().into();
        assert!(!passwords.verify(decoy, None).await.unwrap());
    }
}
