//! A pick: the instance to call, and what is held until its call is over.

use std::sync::Arc;

use resilience::Outcome;
use resilience::breaker::Permit;
use url::Url;

use crate::Instance;
use crate::endpoint::Endpoint;

/// What a call wishes of its instance.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) avoid: &'a [Arc<Instance>],
}

impl<'a> Choice<'a> {
    /// Any instance will do.
    pub fn any() -> Self {
        Self::default()
    }

    /// `ip_hash` gives the same instance for the same key: the address of the client on whose
    /// behalf the call is made.
    #[must_use]
    pub fn key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }

    /// Not one of these, which were tried before, as long as there are others.
    #[must_use]
    pub fn avoid(mut self, tried: &'a [Arc<Instance>]) -> Self {
        self.avoid = tried;
        self
    }

    pub(crate) fn avoids(&self, instance: &Instance) -> bool {
        self.avoid.iter().any(|tried| tried.is_same(instance))
    }
}

/// The instance to call. Report the call's outcome; dropping it reports none. Until then it counts
/// as a call in flight.
#[derive(Debug)]
#[must_use = "a pick that is dropped counts as a call that was given up"]
pub struct Picked {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Permission to try an instance that is ejected. A call to any other asks the breaker when its
    /// outcome is there: a closed one lets everything pass. Boxed, since it is rare: so a pick is
    /// small.
    pub(crate) trial: Option<Box<Permit>>,
    /// The endpoint's count of ejections at the time of the pick.
    pub(crate) turns: usize,
    /// When the call began, as [`clock::nanos`](crate::clock::nanos); 0: its latency is not
    /// measured.
    pub(crate) began: u64,
}

impl Picked {
    /// Whom to call.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.endpoint.instance
    }

    /// `http://host:port/`; none if the host is no host.
    pub fn base_url(&self) -> Option<&Url> {
        self.endpoint.base_url.as_ref()
    }

    /// The call ended like this.
    pub fn settle(self, outcome: Outcome) {
        let Self { endpoint, trial, turns, began } = self;
        let failed = matches!(outcome, Outcome::Failure | Outcome::Throttled);
        if began > 0 && outcome != Outcome::Neutral {
            endpoint.latency.note(began, failed);
        } else if failed {
            endpoint.latency.note_failure();
        }
        let matters = failed || trial.is_some() || turns % 2 == 1;
        // A call that began before an ejection or a return says nothing about the time after it.
        let late = endpoint.turns() != turns;
        let permit = trial
            .map(|permit| *permit)
            .or_else(|| (!late).then(|| endpoint.breaker.try_acquire().ok())?);
        if let Some(permit) = permit {
            permit.settle(outcome);
        }
        if matters
            && endpoint.is_due_for_review()
            && let Some(service) = endpoint.service.upgrade()
        {
            service.review(&endpoint);
        }
    }

    /// The instance answered, even if with a refusal.
    pub fn success(self) {
        self.settle(Outcome::Success);
    }

    /// The call failed in a way that says that the instance is not well.
    pub fn failure(self) {
        self.settle(Outcome::Failure);
    }
}
