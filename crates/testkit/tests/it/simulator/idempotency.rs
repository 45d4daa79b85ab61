//! The same request twice.

use std::time::Duration;

use testkit::eventually;
use testkit::simulator::Fault;

use super::{Provider, answer, payment};

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_one_charge() {
    let provider = Provider::start().await;
    let pay = || provider.pay("pm_card_visa").header("idempotency-key", "payment-1");
    let first = answer(pay()).await;
    let second = answer(pay()).await;
    assert!(!first.replayed && second.replayed);
    assert_eq!(first.body, second.body);
    assert_ne!(first.request_id, second.request_id);
    assert_eq!(provider.simulator.charges().len(), 1);
    let requests = provider.simulator.requests();
    assert_eq!(requests.iter().map(|request| request.replayed).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn a_decline_is_replayed_too() {
    let provider = Provider::start().await;
    let pay = || provider.pay("pm_card_visa_chargeDeclined").header("idempotency-key", "payment-1");
    let first = answer(pay()).await;
    let second = answer(pay()).await;
    assert_eq!((second.status.as_u16(), second.replayed), (402, true));
    assert_eq!(first.body, second.body);
}

#[tokio::test]
async fn other_parameters_or_another_call_under_the_same_key_are_refused() {
    let provider = Provider::start().await;
    answer(provider.pay("pm_card_visa").header("idempotency-key", "payment-1")).await;
    let mut parameters = payment("pm_card_visa");
    parameters[0].1 = "2999";
    for request in
        [provider.post("/v1/payment_intents", &parameters), provider.post("/v1/customers", &[])]
    {
        let refused = answer(request.header("idempotency-key", "payment-1")).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.body["error"]["type"], "idempotency_error");
    }
    assert_eq!(provider.simulator.charges().len(), 1);
}

#[tokio::test]
async fn a_request_that_was_refused_before_it_began_frees_its_key() {
    let provider = Provider::start().await;
    let wrong = provider.pay("pm_nobody").header("idempotency-key", "payment-1");
    assert_eq!(answer(wrong).await.status, 400);
    let right = answer(provider.pay("pm_card_visa").header("idempotency-key", "payment-1")).await;
    assert_eq!((right.status.as_u16(), right.replayed), (200, false));
}

#[tokio::test]
async fn a_key_in_flight_is_a_conflict_until_it_is_through() {
    let provider = Provider::start().await;
    let pay = || provider.pay("pm_card_visa").header("idempotency-key", "payment-1");
    provider.simulator.fail_next(1, Fault::Slow(Duration::from_millis(300)));
    let first = tokio::spawn(answer(pay()));
    let arrived = async || (provider.simulator.requests().len() == 1).then_some(());
    eventually("the first request has arrived", arrived).await;
    let second = answer(pay()).await;
    assert_eq!(second.status, 409);
    assert_eq!(second.body["error"]["code"], "idempotency_key_in_use");
    assert_eq!(first.await.unwrap().status, 200);
    assert!(answer(pay()).await.replayed);
    assert_eq!(provider.simulator.charges().len(), 1);
}

#[tokio::test]
async fn a_key_has_at_most_255_characters() {
    let provider = Provider::start().await;
    let with =
        |length: usize| provider.pay("pm_card_visa").header("idempotency-key", "k".repeat(length));
    assert_eq!(answer(with(255)).await.status, 200);
    assert_eq!(answer(with(256)).await.status, 400);
}
