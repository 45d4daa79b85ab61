//! The parts together: what each order promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt, service_fn};

use super::Stack;
use crate::breaker::{CircuitBreaker, CircuitBreakerSettings, State};
use crate::bulkhead::Bulkhead;
use crate::deadline::{Deadline, HasDeadline};
use crate::fallback::{FallbackLayer, Stale, StaleLayer, StaleSettings, Use};
use crate::rate_limit::{RateLimit, RateLimitSettings};
use crate::retry::{AnyFailure, RetryHint, RetryPolicy, RetrySettings};
use crate::{AnyError, Error};

type Answer = Result<Response<&'static str>, &'static str>;

fn get() -> Request<()> {
    Request::get("/users/1").body(()).unwrap()
}

#[allow(clippy::unnecessary_wraps, reason = "the answer of a target")]
fn ok() -> Answer {
    Ok(Response::new("ok"))
}

/// A target that counts its calls and answers the n-th with `answer(n)`.
fn target<F: Future<Output = Answer> + Send>(
    answer: impl Fn(u32) -> F + Clone + Send,
) -> (
    Arc<AtomicU32>,
    impl Service<Request<()>, Response = Response<&'static str>, Error = &'static str, Future: Send>
    + Clone
    + Send,
) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    let service = service_fn(move |_: Request<()>| answer(counter.fetch_add(1, Ordering::SeqCst)));
    (calls, service)
}

