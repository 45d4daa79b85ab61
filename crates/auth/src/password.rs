//! Passwords: argon2id with OWASP's parameters (19 MiB, two passes), hashed off the async threads.
//!
//! Each hash takes 19 MiB and tens of milliseconds of one core, so hashing has a bulkhead of its
//! own: a few run at once, some callers wait for a permit, and further ones are refused. A burst of
//! sign-ins takes neither the machine nor the server's permits for other requests.
//!
//! A hash that has begun cannot be stopped. So its permit belongs to the work, not to the request: a
//! caller who goes away neither ends the one nor frees the other.
//!
//! The kernel takes almost as long to give 19 MiB as a hash takes to fill them. So a hash leaves its
//! memory to the next one, for as long as anybody hashes or waits for a permit; then it is freed.

mod metrics;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use resilience::bulkhead::{Bulkhead, BulkheadPermit};
use serde::Deserialize;
use tusk_config::Secret;

/// Section `[password]`.
#[derive(Debug, Clone, Deserialize)]
pub struct PasswordSettings {
    /// Hashes computed at once, 1 to 64; each takes 19 MiB while it is computed.
    pub concurrency: usize,
    /// Callers who wait for a permit at a time; further ones are refused at once.
    pub queue: usize,
    /// How long a caller waits for a permit at most.
    pub wait: Duration,
}

/// A password's hash in PHC form, `$argon2id$v=19$m=…`; not shown by Debug.
#[derive(Clone)]
pub struct HashedPassword(String);

/// Why a password was not hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// No permit was free in time; it is worth asking again in a second or two.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The stored hash is malformed, or the process ends.
    #[error("the password could not be hashed")]
    Failed,
}

/// What hashes that have ended have left to the next ones.
type Memory = Mutex<Vec<Vec<Block>>>;

/// Hashes and verifies. Cheap to clone; clones share the bounds.
#[derive(Debug, Clone)]
pub struct Passwords(Arc<Shared>);

struct Shared {
    permits: Bulkhead,
    wait: Duration,
    /// There as long as a caller holds it, who hashes or waits.
    memory: Mutex<Weak<Memory>>,
    /// Verified against when there is no such user, so that the answer takes as long.
    decoy: HashedPassword,
}

impl Passwords {
    /// A hasher with the bounds of the settings.
    ///
    /// # Errors
    /// The decoy cannot be written in PHC form.
    pub fn new(settings: &PasswordSettings) -> Result<Self, PasswordError> {
        // In the form of all others, and the hash of nothing: it is only there to be compared with.
        let output =
            Output::new(&[0; Params::DEFAULT_OUTPUT_LEN]).map_err(|_| PasswordError::Failed)?;
        let decoy = phc(&Argon2::default(), Salt::generate(), output)?;
        let permits = Bulkhead::with_queue(settings.concurrency.clamp(1, 64), settings.queue);
        metrics::show(permits.clone());
        let memory = Mutex::default();
        Ok(Self(Arc::new(Shared { permits, wait: settings.wait, memory, decoy })))
    }

    /// The hash to store, with a fresh salt.
    ///
    /// # Errors
    /// No permit was free in time, or the process ends meanwhile.
    pub async fn hash(&self, password: Secret<String>) -> Result<HashedPassword, PasswordError> {
        self.with_permit(move |memory| hash(password.expose().as_bytes(), memory)).await
    }

