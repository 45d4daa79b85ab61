//! Whether an instance gets new calls, and why: what a set was built by, told to operators.

use std::fmt;
use std::sync::Arc;

use resilience::breaker;

use crate::endpoint::Member;
use crate::set::{Set, best_standing, well};
use crate::{Health, Instance, Standing, Status};

/// One instance of a service, as its operators see it.
#[derive(Debug, Clone)]
pub struct Report {
    /// The instance.
    pub instance: Arc<Instance>,
    /// What is known of its health, and how many calls are in flight.
    pub status: Status,
    /// Whether new calls go to it; to one that is ejected, trials alone.
    pub is_called: bool,
    /// What speaks for it or against it.
    pub eligibility: Eligibility,
    /// What its calls say of it. Open, it is ejected, unless too many are already; `until` says when a
    /// call tries it again.
    pub breaker: breaker::Status,
}

/// What speaks for an instance or against it: the first of these that holds, from the last to the
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Eligibility {
    /// It may be picked.
    Eligible,
    /// Instances of the own zone are enough.
    OtherZone,
    /// Calls to it failed.
    Ejected,
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
    pub fn word(self) -> &'static str {
        match self {
            Self::Eligible => "eligible",
            Self::OtherZone => "other_zone",
            Self::Ejected => "ejected",
            Self::Unchecked => "unchecked",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::NotReady => "not_ready",
        }
    }
}

impl fmt::Display for Eligibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eligible => "nothing speaks against it",
            Self::OtherZone => "it is in another zone, and those of the own zone are enough",
            Self::Ejected => "it is ejected, since calls to it failed",
            Self::Unchecked => "it was not checked yet, and others are healthy",
            Self::Unhealthy => "its health checks fail",
            Self::Draining => "its provider says that it is about to go",
            Self::NotReady => "its provider says that it is not well",
        })
    }
}

impl Set {
    /// Every instance, in the order of registration.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let candidates = best_standing(&self.members);
        let well = well(&candidates);
        let report = |member: &Arc<Member>| Report {
            instance: member.instance.clone(),
            status: member.status(),
            is_called: has(&self.slots, member) && self.may_have(member),
            eligibility: self.eligibility(member, &candidates, &well),
            breaker: member.breaker.status(),
        };
        self.members.iter().map(report).collect()
    }

    fn eligibility(
        &self,
        member: &Arc<Member>,
        candidates: &[Arc<Member>],
        well: &[Arc<Member>],
    ) -> Eligibility {
        match (member.instance.standing, member.checks.health()) {
            (Standing::NotReady, _) if !has(candidates, member) => Eligibility::NotReady,
            (Standing::Draining, _) if !has(candidates, member) => Eligibility::Draining,
            (_, Health::Unhealthy) => Eligibility::Unhealthy,
            _ if !has(well, member) => Eligibility::Unchecked,
            _ if member.is_ejected() => Eligibility::Ejected,
            _ if !has(&self.slots, member) => Eligibility::OtherZone,
            _ => Eligibility::Eligible,
        }
    }
}

fn has(members: &[Arc<Member>], member: &Arc<Member>) -> bool {
    members.iter().any(|known| Arc::ptr_eq(known, member))
}
