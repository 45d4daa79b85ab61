//! How one of several is chosen by what is known of their load. `slots` has at least one endpoint.
//!
//! Round robin goes through the slots. The other two look at two of them only (the power of two choices,
//! Mitzenmacher 2001): nearly as even as looking at all, at the same cost for ten and for a thousand, and
//! without the rush of all callers to the one that is best at the moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use resilience::CachePadded;

use crate::clock::Time;
use crate::endpoint::Endpoint;

/// The slowest that an instance is taken to be before anybody measured it, in nanoseconds: half of
/// what a failed call counts as, so that the next call does not go where one just failed.
const SLOWEST_ASSUMED: f64 = 500_000_000.0;
/// How many threads count by themselves; more share.
const THREADS: usize = 16;

/// Counts picks, each thread for itself, so that threads do not wait for each other's cache line. Each
/// count begins anywhere: callers that start together do not all begin with the same endpoint.
#[derive(Debug)]
pub(crate) struct RoundRobin([CachePadded<AtomicUsize>; THREADS]);

impl RoundRobin {
    pub(crate) fn new() -> Self {
        let anywhere = |_| CachePadded(AtomicUsize::new(fastrand::u16(..).into()));
        Self(std::array::from_fn(anywhere))
    }

    /// The place of the next pick among so many.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a set has far fewer than 2^32 slots")]
    pub(crate) fn next(&self, slots: usize) -> usize {
        let count = &self.0[this_thread()].0;
        // No addition in one step: two threads that share a count may at times give the same place.
        let next = count.load(Relaxed);
        count.store(next.wrapping_add(1), Relaxed);
        // In 32 bits, whose division takes a fraction of the time.
        (next as u32 % slots as u32) as usize
    }
}

#[inline]
fn this_thread() -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static THIS: usize = COUNT.fetch_add(1, Relaxed) % THREADS;
    }
    THIS.with(|this| *this)
}

/// This one, or another one with fewer calls in flight for its weight.
pub(crate) fn least_connections(slots: &[Arc<Endpoint>], mine: usize) -> usize {
    let other = another(slots, mine, fastrand::u32(..));
    let (cost_mine, cost_other) = costs(&slots[mine], &slots[other]);
    if cost_other < cost_mine { other } else { mine }
}

/// Of two, the one with fewer calls in flight for its latency and weight. One whose latency nobody
/// has measured is taken to be as fast as the other, unless the other is as slow as one that fails.
#[allow(clippy::cast_possible_truncation, reason = "the halves of a random number")]
pub(crate) fn p2c(slots: &[Arc<Endpoint>], random: u64, now: Option<Time>) -> usize {
    let one = below(random as u32, slots.len());
    let other = another(slots, one, (random >> 32) as u32);
    if one == other {
        return one;
    }
    let a = &slots[one];
    let b = &slots[other];
    let (mut cost_a, mut cost_b) = costs(a, b);
    match (a.state.latency.estimate(now), b.state.latency.estimate(now)) {
        (Some(latency_a), Some(latency_b)) => {
            cost_a *= latency_a;
            cost_b *= latency_b;
        }
        (Some(latency), None) => cost_a *= beside_unknown(latency),
        (None, Some(latency)) => cost_b *= beside_unknown(latency),
        (None, None) => {}
    }
    // No branch: which of two is the better one is what no processor foresees.
    [one, other][usize::from(cost_b < cost_a)]
}

/// What a latency in nanoseconds counts beside one that nobody measured, as a factor.
fn beside_unknown(latency: f64) -> f64 {
    (latency / SLOWEST_ASSUMED).max(1.0)
}

/// A slot of any other endpoint; this one if it is alone. Where weights make several slots of an
/// endpoint, the slot behind one of the same endpoint is most often another's.
fn another(slots: &[Arc<Endpoint>], this: usize, random: u32) -> usize {
    let count = slots.len();
    if count < 2 {
        return this;
    }
    let around = |index: usize| if index < count { index } else { index - count };
    let other = around(this + 1 + below(random, count - 1));
    if Arc::ptr_eq(&slots[this], &slots[other]) { around(other + 1) } else { other }
}

/// The calls in flight of both, this one included, each times the weight of the other: as the calls
/// for each one's weight, without a division.
fn costs(a: &Endpoint, b: &Endpoint) -> (f64, f64) {
    let cost = |one: &Endpoint, other: &Endpoint| {
        f64::from(one.in_flight().saturating_add(1)) * f64::from(other.weight)
    };
    (cost(a, b), cost(b, a))
}

/// A random number brought below `bound`, which is above 0 (Lemire 2018).
#[allow(clippy::cast_possible_truncation, reason = "sets have far fewer than 2^32 slots")]
pub(crate) fn below(random: u32, bound: usize) -> usize {
    ((u64::from(random) * bound as u64) >> 32) as usize
}
