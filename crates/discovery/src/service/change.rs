//! What changes the set of a service: its provider, checks, and the outcomes of calls.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use resilience::Outcome;

use super::Service;
use crate::clock::Time;
use crate::ejection::Trial;
use crate::endpoint::{Endpoint, InFlight};
use crate::outliers::outliers;
use crate::set::Set;
use crate::{EjectionReason, Health, Instance, Readiness, metrics};

impl Service {
    /// Makes these the instances. What is known of those that stay, stays. The same ones again, in
    /// whichever order, change nothing.
    pub(crate) fn replace(&self, instances: Vec<Instance>) {
        self.change(|before| {
            let known: HashMap<_, _> =
                before.iter().map(|it| (it.instance.address(), it)).collect();
            let mut after: Vec<Arc<Endpoint>> = Vec::with_capacity(instances.len());
            let mut places = HashSet::new();
            for instance in instances {
                let known = known.get(&instance.address()).copied();
                if places.insert((instance.host.clone(), instance.port)) {
                    after.push(self.endpoint(known, instance, before.is_empty()));
                }
            }
            let is_known = |endpoint: &Arc<Endpoint>| {
                known.get(&endpoint.instance.address()).is_some_and(|it| Arc::ptr_eq(it, endpoint))
            };
            let is_same = after.len() == before.len() && after.iter().all(is_known);
            (!is_same).then(|| after.into())
        });
    }

    /// Adds an instance, of unknown health. One at the same address keeps what is known of it.
    pub(crate) fn register(&self, instance: Instance) {
        self.change(|before| {
            let place = before.iter().position(|known| known.instance.is_same(&instance));
            let mut after = before.to_vec();
            match place {
                Some(place) if *before[place].instance == instance => return None,
                Some(place) => after[place] = self.endpoint(Some(&before[place]), instance, false),
                None => after.push(self.endpoint(None, instance, before.is_empty())),
            }
            Some(after.into())
        });
    }

    /// Removes an instance.
    pub(crate) fn deregister(&self, instance: &Instance) {
        self.change(|before| {
            let stay = before.iter().filter(|known| !known.instance.is_same(instance));
            let after: Box<[_]> = stay.cloned().collect();
            (after.len() < before.len()).then_some(after)
        });
    }

    /// The endpoint of an instance: the one that is known at its address, or a new one.
    fn endpoint(
        &self,
        known: Option<&Arc<Endpoint>>,
        instance: Instance,
        is_first: bool,
    ) -> Arc<Endpoint> {
        if let Some(known) = known
            && *known.instance == instance
        {
            return known.clone();
        }
        self.recoveries.fetch_add(1, Ordering::Release);
        let endpoint = match known {
            Some(known) => known.with(instance),
            None => Endpoint::new(instance, self.own.clone()),
        };
        let is_ready = endpoint.instance.readiness == Readiness::Ready;
        let was_not_ready =
            known.is_some_and(|known| known.instance.readiness == Readiness::NotReady);
        // The first ones come together: nobody would take over their part.
        if (known.is_none() && !is_first) || (was_not_ready && is_ready) {
            endpoint.warm_up(&self.settings);
        }
        Arc::new(endpoint)
    }

    /// Notes the outcome of a check, and whether a success was awaited when it began; gives the health when
    /// that changed it: the set is to be [worked out anew](Self::refresh) then.
    pub(crate) fn checked(
        &self,
        endpoint: &Endpoint,
        success: bool,
        is_awaited: bool,
    ) -> Option<Health> {
        let checks = &endpoint.state.checks;
        let before = checks.health();
        let had_failed = checks.has_failed();
        let health = checks.note(success, &self.settings);
        if success && had_failed {
            endpoint.state.outlier.try_soon();
        }
        let is_back = had_failed || (before == Health::Unhealthy && health.is_some());
        // The first success alone: each would have calls try, and fail where checks do not see why.
        let is_first =
            success && is_awaited && self.is_success_awaited.swap(false, Ordering::Relaxed);
        if success && (is_back || is_first) {
            self.recoveries.fetch_add(1, Ordering::Release);
        }
        let health = health?;
        if before == Health::Unhealthy {
            endpoint.warm_up(&self.settings);
        }
        Some(health)
    }