fn retry() -> RetryPolicy<AnyFailure> {
    RetryPolicy::new(&RetrySettings::default(), AnyFailure)
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_passes_is_not_seen() {
    let (calls, target) = target(async |n| if n < 2 { Err("broken") } else { ok() });
    let service = Stack::new().retry(retry()).service(target);
    assert_eq!(*service.oneshot(get()).await.unwrap().body(), "ok");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_repeated_is_sent_once() {
    let (calls, target) = target(async |_| Err("broken"));
    let service = Stack::new().retry(retry()).service(target);
    let post = Request::post("/payments").body(()).unwrap();
    assert_eq!(service.oneshot(post).await.unwrap_err(), Error::Inner("broken"));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn retries_end_when_the_breaker_opens_and_the_target_is_left_alone() {
    let (calls, target) = target(async |_| Err("broken"));
    let settings = CircuitBreakerSettings { failure_threshold: 2, ..Default::default() };
    let breaker = CircuitBreaker::new("target", &settings);
    let service = Stack::new().breaker(breaker.clone(), AnyError).retry(retry()).service(target);
    let refused = service.oneshot(get()).await.unwrap_err();
    assert!(matches!(refused, Error::Open(_)), "{refused}");
    assert_eq!((calls.load(Ordering::SeqCst), breaker.state()), (2, State::Open));
}

#[tokio::test(start_paused = true)]
async fn a_hang_is_a_failure_to_the_breaker() {
    let (_, target) = target(async |_| {
        sleep(Duration::from_secs(3600)).await;
        ok()
    });
    let settings = CircuitBreakerSettings { failure_threshold: 1, ..Default::default() };
    let breaker = CircuitBreaker::new("target", &settings);
    let stack = Stack::new().attempt_timeout(Duration::from_secs(1));
    let service = stack.breaker(breaker.clone(), AnyError).service(target);
    assert_eq!(service.oneshot(get()).await.unwrap_err(), Error::TimedOut);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_callers_short_deadline_says_nothing_about_the_target() {
    let (calls, target) = target(async |_| {
        sleep(Duration::from_millis(500)).await;
        ok()
    });
    let settings = CircuitBreakerSettings { failure_threshold: 1, ..Default::default() };
    let breaker = CircuitBreaker::new("target", &settings);
    let stack = Stack::new().attempt_timeout(Duration::from_secs(1)).retry(retry());
    let service = stack.breaker(breaker.clone(), AnyError).service(target);
    let mut hurried = get();
    hurried.set_deadline(Deadline::within(Duration::from_millis(10)));
    let late = service.clone().oneshot(hurried.clone()).await.unwrap_err();
    assert_eq!((late, breaker.state()), (Error::DeadlineExceeded, State::Closed));
    let later = service.oneshot(hurried).await.unwrap_err();
    assert_eq!(later, Error::DeadlineExceeded);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "no attempt without time");
}

#[tokio::test(start_paused = true)]
async fn the_total_time_covers_all_attempts_and_no_retry_is_planned_past_it() {
    let (calls, target) = target(async |_| {
        sleep(Duration::from_secs(2)).await;
        Err("broken")
    });
    let stack = Stack::new().total_timeout(Duration::from_secs(3)).retry(retry());
    let service = stack.attempt_timeout(Duration::from_secs(10)).service(target);
    let begin = Instant::now();
    assert_eq!(service.oneshot(get()).await.unwrap_err(), Error::DeadlineExceeded);
    assert_eq!((begin.elapsed(), calls.load(Ordering::SeqCst)), (Duration::from_secs(3), 2));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_deadline_ends_it_with_the_answer_at_hand() {
    let (calls, target) = target(async |_| ok());
    let asked = Duration::from_secs(30);
    let throttled =
        move |_: &Result<Response<&str>, Error<&str>>| Some(RetryHint { retry_after: Some(asked) });
    let policy = RetryPolicy::new(&RetrySettings::default(), throttled);
    let stack = Stack::new().total_timeout(Duration::from_secs(5)).retry(policy.clone());
    let begin = Instant::now();
    stack.service(target.clone()).oneshot(get()).await.unwrap();
    assert_eq!((begin.elapsed(), calls.load(Ordering::SeqCst)), (Duration::ZERO, 1));
    Stack::new().retry(policy).service(target).oneshot(get()).await.unwrap();
    assert_eq!(begin.elapsed(), asked * 2, "obeyed where there is time");
}

#[tokio::test(start_paused = true)]
async fn the_budget_holds_when_everything_fails() {
    let (calls, target) = target(async |_| Err("broken"));
    let policy = retry();
    let service = Stack::new().retry(policy).service(target);
    for _ in 0..100 {
        sleep(Duration::from_millis(10)).await;
        service.clone().oneshot(get()).await.unwrap_err();
    }
    let calls = calls.load(Ordering::SeqCst);
    assert!((110..=100 + 10 + 3 + 30).contains(&calls), "{calls} for 100");
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_limited_and_refusals_say_nothing_about_the_target() {
    let (calls, target) = target(async |_| Err("broken"));
    let settings = CircuitBreakerSettings { failure_threshold: 2, ..Default::default() };
    let breaker = CircuitBreaker::new("target", &settings);
    let limit = RateLimit::new(&RateLimitSettings { per_second: 1, burst: 1 });
    let stack = Stack::new().rate_limit(limit).breaker(breaker.clone(), AnyError);
    let service = stack.bulkhead(Bulkhead::new(1)).service(target);
    assert_eq!(service.clone().oneshot(get()).await.unwrap_err(), Error::Inner("broken"));
    for _ in 0..5 {
        let refused = service.clone().oneshot(get()).await.unwrap_err();
        assert_eq!(refused, Error::RateLimited { retry_after: Duration::from_secs(1) });
    }
    assert_eq!((calls.load(Ordering::SeqCst), breaker.state()), (1, State::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_for_what_went_wrong() {
    let (_, target) = target(async |_| Err("broken"));
    let fallback = FallbackLayer::new(|error: Error<&'static str>| async move {
        match error {
            Error::Inner("broken") => Ok(Response::new("instead")),
            other => Err(other),
        }
    });
    let answer = Stack::new().fallback(fallback).service(target).oneshot(get()).await;
    assert_eq!(*answer.unwrap().body(), "instead");
}

#[allow(clippy::type_complexity, reason = "closures have no shorter names")]
fn stale() -> StaleLayer<
    String,
    Response<&'static str>,
    impl Fn(&Request<()>) -> Option<String>,
    impl Fn(&Result<Response<&'static str>, Error<&'static str>>) -> Use,
> {
    let settings = StaleSettings { capacity: 10, max_age: Duration::from_secs(60) };
    let judge = |result: &Result<Response<&'static str>, Error<&'static str>>| match result {
        Ok(_) => Use::Keep,
        Err(_) => Use::Replace,
    };
    StaleLayer::new(&settings, |request: &Request<()>| Some(request.uri().to_string()), judge)
}

#[tokio::test(start_paused = true)]
async fn the_last_good_answer_is_given_again_marked_until_it_is_too_old() {
    let (_, target) = target(async |n| if n == 0 { ok() } else { Err("broken") });
    let service = Stack::new().fallback(stale()).service(target);
    let ask = || service.clone().oneshot(get());
    assert_eq!(ask().await.unwrap().extensions().get::<Stale>(), None);
    sleep(Duration::from_secs(60)).await;
    let again = ask().await.unwrap();
    let age = Duration::from_secs(60);
    assert_eq!((again.extensions().get(), *again.body()), (Some(&Stale { age }), "ok"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(ask().await.unwrap_err(), Error::Inner("broken"));
    let other = Request::get("/users/2").body(()).unwrap();
    service.clone().oneshot(other).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn questions_that_overlap_are_one_call_and_one_given_up_leaves_it_to_another() {
    let (calls, target) = target(async |_| {
        sleep(Duration::from_secs(1)).await;
        ok()
    });
    let service = Stack::new().fallback(stale()).service(target);
    let ask = || service.clone().oneshot(get());
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let hurried = tokio::time::timeout(Duration::from_millis(500), ask());
    let (given_up, answered) = tokio::join!(hurried, ask());
    assert!(given_up.is_err() && answered.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}
