//! The breaker around services.

use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::guard;

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_the_breaker() {
    let breaker = breaker(1, 1);
    let layer = BreakerLayer::new(breaker.clone(), AnyError);
    let service = |answer| layer.layer(guard(service_fn(move |()| async move { answer })));
    let (good, bad) = (service(Ok::<_, &str>(1)), service(Err("broken")));
    assert_eq!(bad.clone().oneshot(()).await, Err(Error::Inner("broken")));
    assert_eq!(good.clone().oneshot(()).await, Err(Error::Open(Open { retry_after: TIMEOUT })));
    advance(TIMEOUT).await;
    assert_eq!(good.oneshot(()).await, Ok(1));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_given_up_is_no_outcome_and_makes_room() {
    let breaker = breaker(1, 1);
    let layer = BreakerLayer::new(breaker.clone(), AnyError);
    let service = layer.layer(guard(service_fn(|()| std::future::pending::<Result<(), ()>>())));
    fail(&breaker, 1);
    advance(TIMEOUT).await;
    let call = service.oneshot(());
    tokio::time::timeout(Duration::from_secs(1), call).await.unwrap_err();
    assert_eq!((breaker.state(), breaker.is_callable()), (State::HalfOpen, true));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_answers_although_the_service_is_not_ready() {
    let breaker = breaker(1, 1);
    let layer = BreakerLayer::new(breaker.clone(), AnyError);
    let busy = tower::limit::ConcurrencyLimit::new(service_fn(|()| async { Ok::<_, &str>(()) }), 0);
    let mut service = layer.layer(guard(busy));
    fail(&breaker, 1);
    let ready: Result<_, Error<&str>> = service.ready().await;
    assert_eq!(ready.unwrap().call(()).await, Err(Error::Open(Open { retry_after: TIMEOUT })));
}
