//! Client credentials (RFC 6749 §4.4): a service proves who it is with its own secret, and gets a
//! token for it.
//!
//! Wrong secrets are answered as such ten times in a row, then once a second. The right secret is
//! always accepted, so that guessing does not lock a service out; that it cannot be guessed is the
//! secret's length.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::Clock;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::settings::ServiceSecret;

/// Failures in a row that are answered one by one.
const FAILURES_MAX: u32 = 10;
/// After those, time until another one is.
const FAILURE_DELAY: Duration = Duration::from_secs(1);

/// The secrets of all services, as digests. Cheap to clone.
#[derive(Clone)]
pub struct Credentials(Arc<Shared>);

struct Shared {
    /// By the service's name.
    digests: BTreeMap<String, [u8; 32]>,
    failures: Mutex<Failures>,
    clock: Clock,
}

struct Failures {
    left: u32,
    since: DateTime<Utc>,
}

/// Why somebody is not the service it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// No such service, or not its secret: which of both is not said.
    #[error("the service or its secret is wrong")]
    Wrong,
    /// The same, once too often.
    #[error("too many wrong secrets")]
    TooMany {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

impl Credentials {
    /// The secrets of section `[services]`: `user_service_token` is the one of `user-service`.
    pub fn new(secrets: &BTreeMap<String, ServiceSecret>, clock: Clock) -> Self {
        let digest = |secret: &ServiceSecret| Sha256::digest(secret.expose()).into();
        let digests = secrets.iter().map(|(key, secret)| (service(key), digest(secret))).collect();
        let failures = Mutex::new(Failures { left: FAILURES_MAX, since: clock.now() });
        Self(Arc::new(Shared { digests, failures, clock }))
    }

    /// The names of the services that have one.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.0.digests.keys().map(String::as_str)
    }

    /// Makes sure that the secret is the one of `service`. Takes as long for a service that is none.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self, service: &str, secret: &str) -> Result<(), CredentialsError> {
        self.check_any(service, [secret])
    }

    /// [`Self::check`] of a secret that can be read in several ways: one of `secrets` has to be the one
    /// of `service`. If none is, that is one wrong secret.
    ///
    /// # Errors
    /// None is.
    pub fn check_any<'a>(
        &self,
        service: &str,
        secrets: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), CredentialsError> {
        let (known, digest) = match self.0.digests.get(service) {
            Some(digest) => (true, *digest),
            None => (false, [0; 32]),
        };
        let is_right = secrets.into_iter().fold(false, |is_right, secret| {
            let given: [u8; 32] = Sha256::digest(secret).into();
            is_right | bool::from(given.ct_eq(&digest))
        });
        if is_right & known { Ok(()) } else { Err(self.failure()) }
    }

    fn failure(&self) -> CredentialsError {
        let mut failures = self.0.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.0.clock.now();
        let passed = (now - failures.since).to_std().unwrap_or_default();
        let back = passed.as_millis() / FAILURE_DELAY.as_millis();
        if back > 0 {
            failures.left = failures.left.saturating_add(u32::try_from(back).unwrap_or(u32::MAX));
            failures.left = failures.left.min(FAILURES_MAX);
            failures.since = now;
        }
        if failures.left == 0 {
            return CredentialsError::TooMany { retry_after: FAILURE_DELAY };
        }
        failures.left -= 1;
        CredentialsError::Wrong
    }
}

/// The service whose secret a key of `[services]` is.
pub(crate) fn service(key: &str) -> String {
    key.strip_suffix("_token").unwrap_or(key).replace('_', "-")
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("services", &self.0.digests.keys()).finish()
    }
}
