//! An instance in the registry with everything that is known of it: health, ejection, latency,
//! calls in flight.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use resilience::breaker::{CircuitBreaker, State};
use tokio::time::Instant;
use url::Url;

use crate::latency::Latency;
use crate::service::Service;
use crate::{Health, Instance, LoadBalancingSettings, Status, clock};

/// The share that an instance has at the begin of its slow start.
const SHARE_MIN: f64 = 0.1;

/// The one place that keeps an [`Endpoint`]; lists share this. So every further reference to the
/// endpoint is a call in flight, and counting them costs no more than holding them.
#[derive(Debug)]
pub(crate) struct Member(Arc<Endpoint>);

// In this order, because what picks look at lies beside the count of references then.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Endpoint {
    pub(crate) latency: Latency,
    /// Counts ejections and returns: odd while it is ejected.
    turns: AtomicUsize,
    /// That of the instance, 1 at least.
    pub(crate) weight: u32,
    pub(crate) instance: Arc<Instance>,
    /// The instance's; none if its host is no host.
    pub(crate) base_url: Option<Url>,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) checks: Checks,
    /// Since when it is warming up, as [`clock::nanos`]; 0: it is warm.
    warming_since: AtomicU64,
    pub(crate) service: Weak<Service>,
}

impl Member {
    pub(crate) fn new(
        instance: Instance,
        settings: &LoadBalancingSettings,
        service: Weak<Service>,
    ) -> Self {
        let breaker = CircuitBreaker::new(&instance.authority(), &settings.breaker());
        Self(Arc::new(Endpoint {
            latency: Latency::default(),
            turns: AtomicUsize::new(0),
            weight: instance.weight.max(1),
            base_url: Url::parse(&instance.base_url()).ok(),
            instance: Arc::new(instance),
            breaker,
            checks: Checks::default(),
            warming_since: AtomicU64::new(0),
            service,
        }))
    }

    /// The same address, of which the provider says something else now. What is known of it stays;
    /// calls in flight are those begun from now on.
    pub(crate) fn told_anew(&self, instance: Instance) -> Self {
        let old = &self.0;
        Self(Arc::new(Endpoint {
            latency: old.latency.clone(),
            turns: AtomicUsize::new(old.turns()),
            weight: instance.weight.max(1),
            base_url: old.base_url.clone(),
            instance: Arc::new(instance),
            breaker: old.breaker.clone(),
            checks: old.checks.clone(),
            warming_since: AtomicU64::new(old.warming_since.load(Ordering::Relaxed)),
            service: old.service.clone(),
        }))
    }

    /// A reference that counts as a call in flight.
    pub(crate) fn hold(&self) -> Arc<Endpoint> {
        self.0.clone()
    }

    pub(crate) fn in_flight(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            health: self.checks.health(),
            last_check: self.checks.last(),
            ejected: self.is_ejected(),
            in_flight: self.in_flight(),
        }
    }
}

impl std::ops::Deref for Member {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.0
    }
}

impl Endpoint {
    pub(crate) fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.turns() % 2 == 1
    }

    /// Ejects it, or takes it back. Called under the service's lock.
    pub(crate) fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether its breaker and its ejection say different things.
    pub(crate) fn is_due_for_review(&self) -> bool {
        match self.breaker.state() {
            State::Open => !self.is_ejected(),
            State::Closed => self.is_ejected(),
            State::HalfOpen => false,
        }
    }

    /// Whether it may be down: calls of it fail, the last check did, or too few succeeded since.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.checks.has_failed()
            || self.checks.health() == Health::Unhealthy
            || self.breaker.state() != State::Closed
    }

    /// Begins a slow start.
    pub(crate) fn warm_up(&self) {
        self.warming_since.store(clock::now(), Ordering::Relaxed);
    }

    /// The share that it has now, above 0 and up to 1, in a slow start that takes `window`.
    pub(crate) fn share(&self, window: Duration) -> f64 {
        let Some(since) = clock::instant(self.warming_since.load(Ordering::Relaxed)) else {
            return 1.0;
        };
        (since.elapsed().as_secs_f64() / window.as_secs_f64()).clamp(SHARE_MIN, 1.0)
    }
}

/// What the active checks found.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    health: AtomicU8,
    /// When the last one ended, as [`clock::nanos`]; 0: never.
    last: AtomicU64,
    /// Answers in a row that say otherwise than `health`.
    streak: AtomicU32,
    /// Whether the last one failed.
    failed: AtomicBool,
}

const UNKNOWN: u8 = 0;
const HEALTHY: u8 = 1;
const UNHEALTHY: u8 = 2;

impl Checks {
    pub(crate) fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            HEALTHY => Health::Healthy,
            UNHEALTHY => Health::Unhealthy,
            _ => Health::Unknown,
        }
    }

    pub(crate) fn last(&self) -> Option<Instant> {
        clock::instant(self.last.load(Ordering::Relaxed))
    }

    /// Whether the last check failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes a check's outcome; gives the health when that changed it. One check of an instance
    /// runs at a time.
    pub(crate) fn note(&self, success: bool, settings: &LoadBalancingSettings) -> Option<Health> {
        self.last.store(clock::now(), Ordering::Relaxed);
        self.failed.store(!success, Ordering::Relaxed);
        let before = self.health.load(Ordering::Relaxed);
        let (agrees, threshold, after) = if success {
            // The first success is enough: nothing speaks against it.
            let threshold = if before == UNKNOWN { 1 } else { settings.healthy_threshold };
            (before == HEALTHY, threshold, HEALTHY)
        } else {
            (before == UNHEALTHY, settings.unhealthy_threshold, UNHEALTHY)
        };
        if agrees {
            self.streak.store(0, Ordering::Relaxed);
            return None;
        }
        let streak = self.streak.fetch_add(1, Ordering::Relaxed) + 1;
        if streak < threshold {
            return None;
        }
        self.streak.store(0, Ordering::Relaxed);
        self.health.store(after, Ordering::Relaxed);
        Some(self.health())
    }
}

impl Clone for Checks {
    fn clone(&self) -> Self {
        let copy = |value: &AtomicU64| AtomicU64::new(value.load(Ordering::Relaxed));
        Self {
            health: AtomicU8::new(self.health.load(Ordering::Relaxed)),
            last: copy(&self.last),
            streak: AtomicU32::new(self.streak.load(Ordering::Relaxed)),
            failed: AtomicBool::new(self.has_failed()),
        }
    }
}
