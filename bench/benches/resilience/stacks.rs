//! The guards of a call in the order that service-client has them in, beside the same made of tower's
//! own layers.

use std::sync::Arc;
use std::time::Duration;

use resilience::breaker::{CircuitBreaker, CircuitBreakerSettings};
use resilience::criticality::Criticality;
use resilience::deadline::Deadline;
use resilience::limit::Limit;
use resilience::retry::budget::RetryBudget;
use resilience::retry::{Backoff, RetrySettings};
use tokio::time::{sleep, timeout};
use tower::retry::Policy;
use tower::retry::budget::{Budget, TpsBudget};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::breakers::guarded;
use crate::threads::{CALLS, Work, bare, block_on, calls, measure, print};

type Request = http::Request<usize>;

const SECOND: Duration = Duration::from_secs(1);
const PLACES: usize = 64;

/// Calls that succeed; each thread has a clone of tower's service of its own.
pub(crate) fn whole() {
    let target = service_fn(async |request: Request| bare(*request.body()).await);
    let budget = Arc::new(TpsBudget::new(10 * SECOND, 3, 0.1));
    let tower = ServiceBuilder::new()
        .timeout(5 * SECOND)
        .retry(TowerPolicy(budget))
        .concurrency_limit(PLACES)
        .timeout(SECOND)
        .map_err(BoxError::from)
        .service(target);
    let fixed = Guards::new(Limit::fixed(PLACES));
    let adaptive = Guards::new(Limit::adaptive(PLACES));
    let settings = CircuitBreakerSettings { failure_ratio: 0.5, ..Default::default() };
    let breaker = CircuitBreaker::new("target", &settings);
    let rows = measure(&[
        ("bare service", through(target)),
        ("tower: timeout, retry, concurrency, timeout", through(tower)),
        ("resilience: the same parts", calls(|number| fixed.call(number))),
        ("resilience: with an adaptive limit", calls(|number| adaptive.call(number))),
        ("resilience: and breaker", calls(|number| guarded(&breaker, adaptive.call(number)))),
    ]);
    let limits = [("resilience: the same parts", 1.0)];
    print("All guards", &rows, "tower: timeout, retry, concurrency, timeout", &limits);
}

/// Deadline, retry within a budget, limit, time limit of an attempt.
struct Guards {
    budget: RetryBudget,
    backoff: Backoff,
    limit: Limit,
}

impl Guards {
    fn new(limit: Limit) -> Self {
        let settings = RetrySettings::default();
        let budget = RetryBudget::new(&settings.budget());
        let backoff = Backoff::new(&settings);
        Self { budget, backoff, limit }
    }

    async fn call(&self, number: usize) -> Result<usize, &'static str> {
        let deadline = Deadline::within(5 * SECOND);
        self.budget.deposit();
        let mut attempt = 1;
        loop {
            let answer = self.attempt(number, deadline).await;
            if answer.is_ok() {
                return answer;
            }
            let pause = self.backoff.next(attempt, None, deadline);
            let Some(pause) = pause.filter(|_| self.budget.withdraw()) else { return answer };
            sleep(pause).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, number: usize, deadline: Deadline) -> Result<usize, &'static str> {
        let place = self.limit.try_acquire(Criticality::Default).ok_or("too many")?;
        let left = deadline.remaining().ok_or("late")?.min(SECOND);
        let answer = timeout(left, bare(number)).await.map_err(|_| "late")?;
        place.answered();
        answer
    }
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
