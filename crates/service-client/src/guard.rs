//! The guards around a call.
//!
//! ```text
//!   circuit breaker of the service    counts calls: one that succeeds at the second instance is a
//!     │                               success, so an instance that dies opens nothing
//!     retry, within the budget        never past the deadline, only what may be repeated
//!       bulkhead                      attempts in flight
//!         pick ─ circuit breaker of the instance ─ time limit ─ HTTP
//! ```
//!
//! The breaker that ends attempts is the instance's, and lives in the registry, which then picks
//! others. The service's own stands outside of the retries: it opens when no instance is left that
//! answers, and spares callers the wait. As soon as a health check or the registry says that an
//! instance is well again, it lets calls try, whatever is left of its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use discovery::LoadBalancer;
use resilience::breaker::{BreakerLayer, CircuitBreaker, CircuitBreakerSettings, State};
use resilience::bulkhead::Bulkhead;
use resilience::retry::budget::RetryBudget;
use resilience::retry::{RetryHint, RetryPolicy};
use resilience::stack::Stack;
use resilience::{Error, Outcome};
use tower::Layer;
use tower::util::BoxCloneSyncService;

use crate::request::Request;
use crate::send::{Fault, Sender};
use crate::{ClientSettings, Kind, metrics};

/// A guarded sender of calls.
pub(crate) type Guarded = BoxCloneSyncService<Request, Bytes, Error<Kind>>;

type Answer = Result<Bytes, Error<Kind>>;

/// The guards of one service.
#[derive(Clone)]
pub(crate) struct Guards {
    /// All of them.
    pub(crate) all: Guarded,
    /// All but the service's breaker, with a budget of their own.
    pub(crate) persistent: Guarded,
    /// What ends the open time of the service's breaker.
    pub(crate) recovery: Recovery,
    /// What retries of `all` may cost.
    pub(crate) budget: Arc<RetryBudget>,
    /// The attempts of `all` that may be in flight.
    pub(crate) places: Bulkhead,
    sender: Sender,
}

impl Guards {
    /// The guards around a sender to `instances`.
    pub(crate) fn new(
        service: &str,
        sender: &Sender,
        instances: LoadBalancer,
        settings: &ClientSettings,
    ) -> Self {
        let bounds = || {
            let retry = RetryPolicy::new(&settings.retry, hint);
            (retry, Bulkhead::new(settings.client.concurrency_limit))
        };
        let attempts =
            |(retry, places)| Stack::new().retry(retry).bulkhead(places).service(sender.clone());
        let recovery = Recovery::new(service, instances, &settings.circuit_breaker);
        let (retry, places) = bounds();
        let budget = retry.budget().clone();
        metrics::show(service, &recovery.breaker, &budget, &places);
        let all = BreakerLayer::new(recovery.breaker.clone(), outcome)
            .layer(attempts((retry, places.clone())));
        Self {
            all: BoxCloneSyncService::new(all),
            persistent: BoxCloneSyncService::new(attempts(bounds())),
            recovery,
            budget,
            places,
            sender: sender.clone(),
        }
    }

    /// What went wrong last with an attempt.
    pub(crate) fn last_fault(&self) -> Option<Fault> {
        self.sender.last_fault()
    }
}

/// The service's breaker, and what it has heard of the instances.
#[derive(Clone)]
pub(crate) struct Recovery {
    breaker: CircuitBreaker,
    instances: LoadBalancer,
    /// [`LoadBalancer::recoveries`] when the breaker opened last.
    seen: Arc<AtomicU64>,
}

impl Recovery {
    fn new(service: &str, instances: LoadBalancer, settings: &CircuitBreakerSettings) -> Self {
        let seen = Arc::new(AtomicU64::new(0));
        let (at_opening, of) = (seen.clone(), instances.clone());
        let breaker = CircuitBreaker::with_observer(service, settings, move |transition| {
            if transition.to == State::Open {
                at_opening.store(of.recoveries(), Ordering::Relaxed);
            }
            metrics::transition(transition);
        });
        Self { breaker, instances, seen }
    }

    pub(crate) fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    pub(crate) fn instances(&self) -> &LoadBalancer {
        &self.instances
    }

    /// Lets calls try an open target of which something good was heard since it opened.
    pub(crate) fn heed(&self) {
        if self.breaker.state() != State::Open {
            return;
        }
        let heard = self.instances.recoveries();
        if self.seen.swap(heard, Ordering::Relaxed) != heard {
            self.breaker.half_open();
        }
    }
}

/// What the end of a call says of the service.
fn outcome(answer: &Answer) -> Outcome {
    match answer {
        Ok(_) => Outcome::Success,
        Err(Error::Inner(kind)) => kind.outcome(),
        Err(_) => Outcome::Neutral,
    }
}

/// Whether another attempt may go better.
fn hint(answer: &Answer) -> Option<RetryHint> {
    match answer {
        Err(Error::Inner(kind)) if kind.is_transient() => {
            Some(RetryHint { retry_after: kind.retry_after() })
        }
        _ => None,
    }
}
