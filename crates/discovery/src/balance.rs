//! How one of several is chosen by what is known of their load.
//!
//! Both look at two instances only (the power of two choices, Mitzenmacher 2001): nearly as even as
//! looking at all, at the same cost for ten and for a thousand, and without the rush of all callers
//! to the one that is best at the moment. `slots` has at least one instance.

#![allow(clippy::cast_precision_loss, reason = "estimates and shares")]

use std::sync::Arc;

use crate::endpoint::Member;
use crate::random::{below, next};

/// The slowest that an instance is taken to be before anybody measured it, in nanoseconds: half of
/// what a failed call counts as, so that the next call does not go where one just failed.
const SLOWEST_ASSUMED: f64 = 500_000_000.0;

/// The instance whose turn it is, or another one with fewer calls in flight for its weight. While
/// there is no load, all take turns.
pub(crate) fn least_connections(slots: &[Arc<Member>], turn: usize) -> usize {
    let mine = turn % slots.len();
    let other = another(slots, mine, next());
    let (cost_mine, cost_other) = costs(&slots[mine], &slots[other]);
    if cost_other < cost_mine { other } else { mine }
}

/// Of two, the one with fewer calls in flight for its latency and weight. One whose latency nobody
/// has measured is taken to be as fast as the other, unless the other is as slow as one that fails.
/// `now` is [`crate::clock::nanos`].
pub(crate) fn p2c(slots: &[Arc<Member>], random: u64, now: u64) -> usize {
    let one = below(random, slots.len());
    let other = another(slots, one, random << 32);
    if one == other {
        return one;
    }
    let (a, b) = (&slots[one], &slots[other]);
    let (mut cost_a, mut cost_b) = costs(a, b);
    match (a.latency.estimate(now), b.latency.estimate(now)) {
        (Some(latency_a), Some(latency_b)) => {
            cost_a *= latency_a;
            cost_b *= latency_b;
        }
        (Some(latency), None) => cost_a *= beside_unknown(latency),
        (None, Some(latency)) => cost_b *= beside_unknown(latency),
        (None, None) => {}
    }
    if cost_b < cost_a { other } else { one }
}

/// What a latency in nanoseconds counts beside one that nobody measured, as a factor.
fn beside_unknown(latency: f64) -> f64 {
    (latency / SLOWEST_ASSUMED).max(1.0)
}

/// Any but this one; this one if it is alone.
fn another(slots: &[Arc<Member>], this: usize, random: u64) -> usize {
    let count = slots.len();
    if count < 2 {
        return this;
    }
    let other = this + 1 + below(random, count - 1);
    if other < count { other } else { other - count }
}

/// The calls in flight of both, this one included, each times the weight of the other: as the calls
/// for each one's weight, without a division.
fn costs(a: &Member, b: &Member) -> (f64, f64) {
    let cost =
        |one: &Member, other: &Member| (one.in_flight() + 1) as f64 * f64::from(other.weight);
    (cost(a, b), cost(b, a))
}
