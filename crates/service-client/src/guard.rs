//! The guards around a call, in their order.
//!
//! ```text
//!   circuit breaker of the service    counts calls: one that succeeds at the second instance is a
//!     │                               success, so an instance that dies opens nothing
//!     retry, within the budget        never past the deadline; only what may be repeated, or was
//!       │                             never sent
//!       hedge                         a read that is late is asked of a second instance as well
//!         limit                       attempts in flight: as many as are answered in the usual time
//!           pick                      an instance that was not tried and has not asked for a delay
//!             attempt                 ejection of the instance ─ time limit ─ HTTP
//! ```
//!
//! An instance whose attempts fail is ejected: the registry picks others (outlier detection). The
//! circuit breaker of the service stands outside of the retries: it opens when no instance is left that
//! answers, and spares callers the wait. When it opens, all instances are checked soon; as soon as a
//! check or the registry says that one is well, it lets calls try, whatever is left of its time. An
//! outage that health checks do not see is over for callers when that time is.
//!
//! | what ends an attempt | says of the instance | is tried again |
//! |---|---|---|
//! | an answer, a refusal (4xx) too | it is well | no |
//! | 429 | it asks for less | at another instance, or after its `Retry-After` |
//! | 503, any other 5xx | it fails | the same |
//! | no connection, so nothing was sent | it fails | anything, at another instance |
//! | the connection is lost, or no answer in time | it fails | what may be repeated |
//! | the deadline, with half of an attempt's time or more | it fails | there is no time left |
//! | the deadline, with less than that | nothing: the caller is in a hurry | there is no time left |
//! | nobody waits for a read any longer, which took longer than nineteen in twenty | it is slow: counts in the comparison with its peers, and prolongs an ejection | – |
//!
//! A call is a failure of the service when any of its attempts was one and none later succeeded.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use discovery::{LoadBalancer, Pick};
use futures_util::future::{Either, select};
use resilience::Outcome;
use resilience::breaker::{CircuitBreaker, CircuitBreakerSettings, Permit, State};
use resilience::limit::{Limit, LimitPermit};
use resilience::retry::Backoff;
use resilience::retry::budget::RetryBudget;
use tokio::time::{Instant, sleep, timeout};

use crate::attempt::{AttemptResult, Transport};
use crate::request::{Attempts, Request};
use crate::{ClientSettings, Kind, metrics};

/// A hedge is sent no sooner: below this the time is that of the network and of the scheduler.
const HEDGE_DELAY_MIN: Duration = Duration::from_millis(1);

/// The guards of one service.
#[derive(Debug)]
pub(crate) struct Guards {
    service: String,
    pub(crate) transport: Transport,
    /// The service's breaker.
    pub(crate) recovery: Recovery,
    backoff: Backoff,
    max_attempts: u32,
    is_hedging: bool,
    /// What calls may cost.
    pub(crate) bounds: SharedBounds,
    /// That of the few calls that pass by the breaker.
    persistent: SharedBounds,
}

/// What the calls of one kind share.
#[derive(Debug)]
pub(crate) struct SharedBounds {
    /// What their retries and hedges may cost.
    pub(crate) budget: Arc<RetryBudget>,
    /// Their attempts in flight.
    pub(crate) limit: Limit,
}

impl SharedBounds {
    fn new(settings: &ClientSettings) -> Self {
        let max = settings.client.concurrency_limit;
        let limit = if settings.client.adaptive_concurrency {
            Limit::adaptive(max)
        } else {
            Limit::fixed(max)
        };
        Self { budget: Arc::new(RetryBudget::new(&settings.retry.budget())), limit }
    }
}

/// Permission for a call, by the service's breaker; records the call's outcome.
struct CallPermit<'a> {
    permit: Option<Permit<'a>>,
    request: &'a Request,
}

impl CallPermit<'_> {
    fn settle(mut self, answer: &Result<Bytes, Kind>) {
        let outcome = match answer.as_ref().map_or_else(Kind::outcome, |_| Outcome::Success) {
            Outcome::Neutral | Outcome::Throttled if self.has_failed() => Outcome::Failure,
            other => other,
        };
        if let Some(permit) = self.permit.take() {
            permit.settle(outcome);
        }
    }

    fn has_failed(&self) -> bool {
        self.request.target_failed.load(Ordering::Relaxed)
    }
}

impl Drop for CallPermit<'_> {
    /// The caller left. That says nothing, unless the target had its time, or an attempt failed before.
    fn drop(&mut self) {
        if self.has_failed()
            && let Some(permit) = self.permit.take()
        {
            permit.failure();
        }
    }
}

