//! `ip_hash`: which endpoint a key belongs to.
//!
//! A fixed number of buckets, each of which belongs to the endpoint with the highest score there
//! (rendezvous hashing, Thaler and Ravishankar 1998). The scores are worked out when the endpoints
//! change, so that a pick reads one cell. An endpoint that goes leaves its own buckets to others,
//! and no other bucket moves; a table by Maglev would be a little more even but moves more. Hashes are
//! those of XXH3, which are the same in every process and version.
//!
//! Load is bounded as in "Consistent Hashing with Bounded Loads" (Mirrokni et al. 2016): an endpoint
//! with more calls in flight than 1.25 times its part of them, by its weight, is passed over.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::endpoint::Endpoint;

/// Buckets; a power of two. With 100 instances the busiest has about a quarter more than the mean.
const BUCKETS: u64 = 1 << BITS;
const BITS: u32 = 13;
/// Calls in flight up to which no instance is overloaded, whatever the mean.
const FREE: u32 = 4;
/// How many further choices of a key are looked at.
const CHOICES: usize = 8;
/// Every so many picks that meet more than `FREE` calls, the mean is worked out anew.
const MEAN_EVERY: u8 = 16;

#[derive(Debug)]
pub(crate) struct Table {
    /// Hash and weight of each slot.
    hashes: Vec<(u64, f64)>,
    /// Index of the slot that a bucket belongs to.
    buckets: Arc<[u16]>,
    /// Whether a slot takes calls; keys of one that does not go elsewhere until it does again.
    takes: Box<[bool]>,
    /// Calls in flight at which an instance of the mean weight is passed over.
    limit: AtomicU32,
    mean_weight: f64,
}

impl Table {
    /// A table of the first 65,536 slots: there are fewer buckets anyway. Scores are taken over from the
    /// table before it where they are the same.
    #[allow(clippy::cast_precision_loss, reason = "a set has far fewer than 2^52 slots")]
    pub(crate) fn new(
        weighted: &[(Arc<Endpoint>, f64)],
        takes: Box<[bool]>,
        before: Option<&Self>,
    ) -> Self {
        let hashed = |(endpoint, weight): &(Arc<Endpoint>, f64)| {
            (hash(&endpoint.instance.authority()), *weight)
        };
        let hashes: Vec<_> = weighted.iter().map(hashed).collect();
        let buckets = match before {
            Some(before) if before.hashes == hashes => before.buckets.clone(),
            before => owners(&hashes, before),
        };
        let mean_weight =
            hashes.iter().map(|(_, weight)| weight).sum::<f64>() / hashes.len() as f64;
        Self { hashes, buckets, takes, limit: AtomicU32::new(FREE), mean_weight }
    }

    /// The slot for a hashed key: its own, or the next of its choices that takes calls and is not
    /// overloaded. There is at least one slot.
    pub(crate) fn pick(&self, slots: &[Arc<Endpoint>], key: u64) -> usize {
        let home = self.home(key);
        if self.has_room(slots, home) { home } else { self.pick_another(slots, key) }
    }

    #[cold]
    fn pick_another(&self, slots: &[Arc<Endpoint>], key: u64) -> usize {
        let choices = (1..=CHOICES as u64).map(|choice| self.home(mix(key, choice)));
        // One key with very many calls, or many that are ejected: anyone with room, or anyone.
        let home = self.home(key);
        let others = (home..slots.len()).chain(0..home);
        let mut candidates = choices.chain(others.clone());
        let with_room = candidates.find(|index| self.has_room(slots, *index));
        with_room.or_else(|| others.clone().find(|index| self.takes[*index])).unwrap_or(home)
    }

    /// The slot that a hashed key belongs to.
    fn home(&self, key: u64) -> usize {
        self.owner(key >> (u64::BITS - BITS)).into()
    }

    /// The slot of a bucket, of which there are [`BUCKETS`].
    fn owner(&self, bucket: u64) -> u16 {
        usize::try_from(bucket).map_or(0, |bucket| self.buckets[bucket])
    }

    fn has_room(&self, slots: &[Arc<Endpoint>], index: usize) -> bool {
        let in_flight = slots[index].in_flight();
        self.takes[index] && (in_flight < FREE || self.is_below_limit(slots, index, in_flight))
    }