    /// Takes in a call that failed, or that tried an ejected endpoint.
    #[cold]
    pub(crate) fn settle(&self, call: &InFlight, trial: Option<&Trial>, outcome: Outcome) {
        let endpoint = &call.endpoint;
        let outlier = &call.endpoint.state.outlier;
        if trial.is_some() {
            return if outcome == Outcome::Success {
                self.restore(endpoint);
            } else {
                outlier.prolong(self.settings.ejection_time);
            };
        }
        // Who asks for less is not worse than its peers.
        if outcome != Outcome::Failure {
            return;
        }
        endpoint.state.window.note_failure();
        // One that began before an ejection or a return says nothing about the time after it.
        if outlier.generation() == call.generation {
            let failures = outlier.note_failure();
            let threshold = self.settings.ejection_threshold.max(1);
            if failures == threshold {
                self.check_soon(endpoint);
            }
            if failures >= threshold {
                self.eject(endpoint, EjectionReason::FailuresInARow);
            }
        }
    }

    /// Compares the endpoints' success rates and latencies, and ejects those that do far worse than the
    /// others.
    pub(crate) fn eject_outliers(&self) {
        let set = self.set.load();
        let mut judged = Vec::new();
        for endpoint in &set.endpoints {
            let state = &endpoint.state;
            let sample = state.window.take(&state.calls, self.settings.outlier_minimum_calls);
            if state.outlier.ejection().is_none() {
                state.outlier.forgive(self.settings.ejection_time);
                judged.extend(sample.map(|sample| (endpoint, sample)));
            }
        }
        let samples: Vec<_> = judged.iter().map(|(_, sample)| *sample).collect();
        for (index, reason) in outliers(&samples, &self.settings) {
            self.eject(judged[index].0, reason);
        }
    }

    /// Ejects an endpoint, unless too many are.
    fn eject(&self, endpoint: &Endpoint, reason: EjectionReason) {
        if !self.set.load().may_eject {
            return;
        }
        self.change(|endpoints| {
            let outlier = &endpoint.state.outlier;
            // Anew, now that nobody else ejects.
            if !self.set.load().may_eject || outlier.ejection().is_some() {
                return None;
            }
            outlier.eject(reason, self.settings.ejection_time);
            metrics::ejections(&self.name, reason, 1);
            log(endpoint, &format!("instance is ejected: {reason}"));
            Some(endpoints.into())
        });
        self.check_soon(endpoint);
    }

    /// Takes an ejected endpoint back.
    fn restore(&self, endpoint: &Endpoint) {
        self.change(|endpoints| {
            let state = &endpoint.state;
            state.outlier.end();
            let _of_before = state.window.take(&state.calls, 1);
            endpoint.warm_up(&self.settings);
            log(endpoint, "instance is back");
            Some(endpoints.into())
        });
    }

    /// Has all endpoints checked soon, whichever it is whose calls fail; the first success is one of the
    /// recoveries.
    #[cold]
    pub(crate) fn check_all_soon(&self) {
        self.is_success_awaited.store(true, Ordering::Relaxed);
        for endpoint in &self.set.load().checked {
            self.check_soon(endpoint);
        }
    }

    pub(crate) fn is_success_awaited(&self) -> bool {
        self.is_success_awaited.load(Ordering::Relaxed)
    }

    fn check_soon(&self, endpoint: &Endpoint) {
        endpoint.state.checks.hasten(Time::now().after(self.settings.recheck_interval()));
        self.checks_due.notify_one();
    }

    /// Works the set out anew, of the same endpoints.
    pub(crate) fn refresh(&self) {
        self.change(|endpoints| Some(endpoints.into()));
    }

    /// As [`Self::refresh`], unless another thread changes the set; then it does not wait.
    pub(super) fn refresh_if_free(&self) -> bool {
        let Ok(_writing) = self.writing.try_lock() else { return false };
        self.store(self.endpoints());
        true
    }

    /// Replaces the set by one of other endpoints, or of the same ones that have changed; none when
    /// nothing did. Readers see the one before or the one after.
    fn change(&self, change: impl FnOnce(&[Arc<Endpoint>]) -> Option<Box<[Arc<Endpoint>]>>) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoints) = change(&self.set.load().endpoints) {
            self.store(endpoints);
        }
    }

    fn store(&self, endpoints: Box<[Arc<Endpoint>]>) {
        let set = Set::build(endpoints, &self.settings, self.caller, &self.set.load());
        metrics::instances(&self.name, &set);
        self.has_ejected.store(!set.ejected.is_empty(), Ordering::Relaxed);
        self.set.store(Arc::new(set));
        self.checks_due.notify_one();
    }
}

fn log(endpoint: &Endpoint, message: &str) {
    let instance = &endpoint.instance;
    tracing::warn!(
        instance.service = instance.service,
        instance.host = instance.host,
        instance.port = instance.port,
        "{message}"
    );
}