impl Guards {
    /// The guards around calls of `service`.
    pub(crate) fn new(service: &str, transport: Transport, settings: &ClientSettings) -> Self {
        let instances = transport.instances.clone();
        let recovery = Recovery::new(service, instances, &settings.circuit_breaker);
        let bounds = SharedBounds::new(settings);
        let persistent = SharedBounds::new(settings);
        metrics::show(service, &recovery.breaker, &bounds);
        Self {
            service: service.to_owned(),
            transport,
            recovery,
            backoff: Backoff::new(&settings.retry),
            max_attempts: settings.retry.max_attempts,
            is_hedging: settings.client.hedging,
            bounds,
            persistent,
        }
    }

    /// Calls, if the service's breaker lets it.
    pub(crate) async fn call(
        &self,
        request: &Request,
        attempts: &mut Attempts,
    ) -> Result<Bytes, Kind> {
        self.recovery.heed();
        let permit = self.recovery.breaker.try_acquire();
        let permit = permit.map_err(|open| Kind::Open { retry_after: open.retry_after })?;
        let permit = CallPermit { permit: Some(permit), request };
        let answer = self.retried(&self.bounds, request, attempts).await;
        permit.settle(&answer);
        answer
    }

    /// Calls without the service's breaker: what asks seldom, by itself, and without which nothing
    /// goes on. It has bounds of its own.
    pub(crate) async fn call_persistently(
        &self,
        request: &Request,
        attempts: &mut Attempts,
    ) -> Result<Bytes, Kind> {
        self.retried(&self.persistent, request, attempts).await
    }

    /// Attempts until one is answered, or another one would be of no use.
    async fn retried(
        &self,
        bounds: &SharedBounds,
        request: &Request,
        attempts: &mut Attempts,
    ) -> Result<Bytes, Kind> {
        bounds.budget.deposit();
        let before = attempts.count;
        loop {
            let kind = match self.hedged(bounds, request, attempts).await {
                Ok(answer) => return Ok(answer),
                Err(kind) => kind,
            };
            let made = attempts.count - before;
            let Some(delay) = self.delay(&kind, bounds, request, attempts, made) else {
                return Err(kind);
            };
            sleep(delay).await;
            metrics::retried(&self.service);
        }
    }

    /// The delay before another attempt; none when there is to be no other.
    fn delay(
        &self,
        kind: &Kind,
        bounds: &SharedBounds,
        request: &Request,
        attempts: &Attempts,
        made: u32,
    ) -> Option<Duration> {
        if !kind.may_pass_at_once() || !(request.may_repeat || kind.is_unsent()) {
            return None;
        }
        // An instance that asked for a delay binds the attempts that go to itself alone.
        let asked = self.transport.busy_for(attempts);
        let delay = self.backoff.next(made, asked, request.deadline)?;
        // The budget last: what is not spent is left for others.
        bounds.budget.withdraw().then_some(delay)
    }

    /// One attempt, and a second one beside it when it is a read that is late.
    async fn hedged(
        &self,
        bounds: &SharedBounds,
        request: &Request,
        attempts: &mut Attempts,
    ) -> Result<Bytes, Kind> {
        let place = bounds.limit.try_acquire(request.criticality).ok_or(Kind::Overloaded)?;
        self.transport.wait_for_instances(request.deadline).await;
        request.deadline.remaining().ok_or(Kind::DeadlineExceeded)?;
        let Some(picked) = self.transport.pick(request, attempts) else {
            attempts.count += 1;
            return Err(Kind::NoInstance);
        };
        let mut first = pin!(self.send(request, picked, place, attempts));
        let Some(delay) = self.hedge_delay(request) else {
            return attempts.note(first.await);
        };
        if let Ok(result) = timeout(delay, &mut first).await {
            return attempts.note(result);
        }
        let Some((picked, place)) = self.hedge(bounds, request, attempts) else {
            return attempts.note(first.await);
        };
        metrics::hedged(&self.service);
        let second = pin!(self.send(request, picked, place, attempts));
        let (sooner, other) = match select(first, second).await {
            Either::Left((result, second)) => (result, Either::Left(second)),
            Either::Right((result, first)) => (result, Either::Right(first)),
        };
        match attempts.note(sooner) {
            // The other one may yet have an answer.
            Err(kind) if kind.may_pass_at_once() => attempts.note(other.await),
            // The other one is dropped, and its connection with it.
            answer => answer,
        }
    }

