//! `ip_hash`: which instance a key belongs to.
//!
//! A fixed number of buckets, each of which belongs to the instance with the highest score there
//! (rendezvous hashing, Thaler and Ravishankar 1998). The scores are worked out when the set
//! changes, so that a pick reads one cell. An instance that goes leaves its own buckets to others,
//! and no other bucket moves; a table by Maglev would be a little more even but moves more.
//!
//! Load is bounded as in "Consistent Hashing with Bounded Loads" (Mirrokni et al. 2016): an instance
//! with more calls in flight than 1.25 times the mean is passed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::endpoint::Member;
use crate::random::{below, mix, next, unit};

/// Buckets; a power of two. With 100 instances the busiest has about a quarter more than the mean.
const BUCKETS: usize = 8192;
/// Calls in flight up to which no instance is overloaded, whatever the mean.
const FREE: usize = 4;
/// How many further choices of a key are looked at.
const CHOICES: usize = 8;
/// Every so many picks that meet more than `FREE` calls, the mean is worked out anew.
const MEAN_EVERY: usize = 16;

#[derive(Debug)]
pub(crate) struct Table {
    /// Index of the slot that a bucket belongs to.
    buckets: Box<[u16]>,
    /// Calls in flight at which an instance is passed over.
    limit: AtomicUsize,
}

impl Table {
    /// A table of the first 65,536 slots: there are fewer buckets anyway.
    pub(crate) fn new(slots: &[Arc<Member>]) -> Self {
        let seeds: Vec<(u64, f64)> = slots
            .iter()
            .map(|slot| (hash(&slot.instance.authority()), f64::from(slot.instance.weight.max(1))))
            .collect();
        let is_even = seeds.windows(2).all(|pair| pair[0].1.total_cmp(&pair[1].1).is_eq());
        let owner = |bucket: u64| {
            let score = |seed: u64| mix(mix(bucket) ^ seed);
            let indices = 0..=u16::MAX;
            let owner = if is_even {
                indices.zip(&seeds).max_by_key(|(_, (seed, _))| score(*seed))
            } else {
                // The same order for equal weights: -ln turns a share of the numbers into one of
                // the buckets.
                let weighted = |seed, weight: f64| -(unit(score(seed)).ln()) / weight;
                indices.zip(&seeds).min_by(|(_, one), (_, other)| {
                    weighted(one.0, one.1).total_cmp(&weighted(other.0, other.1))
                })
            };
            owner.map_or(0, |(index, _)| index)
        };
        let buckets = (0..BUCKETS as u64).map(owner).collect();
        Self { buckets, limit: AtomicUsize::new(FREE) }
    }

    /// The slot for a hashed key: its own, or the next of its choices that `fits` and is not
    /// overloaded. There is at least one slot.
    pub(crate) fn pick(
        &self,
        slots: &[Arc<Member>],
        key: u64,
        fits: impl Fn(&Member) -> bool,
    ) -> usize {
        let home = self.owner(key);
        if fits(&slots[home]) && self.has_room(slots, home) {
            return home;
        }
        self.pick_another(slots, key, fits)
    }

    #[cold]
    fn pick_another(
        &self,
        slots: &[Arc<Member>],
        key: u64,
        fits: impl Fn(&Member) -> bool,
    ) -> usize {
        let mut choice = key;
        for _ in 0..CHOICES {
            choice = mix(choice.wrapping_add(1));
            let index = self.owner(choice);
            if fits(&slots[index]) && self.has_room(slots, index) {
                return index;
            }
        }
        // One key with very many calls, or many that are ejected: anyone with room, or anyone.
        let home = self.owner(key);
        let others = (0..slots.len()).map(|step| (home + step) % slots.len());
        let mut fitting = others.filter(|index| fits(&slots[*index]));
        let first = fitting.next().unwrap_or(home);
        if self.has_room(slots, first) {
            return first;
        }
        fitting.find(|index| self.has_room(slots, *index)).unwrap_or(first)
    }

    /// The slot that a hashed key belongs to.
    fn owner(&self, key: u64) -> usize {
        usize::from(self.buckets[below(key, BUCKETS)])
    }

    fn has_room(&self, slots: &[Arc<Member>], index: usize) -> bool {
        let in_flight = slots[index].in_flight();
        in_flight < FREE || self.is_below_limit(slots, in_flight)
    }

    #[cold]
    fn is_below_limit(&self, slots: &[Arc<Member>], in_flight: usize) -> bool {
        // Looking at all of them at each pick would cost more the more there are.
        if below(next(), MEAN_EVERY) == 0 {
            let total: usize = slots.iter().map(|slot| slot.in_flight()).sum();
            let limit = ((total + 1) * 5).div_ceil(slots.len() * 4);
            self.limit.store(limit.max(FREE), Ordering::Relaxed);
        }
        in_flight < self.limit.load(Ordering::Relaxed)
    }
}

/// The same number for the same text, in every process and version.
pub(crate) fn hash(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let (words, rest) = bytes.as_chunks::<8>();
    // The last word overlaps the one before it, so that no text but a short one goes byte by byte.
    let last = match bytes.last_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None => rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let start = fold(bytes.len() as u64 ^ SEED);
    let hash = words.iter().fold(start, |hash, word| fold(hash ^ u64::from_le_bytes(*word)));
    mix(hash ^ last)
}

/// Bits of pi, which follow no pattern.
const SEED: u64 = 0x243f_6a88_85a3_08d3;
const FACTOR: u64 = 0x1319_8a2e_0370_7345;

/// Spreads the bits of a number less well than [`mix`], in less time: both halves of a product.
#[allow(clippy::cast_possible_truncation, reason = "the halves of one product")]
fn fold(bits: u64) -> u64 {
    let product = u128::from(bits) * u128::from(FACTOR);
    product as u64 ^ (product >> 64) as u64
}
