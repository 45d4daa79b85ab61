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

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{AtomicTime, Time};

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
    /// Nanoseconds, once anything was measured.
    average: AtomicU64,
    measured_at: AtomicTime,
}

impl Latency {
    /// Takes a call that took so many nanoseconds until now into the average.
    pub(crate) fn note(&self, taken: u64, now: Time, failed: bool) {
        let taken = if failed { taken.max(PENALTY) } else { taken } as f64;
        let old = self.average().map_or(0.0, |average| average.get() as f64);
        let weight = self.weight(Some(now));
        let new = if taken >= old { taken } else { old * weight + taken * (1.0 - weight) };
        self.average.store((new as u64).max(1), Ordering::Relaxed);
        self.measured_at.store(Some(now));
    }

    /// Whether anything was measured.
    pub(crate) fn is_known(&self) -> bool {
        self.average().is_some()
    }

    /// Nanoseconds, fewer the longer before `now` they were measured; none while nothing was.
    pub(crate) fn estimate(&self, now: Option<Time>) -> Option<f64> {
        self.average().map(|average| average.get() as f64 * self.weight(now))
    }

    fn average(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.average.load(Ordering::Relaxed))
    }

    /// The part of the average that still counts: a half of it after each half-life, a straight
    /// line between, since every pick asks and an exponential is slow.
    fn weight(&self, now: Option<Time>) -> f64 {
        let (Some(now), Some(at)) = (now, self.measured_at.load()) else { return 1.0 };
        let half_lives = now.nanos_since(at) as f64 * (1.0 / HALF_LIFE.as_nanos() as f64);
        let whole = (half_lives as u32).min(HALF_LIVES_MAX);
        // 2 to the power of -whole, by its exponent alone.
        let rest = (half_lives - f64::from(whole)).min(1.0);
        (1.0 - rest / 2.0) * f64::from_bits((1023 - u64::from(whole)) << 52)
    }
}
