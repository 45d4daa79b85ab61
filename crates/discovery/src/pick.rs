//! A pick: the instance to call, and what is held until its call is over.

use std::sync::Arc;

use resilience::Outcome;
use url::Url;

use crate::Instance;
use crate::clock::Time;
use crate::ejection::Trial;
use crate::endpoint::InFlight;

/// What a call wishes of its instance.
#[derive(Debug, Clone, Copy, Default)]
pub struct PickOptions<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) avoid: &'a [Arc<Instance>],
}

impl<'a> PickOptions<'a> {
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
pub struct Pick {
    pub(crate) call: InFlight,
    /// Permission to try an endpoint that is ejected.
    pub(crate) trial: Option<Trial>,
    /// When the call began, where its latency is measured.
    pub(crate) began: Option<Time>,
}

impl Pick {
    /// Whom to call.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.call.endpoint.instance
    }

    /// `http://host:port/`; none if the host is no host.
    pub fn base_url(&self) -> Option<&Url> {
        self.call.endpoint.base_url.as_ref()
    }

    /// The call ended like this.
    pub fn settle(self, outcome: Outcome) {
        let Self { call, trial, began } = self;
        if outcome == Outcome::Neutral {
            return;
        }
        let state = &call.endpoint.state;
        let failed = outcome != Outcome::Success;
        if began.is_some() || failed {
            let now = Time::now();
            let taken = began.map_or(0, |began| now.nanos_since(began));
            state.latency.note(taken, now, failed);
            if began.is_some() {
                state.window.note_taken(taken);
            }
        }
        if failed || trial.is_some() {
            if let Some(service) = state.service.upgrade() {
                service.settle(&call, trial.as_ref(), outcome);
            }
        } else {
            state.outlier.note_success();
        }
    }

    /// Nobody waits for the call any longer, which has taken longer than nearly all do. That is no fault
    /// that ejects alone; an instance to which it happens far more often than to its peers is an outlier,
    /// and one that was tried is left alone for longer: otherwise the next call would try it again.
    pub fn outpaced(self) {
        let Self { call, trial, began } = self;
        let state = &call.endpoint.state;
        if let Some(began) = began {
            // As long as this at least.
            let now = Time::now();
            let taken = now.nanos_since(began);
            state.latency.note(taken, now, false);
            state.window.note_taken(taken);
        }
        state.window.note_failure();
        if trial.is_some()
            && let Some(service) = state.service.upgrade()
        {
            service.settle(&call, trial.as_ref(), Outcome::Failure);
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
