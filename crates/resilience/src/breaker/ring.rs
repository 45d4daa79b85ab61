//! Counts by time bucket, without a lock: each slot carries the number of the bucket it counts.

use super::phase::{high, low, pack};
use crate::sync::{AtomicU64, Ordering};

/// Buckets that a window looks back on.
pub(super) const BUCKETS: u32 = 10;
/// Slots: more than buckets, so that a slot's number is a mask and a ring fills one cache line pair.
const SLOTS: usize = if cfg!(loom_resilience) { 1 } else { 16 };
/// A slot whose number is ahead by up to this was reused while a thread slept.
const AHEAD_MAX: u32 = 1 << 16;

/// How far bucket numbers jump when all that was counted is to be forgotten.
pub(super) const JUMP: u32 = 16;

/// Counts of the last ten buckets; older ones are overwritten when their slot is needed.
#[derive(Debug)]
pub(super) struct Ring([AtomicU64; SLOTS]);

impl Ring {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// What `bucket` has counted.
    pub(super) fn count(&self, bucket: u32) -> u32 {
        let slot = self.slot(bucket).load(Ordering::Relaxed);
        if high(slot) == bucket { low(slot) } else { 0 }
    }

    /// Counts one in `bucket`. A count stops at its maximum, four thousand million.
    pub(super) fn add(&self, bucket: u32) {
        let slot = self.slot(bucket);
        let mut old = slot.load(Ordering::Relaxed);
        loop {
            let new = match high(old).wrapping_sub(bucket) {
                0 => pack(bucket, low(old).saturating_add(1)),
                // The bucket is long gone: so is what it counted.
                1..=AHEAD_MAX => return,
                _ => pack(bucket, 1),
            };
            match slot.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
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
