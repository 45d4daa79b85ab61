//! Profiles in the cache. A change that is committed is never hidden by the profile before it:
//!
//! ```text
//! a change   lock the row, save, withhold the key in Redis, commit
//! a reader   look into the cache, else read the row and add it, unless the key is withheld
//! ```
//!
//! Nothing is left to do after the commit, so that it does not matter whether the request, the
//! process or the caller is still there. While a key is withheld its readers go to the database, and
//! a reader that has read the row before the commit adds it in vain; one that takes so long that the
//! key might be free again adds nothing.
//!
//! With Redis away a change is committed all the same. Then this process goes past the cache for that
//! user and withholds the key as soon as Redis answers. What remains: until then, or where the process
//! dies before, and where a commit takes longer than the key is withheld, other replicas that reach Redis
//! may tell users the profile before for as long as it is cached, ten seconds at most. Services, which
//! decide by what they are told, read the row.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache::ServiceCache;
use chassis::CancellationToken;
use contracts::UserId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a profile is kept in the cache.
const CACHED_FOR: Duration = Duration::from_secs(10);
/// How long after its row was read a profile may be added to the cache.
const ADDED_WITHIN: Duration = Duration::from_secs(10);
/// How long a key is withheld: longer than a profile that was read before the commit can be added
/// and be kept, with time for the commit.
const WITHHELD_FOR: Duration = Duration::from_secs(30);
/// Delay between two attempts to withhold keys while Redis is away.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// Users whose keys are to be withheld once Redis answers, at most; the profiles of further ones may
/// be served for as long as they are cached.
const PENDING_MAX: usize = 10_000;

/// The profiles in the cache. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Profiles {
    cache: ServiceCache,
    pending: Arc<PendingInvalidations>,
}

/// What could not be withheld because Redis was away.
#[derive(Default)]
struct PendingInvalidations {
    /// The users, each with the time after which nothing that was before is kept any more.
    users: Mutex<HashMap<UserId, Instant>>,
    added: Notify,
}

impl Profiles {
    pub(crate) fn new(cache: ServiceCache) -> Self {
        Self { cache, pending: Arc::default() }
    }

    /// A user's profile from the cache, else what `read` gives, which is added. A cache that is away
    /// or empty is no reason not to answer.
    pub(crate) async fn get<T: Serialize + DeserializeOwned, E>(
        &self,
        user: UserId,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if self.is_pending(user) {
            return read.await;
        }
        if let Ok(Some(profile)) = self.cache.get(&key(user)).await {
            return Ok(profile);
        }
        let began = Instant::now();
        let profile = read.await?;
        if began.elapsed() < ADDED_WITHIN && !self.is_pending(user) {
            let _ = self.cache.add_for(&key(user), &profile, CACHED_FOR).await;
        }
        Ok(profile)
    }

    /// Keeps the profile before a change out of the cache; to be called before the change is
    /// committed, with its row locked.
    pub(crate) async fn withhold(&self, user: UserId) {
        if let Err(error) = self.cache.withhold(&key(user), WITHHELD_FOR).await {
            tracing::warn!(error = %error, "a profile could not be withheld yet");
            let mut users = self.pending();
            if users.len() < PENDING_MAX || users.contains_key(&user) {
                users.insert(user, Instant::now() + WITHHELD_FOR);
                self.pending.added.notify_one();
            }
        }
    }

    /// Withholds what could not be withheld at its time, until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        while shutdown.run_until_cancelled(self.pending.added.notified()).await.is_some() {
            while self.settle().await > 0 && !shutdown.is_cancelled() {
                let delay = tokio::time::sleep(RETRY_DELAY);
                shutdown.run_until_cancelled(delay).await;
            }
        }
        self.settle().await;
        Ok(())
    }

    /// Withholds all that is pending, as far as Redis answers; tells how much is left.
    async fn settle(&self) -> usize {
        self.pending().retain(|_, until| *until > Instant::now());
        let pending: Vec<(UserId, Instant)> =
            self.pending().iter().map(|(user, until)| (*user, *until)).collect();
        for (user, until) in pending {
            if self.cache.withhold(&key(user), WITHHELD_FOR).await.is_err() {
                break;
            }
            let mut users = self.pending();
            // Changed again meanwhile: that change is pending too.
            if users.get(&user) == Some(&until) {
                users.remove(&user);
            }
        }
        self.pending().len()
    }

    fn is_pending(&self, user: UserId) -> bool {
        self.pending().contains_key(&user)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<UserId, Instant>> {
        self.pending.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(user: UserId) -> String {
    format!("profile:{user}")
}

#[cfg(test)]
mod tests {
    use cache::CacheSettings;

    use super::*;

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_added_after_it() {
        let settings = CacheSettings {
            url: testkit::redis_url().into(),
            tls_ca: std::path::PathBuf::new(),
            ttl: CACHED_FOR,
        };
        let profiles = Profiles::new(ServiceCache::connect("profiles-test", &settings).unwrap());
        let user = UserId::from_uuid(chassis::Clock::system().new_id());
        let raced = profiles.get(user, async {
            profiles.withhold(user).await;
            Ok::<_, ()>("before".to_owned())
        });
        assert_eq!(raced.await.as_deref(), Ok("before"));
        let after = profiles.get(user, async { Ok::<_, ()>("after".to_owned()) });
        assert_eq!(after.await.as_deref(), Ok("after"));
    }
}
