//! The tokens with which this service calls others: kept, and renewed before they end.
//!
//! A token is renewed once four fifths of its life are over, a little earlier or later so that
//! replicas do not all do it at once. One caller renews, the others go on with the token they have;
//! when renewing fails it is used until its end, or until a target refuses it. Only while there is no valid token do callers wait,
//! for one renewal together.
//!
//! `auth_service_tokens_issued_total{service, outcome}` counts them by target: `ok` or `failed`. A token
//! that cannot be renewed ends its calls when its life is over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use chassis::Clock;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tusk_config::Secret;

use crate::tokens::{Token, Tokens};

/// Targets whose tokens are kept at most; a service calls a handful.
const TARGETS_MAX: usize = 64;
/// Longest time to wait for the issuer.
const ISSUE_TIMEOUT: Duration = Duration::from_secs(5);
/// After a failure the issuer is left alone this long.
const FAILURE_DELAY: Duration = Duration::from_secs(1);
/// A token so near its end is not sent any more: it must arrive in time.
const MARGIN: Duration = Duration::from_secs(5);

/// Makes service tokens, or gets them.
pub trait TokenIssuer: Send + Sync {
    /// A new token with which this service calls `target`.
    fn issue<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Token, IssueError>>;
}

/// There is no token. Says why for the operator, and nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no token for {target}: {reason}")]
pub struct IssueError {
    /// The service to be called.
    pub target: String,
    /// What went wrong.
    pub reason: String,
}

/// Tokens by target. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct ServiceTokens(Arc<Shared>);

struct Shared {
    issuer: Box<dyn TokenIssuer>,
    clock: Clock,
    entries: Mutex<BTreeMap<String, Arc<CacheEntry>>>,
}

#[derive(Default)]
struct CacheEntry {
    cached: ArcSwapOption<CachedToken>,
    /// Locked while a token is asked for.
    issuing: tokio::sync::Mutex<Option<Failure>>,
}

struct CachedToken {
    token: Token,
    /// When it came.
    at: DateTime<Utc>,
    renew_at: DateTime<Utc>,
}

struct Failure {
    until: DateTime<Utc>,
    error: IssueError,
}

impl ServiceTokens {
    /// Tokens from `issuer`.
    pub fn new(issuer: impl TokenIssuer + 'static, clock: Clock) -> Self {
        let issuer = Box::new(issuer);
        let entries = Mutex::default();
        Self(Arc::new(Shared { issuer, clock, entries }))
    }

    /// The token for calls to `target`.
    ///
    /// # Errors
    /// There is none that is valid, and none was to be had.
    pub async fn token(&self, target: &str) -> Result<Secret<String>, IssueError> {
        let entry = self.entry(target)?;
        let now = self.0.clock.now();
        let cached = entry.cached.load_full().filter(|cached| cached.is_valid(now));
        match cached {
            Some(cached) if now < cached.renew_at => Ok(cached.token.value.clone()),
            Some(cached) => Ok(self.renewed(&entry, target, &cached).await),
            None => self.issued(&entry, target).await,
        }
    }

    /// The target refused this token: its key is gone, or it carries less than a rule that has come since. The next
    /// call gets a new one. At most once a second, and not when it has been replaced meanwhile.
    pub fn refused(&self, target: &str, token: &Secret<String>) {
        let Ok(entry) = self.entry(target) else { return };
        let cached = entry.cached.load_full();
        let since = self.0.clock.now() - FAILURE_DELAY;
        if cached.is_some_and(|cached| {
            cached.token.value.expose() == token.expose() && cached.at <= since
        }) {
            entry.cached.store(None);
        }
    }

    /// A new token, or the one at hand when somebody is at it already or it cannot be had.
    async fn renewed(
        &self,
        entry: &CacheEntry,
        target: &str,
        cached: &CachedToken,
    ) -> Secret<String> {
        let old = || cached.token.value.clone();
        let Ok(mut failure) = entry.issuing.try_lock() else { return old() };
        let renewed = self.issue(entry, target, &mut failure).await;
        renewed.unwrap_or_else(|_| old())
    }

    async fn issued(&self, entry: &CacheEntry, target: &str) -> Result<Secret<String>, IssueError> {
        let mut failure = entry.issuing.lock().await;
        self.issue(entry, target, &mut failure).await
    }

    /// Asks the issuer, unless that was done while this caller waited for its turn.
    async fn issue(
        &self,
        entry: &CacheEntry,
        target: &str,
        failure: &mut Option<Failure>,
    ) -> Result<Secret<String>, IssueError> {
        let now = self.0.clock.now();
        let fresh = entry.cached.load_full().filter(|cached| now < cached.renew_at);
        if let Some(cached) = fresh {
            return Ok(cached.token.value.clone());
        }
        if let Some(failure) = failure.as_ref().filter(|failure| now < failure.until) {
            return Err(failure.error.clone());
        }
        let late = || IssueError::new(target, "the issuer did not answer in time");
        let issued = tokio::time::timeout(ISSUE_TIMEOUT, self.0.issuer.issue(target)).await;
        let issued = issued.unwrap_or_else(|_| Err(late()));
        count(target, if issued.is_ok() { "ok" } else { "failed" }, 1);
        match issued {
            Ok(token) => {
                *failure = None;
                let value = token.value.clone();
                let cached = CachedToken::new(token, self.0.clock.now());
                entry.cached.store(Some(Arc::new(cached)));
                Ok(value)
            }
            Err(error) => {
                tracing::warn!(error = %error, "no new service token");
                let until = self.0.clock.now() + FAILURE_DELAY;
                *failure = Some(Failure { until, error: error.clone() });
                Err(error)
            }
        }
    }

    fn entry(&self, target: &str) -> Result<Arc<CacheEntry>, IssueError> {
        let mut entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(target) {
            return Ok(entry.clone());
        }
        if entries.len() >= TARGETS_MAX {
            return Err(IssueError::new(target, "too many targets"));
        }
        // Series that are there from the beginning: the first failure is an increase too.
        count(target, "ok", 0);
        count(target, "failed", 0);
        Ok(entries.entry(target.to_owned()).or_default().clone())
    }
}

fn count(target: &str, outcome: &str, times: u64) {
    let help = "Service tokens made or got, by target and outcome.";
    let labels = ["service", "outcome"];
    let issued = telemetry::metrics::counter("auth_service_tokens_issued_total", help, &labels);
    issued.with_label_values(&[target, outcome]).inc_by(times);
}

impl IssueError {
    /// Why there is no token for `target`.
    pub fn new(target: &str, reason: impl Into<String>) -> Self {
        Self { target: target.to_owned(), reason: reason.into() }
    }
}

impl CachedToken {
    fn new(token: Token, now: DateTime<Utc>) -> Self {
        // 75 to 85 % of its life.
        let share = 0.8 + 0.05 * (2.0 * rand::random::<f64>() - 1.0);
        let renew_at = now + token.lifetime.mul_f64(share);
        Self { token, at: now, renew_at }
    }

    fn is_valid(&self, now: DateTime<Utc>) -> bool {
        now + MARGIN.min(self.token.lifetime / 10) < self.token.expires_at
    }
}

/// A service that holds the key makes its tokens itself.
impl TokenIssuer for Tokens {
    fn issue<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Token, IssueError>> {
        let token = self.for_service(target);
        let token = token.map_err(|error| IssueError::new(target, error.to_string()));
        Box::pin(std::future::ready(token))
    }
}

impl fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokens").finish_non_exhaustive()
    }
}
