//! The payment provider at its worst: no payment is charged twice, none is forgotten.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use testkit::simulator::Fault;

use crate::app::{Fixture, TestApp};

#[tokio::test]
async fn an_answer_that_is_lost_after_the_charge_is_asked_for_again_and_charges_once() {
    for fault in [Fault::DropConnectionAfterCharging, Fault::ErrorAfterCharging] {
        let app = TestApp::start().await;
        let payer = app.payer();
        app.fixture.simulator.fail_next(1, fault);
        app.pay(&payer, "order-1", "pm_card_visa").await;
        app.until_status(&payer, "succeeded").await;
        assert_eq!(app.charges(), 1);
    }
}

#[tokio::test]
async fn a_provider_that_fails_or_is_busy_for_a_while_is_asked_again() {
    let app = TestApp::start().await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::Status(503));
    app.fixture.simulator.fail_next(1, Fault::RateLimited);
    app.pay(&payer, "order-1", "pm_card_visa").await;
    app.until_status(&payer, "succeeded").await;
    assert_eq!(app.charges(), 1);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_leaves_the_payment_processing_until_it_does() {
    let app = TestApp::start_with(&[("STRIPE_TIMEOUT", "100ms")]).await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::Slow(Duration::from_millis(400)));
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
async fn a_key_that_the_provider_refuses_fails_no_payment_and_tells_nobody() {
    let app = TestApp::start_with(&[("STRIPE_API_KEY", "wrong")]).await;
    app.plain.listen("payment.events", "ear").await;
    let payer = app.payer();
    let request = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
    request.send().await.unwrap();
    // Put off by longer than the lease: the provider's refusal has been understood.
    testkit::eventually("the payment is put off", async || {
        let put_off = "select count(*) from payments
                       where next_attempt_at > now() + interval '35 seconds'";
        (app.count(put_off).await == 1).then_some(())
    })
    .await;
    app.until_status(&payer, "processing").await;
    assert_eq!((app.charges(), app.rows("messaging_outbox").await), (0, 0));
    assert_eq!((app.plain.waiting("ear").await, app.history().await.len()), (0, 1));
}

#[tokio::test]
async fn two_instances_share_the_payments_and_charge_each_once() {
    let app = TestApp::start().await;
    let mut other = app.fixture.start().await;
    app.plain.listen("payment.events", "ear").await;
    let payer = app.payer();
    let keys: Vec<String> = (0..30).map(|number| format!("order-{number}")).collect();
    let paid = join_all(keys.iter().map(|key| app.pay(&payer, key, "pm_card_visa"))).await;
    for answer in paid {
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["status"], "succeeded", "{body}");
    }
    assert_eq!((app.charges(), app.rows("payments").await), (30, 30));
    testkit::eventually("all is settled", async || {
        (app.rows("messaging_outbox").await == 0).then_some(())
    })
    .await;
    let mut settled = HashSet::new();
    for _ in 0..30 {
        let envelope: Value = serde_json::from_slice(&app.plain.next("ear").await.data).unwrap();
        settled.insert(envelope["data"]["payment_id"].to_string());
    }
    assert_eq!((settled.len(), app.plain.waiting("ear").await), (30, 0));
    other.crash().await;
}

#[tokio::test]
async fn a_start_without_the_providers_key_is_refused_with_its_place() {
    let fixture = Fixture::set_up(&[]).await;
    let vars = testkit::environment(&fixture.database, &fixture.broker);
    let vars = vars.into_iter().filter(|(name, _)| name != "STRIPE_API_KEY");
    let vars = tusk_config::Vars::of(vars);
    let faults = platform::process::load::<payment_service::PaymentService>(vars).unwrap_err();
    assert!(faults.to_string().contains("STRIPE_API_KEY is not set"), "{faults}");
}

#[tokio::test]
async fn a_lease_that_ends_during_a_charge_charges_once_and_tells_once() {
    let app = TestApp::start().await;
    let mut other = app.fixture.start().await;
    app.plain.listen("payment.events", "ear").await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::Slow(Duration::from_millis(800)));
    let request = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
    request.send().await.unwrap();
    app.until_asked(1).await;
    app.is_due_now().await;
    app.until_status(&payer, "succeeded").await;
    assert!(app.fixture.simulator.requests().len() > 1, "nobody took the payment over");
    app.plain.next("ear").await;
    assert_eq!((app.charges(), app.rows("payment_history").await), (1, 2));
    assert_eq!((app.plain.waiting("ear").await, app.rows("messaging_outbox").await), (0, 0));
    other.crash().await;
}

