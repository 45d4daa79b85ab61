//! Outlier detection by comparison: which endpoints do far worse than their peers.
//!
//! Every `outlier_interval` the success rate of each endpoint and the mean time of its calls are
//! compared with the median of the *others*. Envoy compares with the mean less 1.9 standard deviations
//! of all, below which one of fewer than five can never fall, as the outlier itself makes the deviation;
//! most services here have two or three endpoints.

#![allow(clippy::cast_precision_loss, reason = "rates and times")]

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::endpoint::Calls;
use crate::{EjectionReason, LoadBalancingSettings};

/// So many standard deviations lie between two success rates that differ by more than chance.
const DEVIATIONS: f64 = 3.0;
/// The fewest measured calls whose mean says something.
const MEASURED_MIN: u32 = 5;
/// No endpoint is ejected as slow whose calls take less, in nanoseconds: a multiple of next to nothing
/// is nothing still.
const SLOW_MIN: f64 = 20_000_000.0;

/// What the calls of an endpoint came to since they were last looked at.
#[derive(Debug, Default)]
pub(crate) struct Window {
    failures: AtomicU32,
    measured: AtomicU32,
    /// Nanoseconds that the measured calls took together.
    taken: AtomicU64,
    /// [`Calls::ended`] when they were last looked at.
    seen: Mutex<u32>,
}

impl Window {
    pub(crate) fn note_failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_taken(&self, nanos: u64) {
        self.measured.fetch_add(1, Relaxed);
        self.taken.fetch_add(nanos, Relaxed);
    }

    /// What there is, and begins anew; fewer calls than `min` wait for more. A call that says nothing
    /// counts as one that did not fail: to count it apart would cost each pick a write more.
    pub(crate) fn take(&self, calls: &Calls, min: u32) -> Option<Sample> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = calls.ended();
        let calls = ended.wrapping_sub(*seen);
        if calls < min.max(1) {
            return None;
        }
        *seen = ended;
        let failures = self.failures.swap(0, Relaxed).min(calls);
        // Too few measured calls wait for more, too.
        let mean = (self.measured.load(Relaxed) >= MEASURED_MIN).then(|| {
            let measured = self.measured.swap(0, Relaxed);
            let taken = self.taken.swap(0, Relaxed);
            taken as f64 / f64::from(measured.max(1))
        });
        let calls = f64::from(calls);
        Some(Sample { calls, success_rate: 1.0 - f64::from(failures) / calls, mean })
    }
}

/// The calls of an endpoint in some time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    calls: f64,
    /// From 0 to 1.
    success_rate: f64,
    /// Nanoseconds that a call took, where enough were measured.
    mean: Option<f64>,
}

/// Which of these do far worse than their peers, and in what.
pub(crate) fn outliers(
    samples: &[Sample],
    settings: &LoadBalancingSettings,
) -> Vec<(usize, EjectionReason)> {
    let others = |index: usize| {
        let others = samples.iter().enumerate().filter(move |(other, _)| *other != index);
        others.map(|(_, sample)| sample)
    };
    let fails = |index: usize, sample: &Sample| {
        let margin = f64::from(settings.success_rate_margin) / 100.0;
        let usual = median(others(index).map(|other| other.success_rate));
        let calls: f64 = others(index).map(|other| other.calls).sum();
        usual.is_some_and(|usual| {
            let variance = usual * (1.0 - usual) * (1.0 / sample.calls + 1.0 / calls);
            sample.success_rate < usual - margin.max(DEVIATIONS * variance.sqrt())
        })
    };
    let is_slow = |index: usize, sample: &Sample| {
        let usual = median(others(index).filter_map(|other| other.mean));
        sample.mean.zip(usual).is_some_and(|(mean, usual)| {
            mean > SLOW_MIN && mean > usual * f64::from(settings.latency_factor)
        })
    };
    let judge = |(index, sample): (usize, &Sample)| {
        if settings.success_rate_margin > 0 && fails(index, sample) {
            return Some((index, EjectionReason::SuccessRate));
        }
        let slow = settings.latency_factor > 0 && is_slow(index, sample);
        slow.then_some((index, EjectionReason::Latency))
    };
    samples.iter().enumerate().filter_map(judge).collect()
}

/// The one in the middle; of two, the mean.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let low = values.get(values.len().saturating_sub(1) / 2)?;
    let high = values[values.len() / 2];
    Some(f64::midpoint(*low, high))
}
