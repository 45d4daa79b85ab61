//! The latency of an instance: a moving average that follows a peak at once and forgets it slowly.
//!
//! Peak EWMA, as in Finagle and linkerd: a slower answer than the average replaces it, a faster one
//! pulls it down, the more the longer ago the last one was. So an instance that becomes slow is
//! avoided from its first slow answer on, and one that nobody asks looks better with time, until it
//! is asked again.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "estimates; times are not negative"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;

/// After this time a measurement has half of its say.
const HALF_LIFE: Duration = Duration::from_secs(5);
/// After so many, next to nothing is left.
const HALF_LIVES_MAX: u32 = 40;
/// What a failed call counts as at least, in nanoseconds, so that failing fast does not attract
/// calls.
const PENALTY: u64 = 1_000_000_000;

/// Both halves are read and written for themselves: a torn pair is a slightly wrong guess.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// Nanoseconds; 0 while nothing was measured.
    average: AtomicU64,
    /// When it was measured, as [`clock::nanos`].
    at: AtomicU64,
}

impl Latency {
    /// Takes the time since `began` ([`clock::nanos`]) into the average.
    pub(crate) fn note(&self, began: u64, failed: bool) {
        let at = clock::now();
        let taken = at.saturating_sub(began);
        let taken = if failed { taken.max(PENALTY) } else { taken } as f64;
        let old = self.average.load(Ordering::Relaxed) as f64;
        let say = self.say(at);
        let new = if taken >= old { taken } else { old * say + taken * (1.0 - say) };
        self.average.store((new as u64).max(1), Ordering::Relaxed);
        self.at.store(at, Ordering::Relaxed);
    }

    /// Takes a failure of a call that nobody measured into the average.
    pub(crate) fn note_failure(&self) {
        self.note(clock::now(), true);
    }

    /// Whether anything was measured.
    pub(crate) fn is_known(&self) -> bool {
        self.average.load(Ordering::Relaxed) > 0
    }

    /// Nanoseconds, fewer the longer before `now` ([`clock::nanos`]) they were measured; none while
    /// nothing was.
    pub(crate) fn estimate(&self, now: u64) -> Option<f64> {
        let average = self.average.load(Ordering::Relaxed);
        (average > 0).then(|| average as f64 * self.say(now))
    }

    /// The part of the average that still counts: a half of it after each half-life, a straight
    /// line between, since every pick asks and an exponential is slow.
    fn say(&self, now: u64) -> f64 {
        let age = now.saturating_sub(self.at.load(Ordering::Relaxed)) as f64;
        let half_lives = age * (1.0 / HALF_LIFE.as_nanos() as f64);
        let whole = (half_lives as u32).min(HALF_LIVES_MAX);
        // 2 to the power of -whole, by its exponent alone.
        let rest = (half_lives - f64::from(whole)).min(1.0);
        (1.0 - rest / 2.0) * f64::from_bits((1023 - u64::from(whole)) << 52)
    }
}

impl Clone for Latency {
    fn clone(&self) -> Self {
        let copy = |value: &AtomicU64| AtomicU64::new(value.load(Ordering::Relaxed));
        Self { average: copy(&self.average), at: copy(&self.at) }
    }
}
