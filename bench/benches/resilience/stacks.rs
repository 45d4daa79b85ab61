//! The whole stack, beside the same made of tower's own layers.

use std::sync::Arc;
use std::time::Duration;

use resilience::AnyError;
use resilience::breaker::{CircuitBreaker, CircuitBreakerSettings};
use resilience::bulkhead::Bulkhead;
use resilience::rate_limit::{RateLimit, RateLimitSettings};
use resilience::retry::{AnyFailure, RetryPolicy, RetrySettings};
use resilience::stack::Stack;
use tower::retry::Policy;
use tower::retry::budget::{Budget, TpsBudget};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::threads::{CALLS, Work, bare, block_on, measure, print};

type Request = http::Request<usize>;

const SECOND: Duration = Duration::from_secs(1);
const PLACES: usize = 64;

/// Calls that succeed, each thread through its own clone of the service.
pub(crate) fn whole() {
    let target = service_fn(async |request: Request| bare(*request.body()).await);
    let parts = || Stack::new().total_timeout(5 * SECOND).attempt_timeout(SECOND);
    let guarded = || {
        let retry = RetryPolicy::new(&RetrySettings::default(), AnyFailure);
        parts().retry(retry).bulkhead(Bulkhead::new(PLACES))
    };
    let settings = CircuitBreakerSettings { failure_ratio: 0.5, ..Default::default() };
    let breaker = CircuitBreaker::new("target", &settings);
    let limit = RateLimit::new(&RateLimitSettings { per_second: u32::MAX, burst: u32::MAX });
    let budget = Arc::new(TpsBudget::new(10 * SECOND, 3, 0.1));
    let tower = ServiceBuilder::new()
        .timeout(5 * SECOND)
        .retry(TowerPolicy(budget))
        .concurrency_limit(PLACES)
        .timeout(SECOND)
        .map_err(BoxError::from)
        .service(target);
    let rows = measure(&[
        ("bare service", through(target)),
        ("tower: timeout, retry, concurrency, timeout", through(tower)),
        ("resilience: the same parts", through(guarded().service(target))),
        (
            "resilience: and breaker",
            through(guarded().breaker(breaker.clone(), AnyError).service(target)),
        ),
        (
            "resilience: and breaker and rate limit",
            through(guarded().breaker(breaker, AnyError).rate_limit(limit).service(target)),
        ),
    ]);
    let limits = [("resilience: the same parts", 1.0)];
    print("The whole stack", &rows, "tower: timeout, retry, concurrency, timeout", &limits);
}

fn through<'a, S>(service: S) -> Work<'a>
where
    S: Service<Request, Error: std::fmt::Debug> + Clone + Send + Sync + 'a,
{
    Box::new(move || {
        let mut service = service.clone();
        block_on(async {
            for number in 0..CALLS {
                let ready = service.ready().await.unwrap();
                std::hint::black_box(ready.call(Request::new(number)).await.unwrap());
            }
        });
    })
}

/// Retries what fails, within tower's budget.
#[derive(Clone)]
struct TowerPolicy(Arc<TpsBudget>);

impl<T> Policy<Request, T, BoxError> for TowerPolicy {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Request, result: &mut Result<T, BoxError>) -> Option<Self::Future> {
        if result.is_ok() {
            self.0.deposit();
            return None;
        }
        self.0.withdraw().then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        Some(request.clone())
    }
}
