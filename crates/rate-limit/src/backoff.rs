//! A growing delay after failures, for what is guessed at: passwords.
//!
//! ```text
//! per account and address   free tries, then a delay that doubles up to a bound; a success forgets them
//! per account               a looser quota, for guesses from many addresses
//! ```
//!
//! The first is what stops a guesser, and it shuts nobody out but the guesser's own address. The
//! second would let whoever has many addresses shut the owner out; so it does not count for an address
//! from which the account was signed in to of late.
//!
//! A try is counted as a failure before it is made and forgotten when it succeeds. So tries at one
//! time are as many as tries one after the other, and a refused one costs no hash. An account is what
//! the request names, whether or not there is one: an unknown one behaves alike.

use std::time::Duration;

use chassis::ClientAddress;
use serde::Deserialize;
use tusk_config::ValidationError;

use crate::gcra::{Quota, micros};
use crate::{RateLimited, RateLimits, metrics};

/// Doublings after which a delay is as long as it gets, whatever the first one is.
const DOUBLINGS_MAX: u32 = 40;

/// How failures are answered.
#[derive(Debug, Clone, Deserialize)]
pub struct BackoffSettings {
    /// Failures of an account from an address before the first delay, 1 or more.
    pub free_failures: u32,
    /// The first delay; each further failure doubles it.
    pub initial_delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
    /// How long after the last failure all are forgotten; no shorter than the longest delay.
    pub forget_after: Duration,
    /// Tries at an account from all addresses that it does not know, in `account_per`.
    pub account_tries: u32,
    /// See `account_tries`.
    pub account_per: Duration,
    /// How long an account knows an address from which it was signed in to.
    pub known_for: Duration,
}

/// The same in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curve {
    pub(crate) free: u32,
    pub(crate) first: u64,
    pub(crate) longest: u64,
    pub(crate) forget_after: u64,
    pub(crate) account: Quota,
}

/// What is decided on a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It may be made; it is that failure, unless it succeeds.
    Admitted { failures: u32 },
    /// There were too many failures from this address.
    Blocked { wait: Duration, failures: u32 },
    /// There were too many tries from everywhere.
    AccountBlocked { wait: Duration },
}

/// The back-off of one kind of try. Cheap to clone; clones share the counts.
#[derive(Debug, Clone)]
pub struct Backoff {
    limits: RateLimits,
    route: &'static str,
    curve: Curve,
    known_for: u64,
}

/// A try that may be made. It counts as a failure for as long as nothing else is said.
#[derive(Debug)]
#[must_use]
pub struct Attempt<'b> {
    backoff: &'b Backoff,
    /// None: nothing is counted.
    keys: Option<[String; 3]>,
}