#[tokio::test]
async fn a_crash_while_the_provider_hangs_is_settled_by_the_next_instance_with_one_charge() {
    let app = TestApp::start().await;
    let payer = app.payer();
    for fault in [Fault::Timeout, Fault::Slow(Duration::from_millis(600))] {
        app.fixture.simulator.fail_next(1, fault);
    }
    for key in ["order-1", "order-2"] {
        let request = app.paying(&payer, key, "pm_card_visa").header("prefer", "wait=0");
        assert_eq!(request.send().await.unwrap().status(), 201);
    }
    app.until_asked(2).await;
    let app = app.crash_and_restart().await;
    app.is_due_now().await;
    testkit::eventually("both are settled", async || {
        let settled = "select count(*) from payments where status = 'succeeded'";
        (app.count(settled).await == 2).then_some(())
    })
    .await;
    assert_eq!((app.charges(), app.rows("payment_history").await), (2, 4));
}

/// After a day the provider may have forgotten our key: asking again under it would charge again.
#[tokio::test]
async fn a_charge_whose_answer_was_lost_a_day_ago_is_looked_for_and_not_repeated() {
    let mut app = TestApp::start().await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::Slow(Duration::from_millis(200)));
    let request = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
    request.send().await.unwrap();
    app.until_asked(1).await;
    app.crash().await;
    testkit::eventually("the provider has charged", async || (app.charges() == 1).then_some(()))
        .await;
    app.execute(
        "update payments set created_at = created_at - interval '25 hours', next_attempt_at = now()",
    )
    .await;
    app.restart().await;
    app.until_status(&payer, "succeeded").await;
    let asked = app.fixture.simulator.requests();
    let charging = asked.iter().filter(|request| request.method == "POST").count();
    // Searched for, then asked for by its name.
    assert_eq!((app.charges(), charging, asked.len()), (1, 1, 3));
}

/// The answer of a charge is lost; the next call is refused for a reason that says nothing of the
/// charge, while the provider's search does not show it yet.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_never_says_that_nothing_was_charged() {
    for refusal in [Fault::KeyReused, Fault::Rejected] {
        let app = TestApp::start().await;
        app.plain.listen("payment.events", "ear").await;
        app.fixture.simulator.search_lags(Duration::from_secs(3600));
        app.fixture.simulator.fail_next(1, Fault::DropConnectionAfterCharging);
        app.fixture.simulator.fail_next(1, refusal);
        let payer = app.payer();
        let request = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
        request.send().await.unwrap();
        app.until_key_retired().await;
        app.until_status(&payer, "processing").await;
        app.fixture.simulator.search_lags(Duration::ZERO);
        app.is_due_now().await;
        app.until_status(&payer, "succeeded").await;
        assert_eq!((app.charges(), app.history().await.len()), (1, 2));
        let event: Value = serde_json::from_slice(&app.plain.next("ear").await.data).unwrap();
        assert_eq!(event["event_type"], "payment.completed");
    }
}

#[tokio::test]
async fn an_answer_after_a_lost_one_that_is_not_the_providers_is_asked_for_again() {
    for answer in [Fault::Status(400), Fault::Status(404)] {
        let app = TestApp::start().await;
        app.fixture.simulator.search_lags(Duration::from_secs(3600));
        app.fixture.simulator.fail_next(1, Fault::DropConnectionAfterCharging);
        app.fixture.simulator.fail_next(1, answer);
        let payer = app.payer();
        app.pay(&payer, "order-1", "pm_card_visa").await;
        app.until_status(&payer, "succeeded").await;
        assert_eq!((app.charges(), app.history().await.len()), (1, 2));
    }
}

