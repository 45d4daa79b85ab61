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
//! answers, and spares callers the wait.

use bytes::Bytes;
use resilience::breaker::{BreakerLayer, CircuitBreaker};
use resilience::bulkhead::Bulkhead;
use resilience::retry::{RetryHint, RetryPolicy};
use resilience::stack::Stack;
use resilience::{Error, Outcome};
use tower::Layer;
use tower::util::BoxCloneSyncService;

use crate::request::Request;
use crate::send::Sender;
use crate::{ClientSettings, Kind, metrics};

/// A guarded sender of calls.
pub(crate) type Guarded = BoxCloneSyncService<Request, Bytes, Error<Kind>>;

type Answer = Result<Bytes, Error<Kind>>;

/// All guards around a sender; and all but the service's breaker, with a budget of their own.
pub(crate) fn guarded(
    service: &str,
    sender: &Sender,
    settings: &ClientSettings,
) -> (Guarded, Guarded) {
    let bounds = || {
        let retry = RetryPolicy::new(&settings.retry, hint);
        (retry, Bulkhead::new(settings.client.concurrency_limit))
    };
    let attempts =
        |(retry, places)| Stack::new().retry(retry).bulkhead(places).service(sender.clone());
    let breaker =
        CircuitBreaker::with_observer(service, &settings.circuit_breaker, metrics::transition);
    let (retry, places) = bounds();
    metrics::show(service, retry.budget().clone(), places.clone());
    let all = BreakerLayer::new(breaker, outcome).layer(attempts((retry, places)));
    (BoxCloneSyncService::new(all), BoxCloneSyncService::new(attempts(bounds())))
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
