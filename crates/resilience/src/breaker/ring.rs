//! Counts by time bucket, without a lock: each slot carries the number of the bucket it counts.

use super::phase::{high, low, pack};
use crate::sync::{AtomicU64, Ordering};

/// Buckets that a window looks back on.
pub(super) const BUCKETS: u32 = 10;
/// Slots: more than buckets, so that a slot's number is a mask and a ring fills one cache line pair.
const SLOTS: usize = if cfg!(loom_resilience) { 1 } else { 16 };
/// A slot whose number is ahead by up to this was reused while a thread slept.
const AHEAD_MAX: u32 = 1 << 16;

/// How far bucket numbers of one phase are from those of the next: out of its window.
pub(super) const JUMP: u32 = 16;

/// Counts of the last ten buckets; older ones are overwritten when their slot is needed.
#[derive(Debug, Default)]
pub(super) struct Ring([AtomicU64; SLOTS]);

impl Ring {
    /// Counts one in `bucket`. A count stops at its maximum, four thousand million.
    pub(super) fn add(&self, bucket: u32) {
        let add = |slot| Some(one_more(bucket, counted(slot, bucket)?));
        let _long_gone = self.slot(bucket).fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Counts one in `bucket` if what it has counted so far is `fit`; says whether it was. No other
    /// thread may write here: a load and a store cost a fraction of what an exchange does.
    #[inline]
    pub(super) fn add_alone_if(&self, bucket: u32, fit: impl Fn(u32) -> bool) -> bool {
        let slot = self.slot(bucket);
        let Some(counted) = counted(slot.load(Ordering::Relaxed), bucket) else { return true };
        let is_fit = fit(counted);
        if is_fit {
            slot.store(one_more(bucket, counted), Ordering::Relaxed);
        }
        is_fit
    }

    /// What the window that ends with `bucket` has counted.
    pub(super) fn sum(&self, bucket: u32) -> u64 {
        let slots = self.0.iter().map(|slot| slot.load(Ordering::Relaxed));
        let within = slots.filter(|slot| bucket.wrapping_sub(high(*slot)) < BUCKETS);
        within.map(|slot| u64::from(low(slot))).sum()
    }

    fn slot(&self, bucket: u32) -> &AtomicU64 {
        &self.0[bucket as usize % SLOTS]
    }
}

/// What a slot has counted of `bucket`; none when that is long gone, and with it what it counted.
#[inline]
fn counted(slot: u64, bucket: u32) -> Option<u32> {
    match high(slot).wrapping_sub(bucket) {
        0 => Some(low(slot)),
        1..=AHEAD_MAX => None,
        _ => Some(0),
    }
}

#[inline]
fn one_more(bucket: u32, counted: u32) -> u64 {
    pack(bucket, counted.saturating_add(1))
}