/// The provider failed in the middle of the first call and answers every further one as the first.
#[tokio::test]
async fn a_payment_unknown_for_a_day_is_charged_no_more_and_its_key_makes_no_second_one() {
    let app = TestApp::start_with(&[("IDEMPOTENCY_SWEEP_INTERVAL", "50ms")]).await;
    app.plain.listen("payment.events", "ear").await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::ErrorWithoutCharging);
    let pay = || app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
    let first: Value = pay().send().await.unwrap().json().await.unwrap();
    app.until_asked(1).await;
    app.a_day_goes_by().await;
    let again = pay().send().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    let again: Value = again.json().await.unwrap();
    assert_eq!(again["payment_id"], first["payment_id"]);
    app.until_key_retired().await;
    app.until_status(&payer, "processing").await;
    testkit::eventually("the age of the oldest payment is shown", async || {
        (app.metric("payments_unsettled_age_seconds").await >= 90_000.0).then_some(())
    })
    .await;

    app.execute("update payments set key_retired_at = now() - interval '2 hours'").await;
    app.is_due_now().await;
    let canceled = app.until_status(&payer, "requires_payment_method").await;
    assert_eq!(canceled["decline_code"], "not_processed_in_time");
    let event: Value = serde_json::from_slice(&app.plain.next("ear").await.data).unwrap();
    assert_eq!(event["event_type"], "payment.failed");
    assert_eq!(event["data"]["decline_code"], "not_processed_in_time");
    assert!(app.metric("payments_settled_total{outcome=\"canceled\"}").await >= 1.0);

    let again = pay().send().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!((app.rows("payments").await, app.charges()), (1, 0));
}

#[tokio::test]
async fn a_payment_that_never_reached_the_provider_is_canceled_when_its_time_is_up() {
    let app = TestApp::start().await;
    app.plain.listen("payment.events", "ear").await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(100, Fault::Status(503));
    let request = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
    request.send().await.unwrap();
    app.until_asked(1).await;
    app.execute("update payments set created_at = created_at - interval '6 hours'").await;
    app.fixture.simulator.recover();
    app.is_due_now().await;
    let canceled = app.until_status(&payer, "requires_payment_method").await;
    assert_eq!(canceled["decline_code"], "not_processed_in_time");
    let event: Value = serde_json::from_slice(&app.plain.next("ear").await.data).unwrap();
    assert_eq!(event["event_type"], "payment.failed");
    assert_eq!(app.charges(), 0);
}

/// A charge that went through, of which nobody received and which the search shows late.
#[tokio::test]
async fn a_charge_that_is_found_after_the_time_was_up_is_settled_as_found() {
    let app = TestApp::start().await;
    let payer = app.payer();
    app.fixture.simulator.search_lags(Duration::from_secs(3600));
    app.fixture.simulator.fail_next(1, Fault::ErrorAfterCharging);
    let request = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
    request.send().await.unwrap();
    app.until_asked(1).await;
    app.execute("update payments set created_at = created_at - interval '6 hours'").await;
    app.is_due_now().await;
    app.until_key_retired().await;
    app.until_status(&payer, "processing").await;
    app.fixture.simulator.search_lags(Duration::ZERO);
    app.execute("update payments set key_retired_at = now() - interval '2 hours'").await;
    app.is_due_now().await;
    app.until_status(&payer, "succeeded").await;
    assert_eq!((app.charges(), app.history().await.len()), (1, 2));
}

#[tokio::test]
async fn a_refusal_after_calls_that_never_arrived_fails_the_payment_with_its_reason() {
    for before in [Fault::Status(503), Fault::RateLimited] {
        let app = TestApp::start().await;
        let payer = app.payer();
        app.fixture.simulator.fail_next(1, before);
        app.pay(&payer, "order-1", "pm_nobody_has_this").await;
        let failed = app.until_status(&payer, "requires_payment_method").await;
        assert_eq!(failed["decline_code"], "resource_missing");
    }
}

#[tokio::test]
async fn a_refusal_that_is_not_the_providers_fails_no_payment() {
    let app = TestApp::start().await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::Status(404));
    app.pay(&payer, "order-1", "pm_card_visa").await;
    app.until_status(&payer, "succeeded").await;
    assert_eq!((app.charges(), app.history().await.len()), (1, 2));
}

#[tokio::test]
async fn settings_with_which_a_charge_could_be_lost_are_refused() {
    let fixture = Fixture::set_up(&[]).await;
    for (name, value) in [
        ("SETTLEMENT_CHARGE_WITHIN", "13h"),
        ("SETTLEMENT_CHARGE_WITHIN", "0s"),
        ("SETTLEMENT_LOOK_UP_FOR", "59m"),
    ] {
        let mut vars = testkit::environment(&fixture.database, &fixture.broker);
        vars.insert(name.to_owned(), value.to_owned());
        let vars = tusk_config::Vars::of(vars);
        let faults = platform::process::load::<payment_service::PaymentService>(vars).unwrap_err();
        assert!(faults.to_string().contains("payment-service.tsk"), "{name}={value}: {faults}");
    }
}
