//! Counts of one phase, packed with its stamp, so that a call of another phase counts nothing.

use super::phase::{Stamp, high, low, pack};
use crate::sync::{AtomicU64, Ordering};

/// Failures in a row.
#[derive(Debug)]
pub(super) struct Run {
    tally: AtomicU64,
    /// How many open the breaker.
    threshold: u32,
}

impl Run {
    pub(super) fn new(threshold: u32) -> Self {
        Self { tally: AtomicU64::new(0), threshold: threshold.max(1) }
    }

    /// A success: the count starts again.
    #[inline]
    pub(super) fn end(&self, stamp: Stamp) {
        // A load alone in the usual case, so that the line stays shared between threads.
        let run = self.tally.load(Ordering::Relaxed);
        if low(run) != 0 {
            self.end_from(stamp, run);
        }
    }

    #[cold]
    fn end_from(&self, stamp: Stamp, mut run: u64) {
        while high(run) == stamp.0 && low(run) != 0 {
            let none = pack(stamp.0, 0);
            let swapped =
                self.tally.compare_exchange_weak(run, none, Ordering::Relaxed, Ordering::Relaxed);
            match swapped {
                Ok(_) => return,
                Err(now) => run = now,
            }
        }
    }

    /// Whether this failure makes the run long enough.
    pub(super) fn lengthen(&self, stamp: Stamp) -> bool {
        let longer = |run| {
            let same = high(run) == stamp.0;
            same.then(|| pack(stamp.0, low(run).saturating_add(1)))
        };
        let before = self.tally.fetch_update(Ordering::Relaxed, Ordering::Relaxed, longer);
        before.is_ok_and(|run| low(run).saturating_add(1) >= self.threshold)
    }

    /// Begins the phase.
    pub(super) fn begin(&self, stamp: Stamp) {
        self.tally.store(pack(stamp.0, 0), Ordering::Release);
    }
}

/// Trial calls: those in flight, and those that succeeded.
#[derive(Debug)]
pub(super) struct Trials {
    tally: AtomicU64,
    max: u32,
}

/// One trial call in flight, and one that succeeded, as parts of the tally.
const IN_FLIGHT: u64 = 1 << 16;
const SUCCEEDED: u64 = 1;

impl Trials {
    pub(super) fn new(max: u32) -> Self {
        Self { tally: AtomicU64::new(0), max: max.clamp(1, u32::from(u16::MAX)) }
    }

    /// Lets one through, if there is room.
    pub(super) fn enter(&self, stamp: Stamp) -> bool {
        let enter = |trials| self.is_free(stamp, trials).then(|| trials + IN_FLIGHT);
        self.tally.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_ok()
    }

    /// Ends one that succeeded; says whether all have, unless the phase is over.
    pub(super) fn succeed(&self, stamp: Stamp) -> bool {
        self.leave(stamp, SUCCEEDED) == Some(self.max)
    }

    /// Ends one that tells nothing: its place is free again.
    pub(super) fn give_back(&self, stamp: Stamp) {
        self.leave(stamp, 0);
    }

    /// Begins the phase.
    pub(super) fn begin(&self, stamp: Stamp) {
        self.tally.store(pack(stamp.0, 0), Ordering::Release);
    }

    /// Gives how many have succeeded, unless the phase is over.
    fn leave(&self, stamp: Stamp, gain: u64) -> Option<u32> {
        let leave = |trials| (high(trials) == stamp.0).then(|| trials - IN_FLIGHT + gain);
        let before = self.tally.fetch_update(Ordering::AcqRel, Ordering::Acquire, leave).ok()?;
        Some(low(before - IN_FLIGHT + gain) & u32::from(u16::MAX))
    }

    fn is_free(&self, stamp: Stamp, trials: u64) -> bool {
        let taken = (low(trials) >> 16) + (low(trials) & u32::from(u16::MAX));
        high(trials) == stamp.0 && taken < self.max
    }
}