    #[cold]
    fn is_below_limit(&self, slots: &[Arc<Endpoint>], index: usize, in_flight: u32) -> bool {
        // Looking at all of them at each pick would cost more the more there are.
        if fastrand::u8(..MEAN_EVERY) == 0 {
            let total: usize = slots.iter().map(|slot| slot.in_flight() as usize).sum();
            let limit = ((total + 1) * 5).div_ceil(slots.len() * 4);
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            self.limit.store(limit.max(FREE), Relaxed);
        }
        let (_, weight) = self.hashes[index];
        f64::from(in_flight) * self.mean_weight < f64::from(self.limit.load(Relaxed)) * weight
    }
}

/// The slot with the highest score in each bucket. Where the one of the table before is still there, it
/// has but those to beat that are new: of thousands, one that comes or goes costs a look at each bucket.
fn owners(hashes: &[(u64, f64)], before: Option<&Table>) -> Arc<[u16]> {
    let slots = 0..=u16::MAX;
    let key = |(hash, weight): &(u64, f64)| (*hash, weight.to_bits());
    let mut new: HashMap<_, u16> = hashes.iter().map(key).zip(slots.clone()).collect();
    let stays = |before: &Table| before.hashes.iter().map(|it| new.remove(&key(it))).collect();
    let stays: Vec<Option<u16>> = before.map(stays).unwrap_or_default();
    let is_even = hashes.windows(2).all(|pair| pair[0].1.total_cmp(&pair[1].1).is_eq());
    let best = |bucket: u64, slots: &mut dyn Iterator<Item = u16>| {
        let hash = |slot: u16| hashes[usize::from(slot)];
        let best = if is_even {
            slots.max_by_key(|slot| mix(bucket, hash(*slot).0))
        } else {
            // The same order for equal weights: -ln turns a share of the numbers into one of the buckets.
            let weighted = |(hash, weight): (u64, f64)| -(unit(mix(bucket, hash)).ln()) / weight;
            slots.min_by(|one, other| weighted(hash(*one)).total_cmp(&weighted(hash(*other))))
        };
        best.unwrap_or(0)
    };
    let owner = |bucket: u64| {
        let stays = |before: &Table| *stays.get(usize::from(before.owner(bucket)))?;
        match before.and_then(stays) {
            Some(owner) => best(bucket, &mut new.values().copied().chain([owner])),
            None => best(bucket, &mut slots.clone().take(hashes.len())),
        }
    };
    (0..BUCKETS).map(owner).collect()
}

/// The same number for the same text, in every process and version.
pub(crate) fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

fn mix(one: u64, other: u64) -> u64 {
    xxh3_64_with_seed(&one.to_le_bytes(), other)
}

/// A number above 0 and up to 1.
#[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(hashes: Vec<(u64, f64)>, before: Option<&Table>) -> Table {
        let buckets = owners(&hashes, before);
        let takes = vec![true; hashes.len()].into();
        Table { hashes, buckets, takes, limit: AtomicU32::new(FREE), mean_weight: 1.0 }
    }

    #[test]
    fn a_table_made_of_the_one_before_is_the_same_as_one_made_anew() {
        let of = |numbers: &[u64], weight: f64| -> Vec<_> {
            numbers.iter().map(|number| (mix(*number, 7), weight)).collect()
        };
        let mut before = table(Vec::new(), None);
        for hashes in [
            of(&[1, 2, 3, 4, 5], 1.0),
            of(&[5, 1, 2, 3], 1.0),
            of(&[6, 5, 1, 2, 3, 7, 4], 1.0),
            [of(&[1, 2, 3], 1.0), of(&[6, 9], 2.5)].concat(),
            [of(&[9], 2.0), of(&[1, 2, 3], 1.0)].concat(),
            of(&[8, 10], 1.0),
            Vec::new(),
            of(&[1], 0.5),
        ] {
            let after = table(hashes.clone(), Some(&before));
            assert_eq!(after.buckets, owners(&hashes, None), "{hashes:?}");
            before = after;
        }
    }
}
