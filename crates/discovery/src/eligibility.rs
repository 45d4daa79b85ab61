//! Who may be picked, and why the others may not: the one place that has the rules. Sets are built by
//! it, and operators are told what it says.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::endpoint::Endpoint;
use crate::weights::near;
use crate::{Algorithm, EjectionReason, Health, LoadBalancingSettings, Readiness};

/// What speaks for an endpoint or against it: the first rule that keeps it from being picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Eligibility {
    /// It may be picked.
    Eligible,
    /// The own zone can carry its part, or this zone has none to spare.
    OtherZone,
    /// This process calls a subset of the endpoints, to which it does not belong.
    Spare,
    /// Its calls failed or did worse than those of its peers.
    Ejected(EjectionReason),
    /// It was not checked yet, and others are healthy.
    Unchecked,
    /// Its health checks fail.
    Unhealthy,
    /// Its provider says that it is about to go.
    Draining,
    /// Its provider says that it is not well.
    NotReady,
}

impl Eligibility {
    /// It in one word, for programs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Eligible => "eligible",
            Self::OtherZone => "other_zone",
            Self::Spare => "spare",
            Self::Ejected(_) => "ejected",
            Self::Unchecked => "unchecked",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::NotReady => "not_ready",
        }
    }

    /// How much speaks against it, from nothing on.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Eligible => 0,
            Self::OtherZone => 1,
            Self::Spare => 2,
            Self::Unchecked => 3,
            Self::Ejected(_) => 4,
            Self::Unhealthy => 5,
            Self::Draining => 6,
            Self::NotReady => 7,
        }
    }
}

impl fmt::Display for Eligibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eligible => "nothing speaks against it",
            Self::OtherZone => "it is in another zone, and those of the own zone are enough",
            Self::Spare => "this process calls a part of the endpoints, and it is a spare one",
            Self::Ejected(reason) => return write!(f, "it is ejected, since {reason}"),
            Self::Unchecked => "it was not checked yet, and others are healthy",
            Self::Unhealthy => "its health checks fail",
            Self::Draining => "its provider says that it is about to go",
            Self::NotReady => "its provider says that it is not well",
        })
    }
}

/// What the rules say of the endpoints of a service.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// Of each endpoint.
    pub(crate) eligibility: Box<[Eligibility]>,
    /// Who is called, by index, and how much of its weight counts.
    pub(crate) called: Vec<(usize, f64)>,
    /// Those of the best readiness that this process may call: who is checked, and among whom ejections
    /// are bounded. By index.
    pub(crate) pool: Vec<usize>,
    /// So few could be picked that all of the pool are.
    pub(crate) is_panicking: bool,
}

