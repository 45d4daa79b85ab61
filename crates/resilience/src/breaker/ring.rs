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
#[derive(Debug)]
pub(super) struct Ring([AtomicU64; SLOTS]);

impl Ring {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Counts one in `bucket`. A count stops at its maximum, four thousand million.
    pub(super) fn add(&self, bucket: u32) {
        self.add_if(bucket, |_| true);
    }

    /// Counts one in `bucket` if what it has counted so far is `fit`; says whether it was.
    #[inline]
    pub(super) fn add_if(&self, bucket: u32, fit: impl Fn(u32) -> bool) -> bool {
        let slot = self.slot(bucket);
        let mut old = slot.load(Ordering::Relaxed);
        loop {
            let counted = match high(old).wrapping_sub(bucket) {
                0 => low(old),
                // The bucket is long gone: so is what it counted.
                1..=AHEAD_MAX => return true,
                _ => 0,
            };
            if !fit(counted) {
                return false;
            }
            let new = pack(bucket, counted.saturating_add(1));
            match slot.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
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
