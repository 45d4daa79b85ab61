//! What a pick reads: the instances that may be picked, worked out once per change and not once
//! per pick.

#![allow(clippy::cast_precision_loss, reason = "estimates and shares")]

use std::sync::Arc;

use crate::endpoint::Member;
use crate::rendezvous::Table;
use crate::{Algorithm, Health, LoadBalancingSettings, Standing};

/// How many slots different weights may make; they are rounded to fit.
const SLOTS_MAX: usize = 4096;

/// One service's instances at one time. Never changed: a change makes another.
#[derive(Debug, Default)]
pub(crate) struct Set {
    /// All that are registered, in the order of registration.
    pub(crate) members: Box<[Arc<Member>]>,
    /// Those to pick from; one of weight 2 twice, where the algorithm takes turns. `ip_hash` has
    /// the ejected ones here too, and passes over them: so their keys come back with them.
    pub(crate) slots: Box<[Arc<Member>]>,
    /// Those that are left alone, but for trials.
    pub(crate) ejected: Box<[Arc<Member>]>,
    /// `ip_hash`: which slot a key belongs to.
    pub(crate) table: Option<Table>,
    /// Whether one in `slots` may have a share below 1.
    pub(crate) is_warming: bool,
    /// Whether so few could be picked that all are.
    pub(crate) is_panicking: bool,
}

impl Set {
    /// The rules, in their order: the best standing that any has; of these the healthy ones, or
    /// while there are none, those not checked yet; of these the ones that are not ejected. If that
    /// leaves fewer than `panic_percent` of those of the best standing, all of them. Last, the own
    /// zone alone, if enough of it is left.
    pub(crate) fn build(members: Vec<Arc<Member>>, settings: &LoadBalancingSettings) -> Self {
        let candidates = best_standing(&members);
        let well = well(&candidates);
        let (ejected, mut slots) = split(&well, |member| member.is_ejected());
        let is_panicking = is_below(slots.len(), candidates.len(), settings.panic_percent);
        if is_panicking {
            slots = candidates;
        } else if settings.algorithm == Algorithm::IpHash {
            slots = well;
        }
        let mut slots = in_zone(slots, settings);
        let is_warming = slots.iter().any(|member| member.share(settings.slow_start) < 1.0);
        let mut table = None;
        match settings.algorithm {
            Algorithm::RoundRobin => slots = by_weight(slots),
            Algorithm::IpHash => table = Some(Table::new(&slots)),
            Algorithm::LeastConnections | Algorithm::P2c => {}
        }
        Self {
            members: members.into(),
            slots: slots.into(),
            ejected: if is_panicking { Box::default() } else { ejected.into() },
            table,
            is_warming,
            is_panicking,
        }
    }

    /// Whether one of the slots may be picked: only `ip_hash` has ejected ones among them.
    pub(crate) fn may_have(&self, slot: &Member) -> bool {
        self.is_panicking || !slot.is_ejected()
    }
}

pub(crate) fn best_standing(members: &[Arc<Member>]) -> Vec<Arc<Member>> {
    let standing = |member: &&Arc<Member>| member.instance.standing;
    let best = members.iter().map(|member| standing(&member)).min().unwrap_or(Standing::Ready);
    members.iter().filter(|member| standing(member) == best).cloned().collect()
}

pub(crate) fn well(candidates: &[Arc<Member>]) -> Vec<Arc<Member>> {
    let of = |health| {
        let fits = candidates.iter().filter(move |member| member.checks.health() == health);
        fits.cloned().collect::<Vec<_>>()
    };
    let healthy = of(Health::Healthy);
    if healthy.is_empty() { of(Health::Unknown) } else { healthy }
}

/// Those that fit, and the others.
fn split(
    members: &[Arc<Member>],
    fits: impl Fn(&Member) -> bool,
) -> (Vec<Arc<Member>>, Vec<Arc<Member>>) {
    members.iter().cloned().partition(|member| fits(member))
}

/// None at all is always too few.
fn is_below(part: usize, whole: usize, percent: u32) -> bool {
    part == 0 || part * 100 < whole * percent as usize
}

/// Those of the own zone, unless they are too few beside those of other zones: then all.
fn in_zone(slots: Vec<Arc<Member>>, settings: &LoadBalancingSettings) -> Vec<Arc<Member>> {
    if settings.zone.is_empty() {
        return slots;
    }
    let is_near = |member: &Member| member.instance.zone.as_deref() == Some(&settings.zone);
    let zones: std::collections::BTreeSet<_> =
        slots.iter().map(|member| member.instance.zone.as_deref()).collect();
    let (near, _) = split(&slots, is_near);
    // A zone that has less than its even part of the instances cannot carry its even part of calls.
    let even = slots.len() / zones.len().max(1);
    if near.is_empty() || near.len() < even { slots } else { near }
}

/// Each as often as its weight says, spread evenly over the turns.
fn by_weight(slots: Vec<Arc<Member>>) -> Vec<Arc<Member>> {
    let weights: Vec<usize> = weights(&slots);
    if weights.iter().all(|weight| *weight == 1) {
        return slots;
    }
    let mut turns: Vec<(f64, &Arc<Member>)> = Vec::with_capacity(weights.iter().sum());
    for (member, weight) in slots.iter().zip(weights) {
        turns.extend((0..weight).map(|turn| ((turn as f64 + 0.5) / weight as f64, member)));
    }
    turns.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    turns.into_iter().map(|(_, member)| member.clone()).collect()
}

/// The weights without what all have in common, rounded so that their sum fits.
fn weights(slots: &[Arc<Member>]) -> Vec<usize> {
    let weights = || slots.iter().map(|member| member.instance.weight.max(1) as usize);
    let common = weights().reduce(greatest_common_divisor).unwrap_or(1);
    let sum: usize = weights().map(|weight| weight / common).sum();
    let max = SLOTS_MAX.max(slots.len());
    let fit = |weight: usize| if sum <= max { weight } else { (weight * max / sum).max(1) };
    weights().map(|weight| fit(weight / common)).collect()
}

fn greatest_common_divisor(one: usize, other: usize) -> usize {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}