/// The rules, in their order: the best readiness that any has; of these the part that this `caller`
/// watches; of these the healthy ones, or while there are none, those not checked yet; of these the ones
/// that are not ejected. If that leaves fewer than `panic_percent`, all of the part. Of those no more than
/// the subset, and last the zones, each by its capacity.
pub(crate) fn judge(
    endpoints: &[Arc<Endpoint>],
    settings: &LoadBalancingSettings,
    caller: u64,
) -> Judged {
    let best = endpoints.iter().map(|it| it.instance.readiness).min().unwrap_or_default();
    let mut eligibility: Box<[Eligibility]> =
        endpoints.iter().map(|it| by_readiness(it.instance.readiness, best)).collect();
    let is_eligible =
        |eligibility: &[Eligibility], index: &usize| eligibility[*index] == Eligibility::Eligible;

    let mut pool: Vec<usize> =
        (0..endpoints.len()).filter(|it| is_eligible(&eligibility, it)).collect();
    let subset = subset_size(pool.len(), settings);
    if let Some(size) = subset {
        rank(&mut pool, endpoints, caller, &settings.zone);
        let watched = (size + spares(size)).min(pool.len());
        pool.drain(watched..).for_each(|index| eligibility[index] = Eligibility::Spare);
    }

    let health = |index: usize| endpoints[index].state.checks.health();
    let any_healthy = pool.iter().any(|it| health(*it) == Health::Healthy);
    for index in &pool {
        let ejection = endpoints[*index].state.outlier.ejection();
        eligibility[*index] = match (health(*index), ejection) {
            (Health::Unhealthy, _) => Eligibility::Unhealthy,
            (Health::Unknown, _) if any_healthy => Eligibility::Unchecked,
            (_, Some(ejection)) => Eligibility::Ejected(ejection.reason),
            (_, None) => Eligibility::Eligible,
        };
    }
    let usable = pool.iter().filter(|it| is_eligible(&eligibility, it)).count();
    let is_panicking = is_below(usable, pool.len(), settings.panic_percent);

    // Keys come back with an ejected endpoint: it keeps its place meanwhile.
    let keeps_place = |eligibility: Eligibility| {
        settings.algorithm == Algorithm::IpHash && matches!(eligibility, Eligibility::Ejected(_))
    };
    let is_called = |index: &usize| {
        let eligibility = eligibility[*index];
        is_panicking || eligibility == Eligibility::Eligible || keeps_place(eligibility)
    };
    let mut called: Vec<usize> = pool.iter().copied().filter(is_called).collect();
    let beyond = called.split_off(subset.unwrap_or(called.len()).min(called.len()));
    if subset.is_some() {
        called.sort_unstable();
    }
    let takes = |index: &usize| is_panicking || eligibility[*index] == Eligibility::Eligible;
    let takers: Vec<usize> = called.iter().copied().filter(takes).collect();
    let mut set_aside = |index: usize, as_what: Eligibility| {
        if eligibility[index] == Eligibility::Eligible {
            eligibility[index] = as_what;
        }
    };
    for index in beyond {
        set_aside(index, Eligibility::Spare);
    }
    let mut called: Vec<(usize, f64)> = near(&called, &takers, endpoints, &settings.zone);
    called.retain(|(index, part)| {
        if *part <= 0.0 {
            set_aside(*index, Eligibility::OtherZone);
        }
        *part > 0.0
    });
    Judged { eligibility, called, pool, is_panicking }
}

fn by_readiness(readiness: Readiness, best: Readiness) -> Eligibility {
    match readiness {
        _ if readiness == best => Eligibility::Eligible,
        // Nothing is better.
        Readiness::Ready => Eligibility::Eligible,
        Readiness::Draining => Eligibility::Draining,
        Readiness::NotReady => Eligibility::NotReady,
    }
}

/// How many of so many a process calls, where that is a part.
fn subset_size(count: usize, settings: &LoadBalancingSettings) -> Option<usize> {
    let size = settings.subset_size as usize;
    (size > 0 && count > size).then_some(size)
}

/// How many more are checked, to take the place of those that fall ill.
fn spares(size: usize) -> usize {
    size.div_ceil(4)
}

/// In an order of this caller's own: the first are its subset. Rendezvous hashing, as the random subsets
/// of gRPC (proposal A68): one that goes is replaced by one. However many of them are taken, each zone
/// has its part of them, and the own one no less than that: calls stay at home as they would among all.
#[allow(clippy::cast_precision_loss, reason = "a set has far fewer than 2^52 endpoints")]
fn rank(pool: &mut [usize], endpoints: &[Arc<Endpoint>], caller: u64, own: &str) {
    let score = |index: &usize| {
        xxh3_64_with_seed(endpoints[*index].instance.authority().as_bytes(), caller)
    };
    pool.sort_by_cached_key(score);
    if own.is_empty() {
        return;
    }
    let mut zones: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for index in &*pool {
        zones.entry(endpoints[*index].instance.zone.as_deref()).or_default().push(*index);
    }
    // The place of each in its zone, from 0 to 1, is its place among all.
    let mut places = vec![0.0; endpoints.len()];
    for (zone, members) in zones {
        let first = if zone == Some(own) { 0.0 } else { 0.5 };
        for (nth, index) in members.iter().enumerate() {
            places[*index] = (nth as f64 + first) / members.len() as f64;
        }
    }
    pool.sort_by(|one, other| places[*one].total_cmp(&places[*other]));
}

/// None at all is always too few.
fn is_below(part: usize, whole: usize, percent: u32) -> bool {
    part == 0 || part * 100 < whole * percent as usize
}
