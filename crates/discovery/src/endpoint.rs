//! An endpoint: one address of a service, with everything that is known of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use url::Url;

use crate::clock::{AtomicTime, Time};
use crate::ejection::Outlier;
use crate::health::Checks;
use crate::latency::Latency;
use crate::outliers::Window;
use crate::service::Service;
use crate::{Health, Instance, LoadBalancingSettings, Status};

/// The share that an endpoint has at the begin of its slow start.
const SHARE_MIN: f64 = 0.1;

/// One address of a service. What its provider says of it is fixed: when that changes, another endpoint
/// shares the state of this one.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) state: Arc<State>,
    /// That of the instance, 1 at least.
    pub(crate) weight: u32,
    pub(crate) instance: Arc<Instance>,
    /// The instance's; none if its host is no host.
    pub(crate) base_url: Option<Url>,
}

/// What is known of an endpoint, whatever its provider says. What picks look at comes first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct State {
    pub(crate) calls: Calls,
    pub(crate) latency: Latency,
    pub(crate) outlier: Outlier,
    pub(crate) window: Window,
    pub(crate) checks: Checks,
    /// Since when it is in its slow start.
    warming_since: AtomicTime,
    pub(crate) service: Weak<Service>,
}

impl Endpoint {
    pub(crate) fn new(instance: Instance, service: Weak<Service>) -> Self {
        let state = State {
            calls: Calls::default(),
            latency: Latency::default(),
            outlier: Outlier::default(),
            window: Window::default(),
            checks: Checks::default(),
            warming_since: AtomicTime::default(),
            service,
        };
        Self::of(instance, Arc::new(state))
    }

    /// The same address, of which the provider says something else now.
    pub(crate) fn with(&self, instance: Instance) -> Self {
        if instance.readiness != self.instance.readiness {
            self.state.checks.reset();
        }
        // Told that it is better than it was: a call may find out.
        if instance.readiness < self.instance.readiness {
            self.state.outlier.try_soon();
        }
        Self::of(instance, self.state.clone())
    }

    fn of(instance: Instance, state: Arc<State>) -> Self {
        let weight = instance.weight.max(1);
        let base_url = Url::parse(&instance.base_url()).ok();
        Self { state, weight, instance: Arc::new(instance), base_url }
    }

    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        self.state.calls.in_flight()
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            health: self.state.checks.health(),
            last_check: self.state.checks.last(),
            ejected: self.state.outlier.ejection().is_some(),
            in_flight: self.in_flight() as usize,
        }
    }

    /// Whether it may be down: calls of it fail, the last check did, or too few succeeded since.
    pub(crate) fn is_in_doubt(&self, settings: &LoadBalancingSettings) -> bool {
        let State { checks, outlier, .. } = &*self.state;
        checks.has_failed()
            || checks.health() == Health::Unhealthy
            || outlier.failures_in_a_row() >= settings.ejection_threshold.max(1)
            || outlier.ejection().is_some()
    }

    /// Begins a slow start, if there is one.
    pub(crate) fn warm_up(&self, settings: &LoadBalancingSettings) {
        let begins = !settings.slow_start.is_zero();
        self.state.warming_since.store(begins.then(Time::now));
    }

    /// The share that it has now, above 0 and up to 1, in a slow start that takes `window`.
    pub(crate) fn share(&self, window: Duration) -> f64 {
        let Some(since) = self.state.warming_since.load() else { return 1.0 };
        (since.instant().elapsed().as_secs_f64() / window.as_secs_f64()).clamp(SHARE_MIN, 1.0)
    }
}

/// The calls of an endpoint in one number: in its lower half those in flight, in its upper half those
/// ever begun, which may wrap around. So a call that begins counts in both by one addition.
#[derive(Debug, Default)]
pub(crate) struct Calls(AtomicU64);

impl Calls {
    const BEGUN: u64 = 1 << 32;
    const IN_FLIGHT: u64 = 1;

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(crate) fn in_flight(&self) -> u32 {
        self.0.load(Relaxed) as u32
    }

    /// Those that have ended since the start of the process; may wrap around.
    #[allow(clippy::cast_possible_truncation, reason = "the halves")]
    pub(crate) fn ended(&self) -> u32 {
        let calls = self.0.load(Relaxed);
        ((calls >> 32) as u32).wrapping_sub(calls as u32)
    }
}

/// A call in flight: counts up when it is made and down when it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) endpoint: Arc<Endpoint>,
    /// That of its endpoint's [`Outlier`] when it was made.
    pub(crate) generation: u32,
}

impl InFlight {
    #[inline]
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        let state = &endpoint.state;
        state.calls.0.fetch_add(Calls::BEGUN + Calls::IN_FLIGHT, Relaxed);
        let generation = state.outlier.generation();
        Self { endpoint, generation }
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        self.endpoint.state.calls.0.fetch_sub(Calls::IN_FLIGHT, Relaxed);
    }
}
