//! The last ten time buckets of calls, for the ratios.
//!
//! Failures and slow calls read the clock and are counted exactly. Successes are counted per thread,
//! and read the clock only now and then: for each of the first 32 that a thread counts in a bucket,
//! then for every second up to 64, every fourth up to 128, and so on. Whoever reads it moves the
//! current bucket on for all threads. So up to 32 successes in a bucket and thread are exact, and
//! of more than that at most a sixteenth stand in a bucket older than theirs.

use std::time::Duration;

use tokio::time::Instant;

use super::CircuitBreakerSettings;
use super::events::Cause;
use super::phase::Stamp;
use super::ring::{BUCKETS, JUMP, Ring};
use crate::stripes::Stripes;

/// The shortest bucket.
const WIDTH_MIN: Duration = Duration::from_millis(1);
/// Successes of a bucket and thread up to which each reads the clock: 2 to this power.
const EXACT_BITS: u32 = 5;

/// What a breaker's window has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that ended, but for neutral ones.
    pub calls: u64,
    /// Those that failed or were throttled.
    pub failures: u64,
    /// Those that were slow.
    pub slow: u64,
}

#[derive(Debug)]
pub(super) struct Window {
    created: Instant,
    width_nanos: u64,
    minimum_calls: u64,
    failure_ratio: f64,
    slow_ratio: f64,
    slow_duration: Duration,
    succeeded: Stripes<Ring>,
    failed: Ring,
    slow: Ring,
}

impl Window {
    /// None when no ratio is on.
    pub(super) fn new(settings: &CircuitBreakerSettings, created: Instant) -> Option<Self> {
        if settings.failure_ratio <= 0.0 && settings.slow_call_ratio <= 0.0 {
            return None;
        }
        let width = (settings.window / BUCKETS).max(WIDTH_MIN);
        Some(Self {
            created,
            width_nanos: nanos(width),
            minimum_calls: u64::from(settings.minimum_calls.max(1)),
            failure_ratio: settings.failure_ratio,
            slow_ratio: settings.slow_call_ratio,
            slow_duration: settings.slow_call_duration,
            succeeded: Stripes::default(),
            failed: Ring::default(),
            slow: Ring::default(),
        })
    }

    pub(super) fn times_calls(&self) -> bool {
        self.slow_ratio > 0.0
    }

    /// Whether a call that took so long was slow.
    pub(super) fn is_slow(&self, taken: Duration) -> bool {
        taken >= self.slow_duration
    }

    /// The bucket of this moment in this phase. Phases number their buckets so far apart that none
    /// sees what another counted, whatever a thread that was overtaken still does.
    #[allow(clippy::cast_possible_truncation, reason = "bucket numbers may wrap")]
    pub(super) fn bucket_at(&self, stamp: Stamp, now: Instant) -> u32 {
        let buckets = nanos(now.saturating_duration_since(self.created)) / self.width_nanos;
        stamp.number().wrapping_mul(JUMP).wrapping_add(buckets as u32)
    }

    /// Counts a success in this bucket, unless the clock has to be read first to know the bucket.
    #[inline]
    pub(super) fn try_success(&self, bucket: u32) -> bool {
        self.succeeded.mine().add_alone_if(bucket, |counted| {
            let step_bits = u32::BITS - (counted >> EXACT_BITS).leading_zeros();
            counted.trailing_zeros() < step_bits
        })
    }

    pub(super) fn success(&self, bucket: u32) {
        self.succeeded.mine().add_alone_if(bucket, |_| true);
    }

    pub(super) fn failure(&self, bucket: u32) {
        self.failed.add(bucket);
    }

    pub(super) fn slow(&self, bucket: u32) {
        self.slow.add(bucket);
    }

    pub(super) fn counts(&self, bucket: u32) -> Counts {
        let failures = self.failed.sum(bucket);
        let successes: u64 = self.succeeded.iter().map(|ring| ring.sum(bucket)).sum();
        Counts { calls: failures + successes, failures, slow: self.slow.sum(bucket) }
    }

    /// Why the window that ends with this bucket is a reason to open, if it is.
    pub(super) fn verdict(&self, bucket: u32) -> Option<Cause> {
        let counts = self.counts(bucket);
        if counts.calls < self.minimum_calls {
            None
        } else if reaches(counts.failures, counts.calls, self.failure_ratio) {
            Some(Cause::FailureRatio)
        } else if reaches(counts.slow, counts.calls, self.slow_ratio) {
            Some(Cause::SlowCalls)
        } else {
            None
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn reaches(part: u64, all: u64, ratio: f64) -> bool {
    ratio > 0.0 && part > 0 && part as f64 >= ratio * all as f64
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