    /// Whether the password matches. With no hash (no such user) it is compared to a decoy, so
    /// that time does not tell whether an address is known.
    ///
    /// # Errors
    /// No permit was free in time, or the stored hash is malformed.
    pub async fn verify(
        &self,
        password: Secret<String>,
        stored: Option<HashedPassword>,
    ) -> Result<bool, PasswordError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.0.decoy.clone());
        let matches = self
            .with_permit(move |memory| matches(password.expose().as_bytes(), &stored, memory))
            .await?;
        Ok(matches && known)
    }

    /// Waits for a permit and does the work there, to its end even if nobody waits for it any more.
    async fn with_permit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let memory = self.0.memory();
        let permit = self.permit().await?;
        blocking(move || {
            let mut blocks = locked(&memory).pop().unwrap_or_default();
            let outcome = work(&mut blocks);
            locked(&memory).push(blocks);
            // Whoever gets it finds the memory there.
            drop(permit);
            outcome
        })
        .await
    }

    async fn permit(&self) -> Result<BulkheadPermit, PasswordError> {
        let Shared { permits, wait, .. } = &*self.0;
        let permit = tokio::time::timeout(*wait, permits.acquire()).await;
        permit.ok().and_then(Result::ok).ok_or_else(|| {
            metrics::refused(1);
            PasswordError::Busy
        })
    }
}

impl Shared {
    fn memory(&self) -> Arc<Memory> {
        let mut current = locked(&self.memory);
        current.upgrade().unwrap_or_else(|| {
            let memory = Arc::default();
            *current = Arc::downgrade(&memory);
            memory
        })
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").field("permits", &self.permits).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
) -> Result<T, PasswordError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Failed)?
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

    /// Whether a hash that is made today costs more to guess at: the password is to be hashed again as
    /// soon as it is there, at a sign-in. False for what is no hash.
    pub fn is_outdated(&self) -> bool {
        let Ok(hash) = PasswordHash::new(&self.0) else { return false };
        let Ok(params) = Params::try_from(&hash) else { return false };
        let today = Params::DEFAULT;
        hash.algorithm.as_str() != Algorithm::default().as_str()
            || hash.version != Some(Version::default().into())
            || params.m_cost() < today.m_cost()
            || params.t_cost() < today.t_cost()
    }
}

impl std::fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashedPassword")
    }
}

fn hash(password: &[u8], memory: &mut Vec<Block>) -> Result<HashedPassword, PasswordError> {
    let argon2 = Argon2::default();
    let salt = Salt::generate();
    let output = output(&argon2, password, &salt, memory)?;
    phc(&argon2, salt, output)
}

