//! How much each endpoint is called: by its weight, its zone and its slow start.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares, which are not negative"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::endpoint::Endpoint;

/// How many slots different weights may make; they are rounded to fit.
const SLOTS_MAX: u64 = 4096;
/// A weight of 1 in the whole numbers that slots are counted in: shares are rounded to its parts.
const UNIT: f64 = 64.0;

/// What part of its weight counts for each of `called`, so that zones get calls by their capacity.
///
/// Envoy's zone-aware routing, for callers that are spread evenly over the zones, since nobody tells
/// where they are. A zone that has its even part of the capacity is called from within alone. One that
/// has less keeps what it can carry; the rest of its callers' calls goes to the zones that have more
/// than their own callers need, by how much more. The capacity is that of the `takers`: one that is
/// ejected and keeps its place carries nothing.
pub(crate) fn near(
    called: &[usize],
    takers: &[usize],
    endpoints: &[Arc<Endpoint>],
    zone: &str,
) -> Vec<(usize, f64)> {
    let zone_of = |index: usize| endpoints[index].instance.zone.as_deref();
    let mut capacities: BTreeMap<Option<&str>, f64> = BTreeMap::new();
    for index in takers {
        *capacities.entry(zone_of(*index)).or_default() += f64::from(endpoints[*index].weight);
    }
    let own = capacities.get(&Some(zone)).copied().unwrap_or_default();
    if zone.is_empty() || own <= 0.0 {
        return called.iter().map(|index| (*index, 1.0)).collect();
    }
    let even = capacities.values().sum::<f64>() / capacities.len() as f64;
    let at_home = (own / even).min(1.0);
    let to_spare = |capacity: f64| (capacity - even).max(0.0);
    let spare: f64 = capacities.values().copied().map(to_spare).sum();
    let part = |index: usize| {
        if zone_of(index) == Some(zone) {
            return at_home * even / own;
        }
        match capacities.get(&zone_of(index)) {
            Some(capacity) if at_home < 1.0 => {
                (1.0 - at_home) * to_spare(*capacity) / spare * even / capacity
            }
            Some(_) | None => 0.0,
        }
    };
    called.iter().map(|index| (*index, part(*index))).collect()
}

/// Each as often as its weight says, spread evenly: whoever goes through the slots, or takes any of
/// them, keeps to the weights at the cost of one look.
pub(crate) fn slots(weighted: &[(Arc<Endpoint>, f64)]) -> Box<[Arc<Endpoint>]> {
    let counts = counts(weighted);
    if counts.iter().all(|count| *count == 1) {
        return weighted.iter().map(|(endpoint, _)| endpoint.clone()).collect();
    }
    let mut places: Vec<(f64, &Arc<Endpoint>)> = Vec::new();
    for ((endpoint, _), count) in weighted.iter().zip(counts) {
        let place = |nth: u64| (nth as f64 + 0.5) / count as f64;
        places.extend((0..count).map(|nth| (place(nth), endpoint)));
    }
    places.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    places.into_iter().map(|(_, endpoint)| endpoint.clone()).collect()
}

/// The weights in whole numbers, without what all have in common, rounded so that their sum fits.
fn counts(weighted: &[(Arc<Endpoint>, f64)]) -> Vec<u64> {
    let whole = |weight: f64| ((weight * UNIT).round() as u64).max(1);
    let weights: Vec<u64> = weighted.iter().map(|(_, weight)| whole(*weight)).collect();
    let common = weights.iter().copied().reduce(greatest_common_divisor).unwrap_or(1);
    let sum = weights.iter().sum::<u64>() / common;
    let max = SLOTS_MAX.max(weights.len() as u64);
    let fit = |weight: u64| if sum <= max { weight } else { (weight * max / sum).max(1) };
    weights.into_iter().map(|weight| fit(weight / common)).collect()
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}
