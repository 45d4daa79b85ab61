//! The payment provider at its worst: no payment is charged twice, none is forgotten.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use testkit::simulator::Fault;

use crate::app::{Ground, TestApp};

#[tokio::test]
async fn an_answer_that_is_lost_after_the_charge_is_asked_for_again_and_charges_once() {
    for fault in [Fault::DropConnectionAfterCharging, Fault::ErrorAfterCharging] {
        let app = TestApp::start().await;
        let payer = app.payer();
        app.ground.simulator.fail_next(1, fault);
        app.pay(&payer, "order-1", "pm_card_visa").await;
        app.until_status(&payer, "succeeded").await;
        assert_eq!(app.charges(), 1);
    }
}

#[tokio::test]
async fn a_provider_that_fails_or_is_busy_for_a_while_is_asked_again() {
    let app = TestApp::start().await;
    let payer = app.payer();
    app.ground.simulator.fail_next(1, Fault::Status(503));
    app.ground.simulator.fail_next(1, Fault::RateLimited);
    app.pay(&payer, "order-1", "pm_card_visa").await;
    app.until_status(&payer, "succeeded").await;
    assert_eq!(app.charges(), 1);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_leaves_the_payment_processing_until_it_does() {
    let app = TestApp::start_with(&[("STRIPE_TIMEOUT", "100ms")]).await;
    let payer = app.payer();
    app.ground.simulator.fail_next(1, Fault::Slow(Duration::from_millis(400)));
    let request = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(body["status"], "processing");
    app.until_status(&payer, "succeeded").await;
    assert_eq!(app.charges(), 1);
}

#[tokio::test]
async fn a_payment_method_that_the_provider_does_not_know_fails_the_payment() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let failed = app.pay(&payer, "order-1", "pm_nobody_has_this").await;
    let body: Value = failed.json().await.unwrap();
    assert_eq!(body["status"], "requires_payment_method", "{body}");
    assert_eq!(body["decline_code"], "resource_missing");
}

#[tokio::test]
async fn a_key_that_the_provider_refuses_fails_no_payment() {
    let app = TestApp::start_with(&[("STRIPE_API_KEY", "wrong")]).await;
    let payer = app.payer();
    let request = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
    request.send().await.unwrap();
    testkit::eventually("the provider was asked", async || {
        (!app.ground.simulator.requests().is_empty()).then_some(())
    })
    .await;
    app.until_status(&payer, "processing").await;
    assert_eq!((app.charges(), app.rows("messaging_outbox").await), (0, 0));
}

#[tokio::test]
async fn two_instances_share_the_payments_and_charge_each_once() {
    let app = TestApp::start().await;
    let mut other = app.ground.start().await;
    let payer = app.payer();
    let keys: Vec<String> = (0..30).map(|number| format!("order-{number}")).collect();
    let paid = join_all(keys.iter().map(|key| app.pay(&payer, key, "pm_card_visa"))).await;
    for answer in paid {
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["status"], "succeeded", "{body}");
    }
    assert_eq!((app.charges(), app.rows("payments").await), (30, 30));
    other.crash().await;
}

#[tokio::test]
async fn a_start_without_the_providers_key_is_refused_with_its_place() {
    let ground = Ground::lay(&[]).await;
    let vars = testkit::environment(&ground.database, &ground.broker);
    let vars = vars.into_iter().filter(|(name, _)| name != "STRIPE_API_KEY");
    let vars = tusk_config::Vars::of(vars);
    let faults = chassis::process::load::<payment_service::PaymentService>(vars).unwrap_err();
    assert!(faults.to_string().contains("STRIPE_API_KEY is not set"), "{faults}");
}