impl BackoffSettings {
    /// What cannot work; `section` is where they stand.
    pub fn check(&self, section: &str) -> Vec<ValidationError> {
        let day = Duration::from_hours(24);
        let at = |key: &str| format!("{section}.{key}");
        let delay = Duration::from_secs(1)..=day;
        let text = format!("{:?} is shorter than max_delay", self.forget_after);
        let forgets = self.forget_after >= self.max_delay;
        let grows = self.max_delay >= self.initial_delay;
        [
            ValidationError::outside(at("free_failures"), self.free_failures, 1..=1_000),
            ValidationError::outside(at("initial_delay"), self.initial_delay, delay.clone()),
            ValidationError::outside(at("max_delay"), self.max_delay, delay),
            ValidationError::unless(grows, at("max_delay"), "it is shorter than initial_delay"),
            ValidationError::outside(
                at("forget_after"),
                self.forget_after,
                Duration::ZERO..=day * 30,
            ),
            ValidationError::unless(forgets, at("forget_after"), text),
            ValidationError::outside(at("account_tries"), self.account_tries, 1..=1_000_000),
            ValidationError::outside(
                at("account_per"),
                self.account_per,
                Duration::from_secs(1)..=day,
            ),
            ValidationError::outside(
                at("known_for"),
                self.known_for,
                Duration::from_secs(1)..=day * 365,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Curve {
    fn new(settings: &BackoffSettings) -> Self {
        Self {
            free: settings.free_failures,
            first: micros(settings.initial_delay),
            longest: micros(settings.max_delay),
            forget_after: micros(settings.forget_after),
            account: Quota::new(settings.account_tries, settings.account_per),
        }
    }

    /// Microseconds of the delay that begins with this failure; 0 while they are free.
    pub(crate) fn delay(&self, failures: u32) -> u64 {
        let Some(doublings) = failures.checked_sub(self.free) else { return 0 };
        self.first.saturating_mul(1 << doublings.min(DOUBLINGS_MAX)).min(self.longest)
    }
}

impl Decision {
    pub(crate) fn blocked(micros: u64, failures: u32) -> Self {
        Self::Blocked { wait: Duration::from_micros(micros), failures }
    }
}

impl Backoff {
    /// The back-off of a route (`METHOD /path`), counted beside the limits of the service.
    pub fn new(limits: &RateLimits, route: &'static str, settings: &BackoffSettings) -> Self {
        for limit in ["backoff", "backoff-account"] {
            metrics::register(limits.0.service, route, limit);
        }
        let curve = Curve::new(settings);
        let known_for = micros(settings.known_for);
        Self { limits: limits.clone(), route, curve, known_for }
    }

    /// Begins a try at an account, which is counted under a keyed hash of its name.
    ///
    /// # Errors
    /// There were too many failures.
    pub async fn attempt(
        &self,
        account: &str,
        client: ClientAddress,
    ) -> Result<Attempt<'_>, RateLimited> {
        let shared = &*self.limits.0;
        if !shared.is_enabled {
            return Ok(Attempt { backoff: self, keys: None });
        }
        let keys = self.keys(account, client);
        let (wait, limit) = match shared.counters.attempt(&keys, &self.curve).await {
            Decision::Admitted { failures } => {
                self.log_initial_delay(failures);
                return Ok(Attempt { backoff: self, keys: Some(keys) });
            }
            Decision::Blocked { wait, .. } => (wait, "backoff"),
            Decision::AccountBlocked { wait } => (wait, "backoff-account"),
        };
        metrics::limited(shared.service, self.route, limit);
        Err(RateLimited { retry_after: wait })
    }

    /// Forgets the failures of an account from an address that has proven otherwise that it is the
    /// owner's, and has the account know the address.
    pub async fn forget(&self, account: &str, client: ClientAddress) {
        if self.limits.0.is_enabled {
            let keys = self.keys(account, client);
            self.limits.0.counters.succeed(&keys, self.known_for).await;
        }
    }

    fn keys(&self, account: &str, client: ClientAddress) -> [String; 3] {
        let hasher = &self.limits.0.hasher;
        let account = hasher.account(account);
        let address = hasher.address(client);
        let key = |kind: &str, whom: &str| format!("backoff:{kind}:{}:{whom}", self.route);
        let pair = format!("{account}:{address}");
        [key("tries", &pair), key("account", &account), key("known", &pair)]
    }

    /// One line for each account and address, whatever comes after it.
    fn log_initial_delay(&self, failures: u32) {
        if failures == self.curve.free {
            tracing::warn!(
                http.route = self.route,
                failures,
                "an account was tried so often from one address that further tries have to wait"
            );
        }
    }
}

impl Attempt<'_> {
    /// It succeeded: the failures before it are forgotten, and the account knows the address.
    pub async fn succeeded(self) {
        if let Some(keys) = &self.keys {
            let counters = &self.backoff.limits.0.counters;
            counters.succeed(keys, self.backoff.known_for).await;
        }
    }

    /// It was not decided, through no fault of the caller: it counts no longer.
    pub async fn undo(self) {
        if let Some(keys) = &self.keys {
            self.backoff.limits.0.counters.undo(keys, &self.backoff.curve).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_begin_with_the_last_free_failure_and_double_up_to_the_longest() {
        let minute = 60_000_000;
        let account = Quota::new(1, Duration::from_secs(1));
        let curve = Curve { free: 3, first: minute, longest: 5 * minute, forget_after: 0, account };
        let delays: Vec<u64> = (0..8).map(|failures| curve.delay(failures) / minute).collect();
        assert_eq!(delays, [0, 0, 0, 1, 2, 4, 5, 5]);
        assert_eq!(curve.delay(u32::MAX) / minute, 5);
    }
}
