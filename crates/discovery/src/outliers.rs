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
    let rates = Sorted::new(samples.iter().map(|sample| sample.success_rate));
    let means = Sorted::new(samples.iter().filter_map(|sample| sample.mean));
    let all_calls: f64 = samples.iter().map(|sample| sample.calls).sum();
    let fails = |sample: &Sample| {
        let margin = f64::from(settings.success_rate_margin) / 100.0;
        let calls = all_calls - sample.calls;
        rates.median_of_others(sample.success_rate).is_some_and(|usual| {
            let variance = usual * (1.0 - usual) * (1.0 / sample.calls + 1.0 / calls);
            sample.success_rate < usual - margin.max(DEVIATIONS * variance.sqrt())
        })
    };
    let is_slow = |sample: &Sample| {
        let usual = |mean| Some((mean, means.median_of_others(mean)?));
        sample.mean.and_then(usual).is_some_and(|(mean, usual)| {
            mean > SLOW_MIN && mean > usual * f64::from(settings.latency_factor)
        })
    };
    let judge = |(index, sample): (usize, &Sample)| {
        if settings.success_rate_margin > 0 && fails(sample) {
            return Some((index, EjectionReason::SuccessRate));
        }
        let slow = settings.latency_factor > 0 && is_slow(sample);
        slow.then_some((index, EjectionReason::Latency))
    };
    samples.iter().enumerate().filter_map(judge).collect()
}

/// Values in their order: sorted once for all that are compared with the others.
struct Sorted(Vec<f64>);

impl Sorted {
    fn new(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        Self(values)
    }

    /// The one in the middle of all but this one; of two, the mean. None when there is no other.
    fn median_of_others(&self, this: f64) -> Option<f64> {
        let others = self.0.len().checked_sub(1).filter(|others| *others > 0)?;
        let place = self.0.partition_point(|other| other.total_cmp(&this).is_lt());
        let at = |index: usize| self.0[index + usize::from(index >= place)];
        Some(f64::midpoint(at((others - 1) / 2), at(others / 2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_others_is_that_of_all_but_one() {
        for count in 0..8 {
            // Of values of which some are there twice.
            let values: Vec<f64> = (0..count).map(|number| f64::from(number * 5 % 4)).collect();
            let sorted = Sorted::new(values.iter().copied());
            for (index, value) in values.iter().enumerate() {
                let mut others = values.clone();
                others.remove(index);
                others.sort_unstable_by(f64::total_cmp);
                let middle = others.len() / 2;
                let expected = match others.len() {
                    0 => None,
                    odd if odd % 2 == 1 => Some(others[middle]),
                    _ => Some(f64::midpoint(others[middle - 1], others[middle])),
                };
                assert_eq!(sorted.median_of_others(*value), expected, "{values:?} {index}");
            }
        }
    }
}
