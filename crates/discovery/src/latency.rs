//! The latency of an instance: a moving average that follows a peak at once and forgets it slowly.
//!
//! Peak EWMA, as in Finagle and linkerd: a slower answer than the average replaces it, a faster one
//! pulls it down, the more the longer ago the last one was. So an instance that becomes slow is
//! avoided from its first slow answer on, and one that nobody asks looks better with time, until it
//! is asked again.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "estimates, and a constant that fits"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{AtomicTime, Time};

/// After this time a measurement has half of its say.
const HALF_LIFE: Duration = Duration::from_secs(5);
/// After so many, next to nothing is left.
const HALF_LIVES_MAX: u64 = 40;
/// The bits of 1.0, and by how much fewer halve it.
const ONE: u64 = 1.0_f64.to_bits();
const HALVED: u64 = 1 << (f64::MANTISSA_DIGITS - 1);
const HALF_LIFE_NANOS: u64 = HALF_LIFE.as_nanos() as u64;
/// What a failed call counts as at least, in nanoseconds, so that failing fast does not attract
/// calls.
const PENALTY: u64 = 1_000_000_000;

/// Both halves are read and written for themselves: a torn pair is a slightly wrong guess.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// Nanoseconds, by the bits of the number; 0 until anything was measured.
    average: AtomicU64,
    measured_at: AtomicTime,
}

impl Latency {
    /// Takes a call that took so many nanoseconds until now into the average.
    pub(crate) fn note(&self, taken: u64, now: Time, failed: bool) {
        let taken = if failed { taken.max(PENALTY) } else { taken } as f64;
        let old = self.average().unwrap_or_default();
        let weight = self.weight(Some(now));
        let new = if taken >= old { taken } else { old * weight + taken * (1.0 - weight) };
        self.average.store(new.max(1.0).to_bits(), Ordering::Relaxed);
        self.measured_at.store(Some(now));
    }

    /// Whether anything was measured.
    pub(crate) fn is_known(&self) -> bool {
        self.average().is_some()
    }

    /// Nanoseconds, fewer the longer before `now` they were measured; none while nothing was.
    pub(crate) fn estimate(&self, now: Option<Time>) -> Option<f64> {
        self.average().map(|average| average * self.weight(now))
    }

    fn average(&self) -> Option<f64> {
        let average = self.average.load(Ordering::Relaxed);
        (average > 0).then_some(f64::from_bits(average))
    }

    /// The part of the average that still counts: a half of it after each half-life, a straight
    /// line between. Every pick asks, and an exponential is slow: this is one by the bits of a
    /// number, of which the upper ones are its exponent.
    fn weight(&self, now: Option<Time>) -> f64 {
        let (Some(now), Some(at)) = (now, self.measured_at.load()) else { return 1.0 };
        let age = now.nanos_since(at).min(HALF_LIVES_MAX * HALF_LIFE_NANOS);
        f64::from_bits(ONE - age * (HALVED / HALF_LIFE_NANOS))
    }
}