    /// Begins an attempt.
    fn send<'a>(
        &'a self,
        request: &'a Request,
        picked: Pick,
        place: LimitPermit,
        attempts: &mut Attempts,
    ) -> impl Future<Output = AttemptResult> + use<'a> {
        attempts.count += 1;
        attempts.instances.push(picked.instance().clone());
        self.transport.send(request, picked, place, attempts.count)
    }

    /// How long a read is waited for alone: as long as nineteen in twenty take. None when that is not
    /// known, or so long that the attempt's own time limit will do.
    fn hedge_delay(&self, request: &Request) -> Option<Duration> {
        if !self.is_hedging || !request.is_read() {
            return None;
        }
        let delay = self.transport.reads.get()?.max(HEDGE_DELAY_MIN);
        (delay < self.transport.bounds.attempt_timeout / 2).then_some(delay)
    }

    /// What a second attempt beside the first needs: an instance that is well and was not tried, a place,
    /// and a retry of the budget, which all that hedging costs comes out of.
    fn hedge(
        &self,
        bounds: &SharedBounds,
        request: &Request,
        attempts: &Attempts,
    ) -> Option<(Pick, LimitPermit)> {
        if attempts.count >= self.max_attempts {
            return None;
        }
        if !self.transport.has_well_untried(attempts) {
            return None;
        }
        let place = bounds.limit.try_acquire(request.criticality)?;
        let is_paid = bounds.budget.withdraw();
        is_paid.then(|| self.transport.pick(request, attempts)).flatten().zip(Some(place))
    }
}

impl Attempts {
    /// Notes how an attempt ended; gives its answer.
    fn note(&mut self, result: AttemptResult) -> Result<Bytes, Kind> {
        let AttemptResult { instance, answer } = result;
        if let Some(time) = answer.as_ref().err().and_then(Kind::retry_after) {
            // What it said last counts.
            self.busy.retain(|(busy, _)| !busy.is_same(&instance));
            self.busy.push((instance, Instant::now() + time));
        }
        answer
    }
}

/// The service's breaker, and what it has heard of the instances.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) breaker: CircuitBreaker,
    instances: LoadBalancer,
    /// [`LoadBalancer::recoveries`] when the breaker last left off being closed, or calls last began to
    /// try it: what was heard while they did is news, even if they failed.
    seen: Arc<AtomicU64>,
}

impl Recovery {
    fn new(service: &str, instances: LoadBalancer, settings: &CircuitBreakerSettings) -> Self {
        let seen = Arc::new(AtomicU64::new(0));
        let at_opening = seen.clone();
        let of = instances.clone();
        let breaker = CircuitBreaker::with_observer(service, settings, move |transition| {
            let is_opened = transition.to == State::Open && transition.from == State::Closed;
            if is_opened || transition.to == State::HalfOpen {
                at_opening.store(of.recoveries(), Ordering::Relaxed);
            }
            if is_opened {
                // Of many instances none may have failed often enough to be looked at for itself.
                of.check_all_soon();
            }
            metrics::transition(transition);
        });
        Self { breaker, instances, seen }
    }

    /// Lets calls try an open target of which something good was heard since it opened.
    fn heed(&self) {
        if self.breaker.state() != State::Open {
            return;
        }
        let heard = self.instances.recoveries();
        if self.seen.swap(heard, Ordering::Relaxed) != heard {
            self.breaker.half_open();
        }
    }
}

#[cfg(test)]
mod tests {
    use discovery::{Instance, Registry};

    use super::*;

    #[tokio::test]
    async fn what_is_heard_while_a_call_tries_an_open_target_counts_though_that_call_fails() {
        let registry = Registry::empty();
        let settings = CircuitBreakerSettings {
            failure_threshold: 1,
            timeout: Duration::from_hours(1),
            initial_timeout: Duration::from_hours(1),
            ..CircuitBreakerSettings::default()
        };
        let recovery = Recovery::new("target", registry.balancer("target"), &settings);
        let state = |recovery: &Recovery| {
            recovery.heed();
            recovery.breaker.state()
        };
        recovery.breaker.try_acquire().unwrap().failure();
        assert_eq!(state(&recovery), State::Open);
        registry.register(Instance::new("target", "127.0.0.1", 1));
        assert_eq!(state(&recovery), State::HalfOpen);
        let trial = recovery.breaker.try_acquire().unwrap();
        registry.register(Instance::new("target", "127.0.0.1", 2));
        trial.failure();
        assert_eq!(state(&recovery), State::HalfOpen, "of the second one nobody has heard yet");
        recovery.breaker.try_acquire().unwrap().failure();
        assert_eq!(state(&recovery), State::Open);
    }
}