fn phc(argon2: &Argon2<'_>, salt: Salt, output: Output) -> Result<HashedPassword, PasswordError> {
    let hash = PasswordHash {
        algorithm: Algorithm::default().into(),
        version: Some(Version::default().into()),
        params: argon2.params().try_into().map_err(|_| PasswordError::Failed)?,
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
    let hash = PasswordHash::new(&stored.0).map_err(|_| PasswordError::Failed)?;
    let algorithm =
        Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| PasswordError::Failed)?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from);
    let params = Params::try_from(&hash).map_err(|_| PasswordError::Failed)?;
    let argon2 = Argon2::new(algorithm, version.map_err(|_| PasswordError::Failed)?, params);
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
        return Err(PasswordError::Failed);
    };
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
    let output = output.get_mut(..length).ok_or(PasswordError::Failed)?;
    argon2
        .hash_password_into_with_memory(password, salt, output, memory)
        .map_err(|_| PasswordError::Failed)?;
    Output::new(output).map_err(|_| PasswordError::Failed)
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordHasher;
    use futures_util::FutureExt;

    use super::*;

    /// Two permits, and a queue that long.
    fn with_queue(queue: usize) -> Passwords {
        let wait = Duration::from_secs(600);
        Passwords::new(&PasswordSettings { concurrency: 2, queue, wait }).unwrap()
    }

    fn passwords() -> Passwords {
        with_queue(0)
    }

    fn word() -> Secret<String> {
        "correct horse".to_owned().into()
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = passwords();
        let stored = passwords.hash("correct horse".to_owned().into()).await.unwrap();
        assert!(stored.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verify = |word: &str| passwords.verify(word.to_owned().into(), Some(stored.clone()));
        assert!(verify("correct horse").await.unwrap());
        assert!(!verify("correct horsf").await.unwrap());
    }

    #[tokio::test]
    async fn hashes_of_other_parameters_are_verified_and_malformed_ones_are_an_error() {
        let passwords = passwords();
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
    }

    #[tokio::test]
    async fn a_hash_that_costs_less_than_one_of_today_is_outdated() {
        let today = passwords().hash(word()).await.unwrap();
        assert!(!today.is_outdated());
        let of = |algorithm, version, m_cost, t_cost| {
            let params = Params::new(m_cost, t_cost, 1, None).unwrap();
            let hash = Argon2::new(algorithm, version, params).hash_password(b"correct horse");
            HashedPassword::from_stored(hash.unwrap().to_string())
        };
        let id = Algorithm::Argon2id;
        let newest = Version::V0x13;
        for older in [
            of(id, newest, 64, 2),
            of(id, newest, 19_456, 1),
            of(Algorithm::Argon2i, newest, 19_456, 2),
            of(id, Version::V0x10, 19_456, 2),
        ] {
            assert!(older.is_outdated(), "{}", older.as_str());
        }
        assert!(!of(id, newest, 19_457, 3).is_outdated());
        assert!(!HashedPassword::from_stored("no hash".to_owned()).is_outdated());
    }

    #[tokio::test]
    async fn a_hash_whose_caller_is_gone_keeps_its_place_until_it_is_done() {
        let passwords = with_queue(1);
        for _ in 0..8 {
            // Polled once, so that a hash for which there is a permit has begun; then dropped.
            let waits = [
                passwords.hash(word()).now_or_never().is_none(),
                passwords.verify(word(), None).now_or_never().is_none(),
                passwords.verify(word(), None).now_or_never().is_none(),
            ];
            assert_eq!(waits, [true; 3]);
            assert_eq!(passwords.0.permits.free(), 0, "both still hash");
        }
        assert!(!passwords.verify(word(), None).await.unwrap());
    }

    #[tokio::test]
    async fn callers_beyond_the_queue_are_refused_at_once_and_those_in_it_are_served() {
        let passwords = with_queue(3);
        let hashes = (0..7).map(|_| passwords.hash(word()));
        let hashes = futures_util::future::join_all(hashes).await;
        let refused = hashes.iter().filter(|hash| matches!(hash, Err(PasswordError::Busy)));
        let refused = refused.count();
        assert_eq!((refused, hashes.iter().filter(|hash| hash.is_ok()).count()), (2, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_for_whom_no_place_is_free_in_time_is_refused() {
        let passwords = with_queue(1);
        let taken = (passwords.permit().await.unwrap(), passwords.permit().await.unwrap());
        assert_eq!(passwords.verify(word(), None).await, Err(PasswordError::Busy));
        assert_eq!(passwords.0.permits.waiting(), 0);
        drop(taken);
    }

    #[tokio::test]
    async fn memory_goes_from_one_hash_to_the_next_and_is_freed_once_nobody_hashes_or_waits() {
        let passwords = with_queue(8);
        let kept = || passwords.0.memory.lock().unwrap().upgrade();
        let watched = passwords.0.memory();
        futures_util::future::join_all((0..8).map(|_| passwords.hash(word()))).await;
        let blocks: Vec<usize> = watched.lock().unwrap().iter().map(Vec::len).collect();
        assert!(blocks == [19 * 1024] || blocks == [19 * 1024; 2], "{blocks:?}, of two permits");
        drop(watched);
        assert!(kept().is_none());
        // Nor does a caller keep it who goes away while waiting.
        let hashes = (0..3).map(|_| passwords.hash(word()));
        assert!(futures_util::future::join_all(hashes).now_or_never().is_none());
        while kept().is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn without_a_user_no_password_matches_not_even_the_decoys() {
        let passwords = passwords();
        let decoy = "no user has this password".to_owned().into();
        assert!(!passwords.verify(decoy, None).await.unwrap());
    }
}
