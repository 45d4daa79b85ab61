//! Asking again: the same answer, to the byte, and never a second charge.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::simulator::Fault;

use crate::app::TestApp;

#[tokio::test]
async fn the_same_key_gets_the_first_answer_to_the_byte_and_charges_nothing() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let first = app.pay(&payer, "order-1", "pm_card_visa").await;
    let status = first.status();
    let first = first.text().await.unwrap();
    let again = app.pay(&payer, "order-1", "pm_card_visa").await;
    assert_eq!(again.status(), status);
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.headers()["content-type"], "application/json");
    assert_eq!(again.text().await.unwrap(), first);
    assert_eq!((app.charges(), app.rows("payments").await), (1, 1));
}

#[tokio::test]
async fn the_same_key_for_another_request_is_refused() {
    let app = TestApp::start().await;
    let payer = app.payer();
    app.pay(&payer, "order-1", "pm_card_visa").await;
    let other = app.pay(&payer, "order-1", "pm_card_mastercard").await;
    assert_eq!(other.status(), 422);
    let problem: Value = other.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/idempotency-key-reused");
    assert_eq!(app.charges(), 1);
}

#[tokio::test]
async fn spaces_and_the_order_of_fields_make_no_other_request() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let first = app.pay(&payer, "order-1", "pm_card_visa").await.text().await.unwrap();
    let body = r#"{ "payment_method": "pm_card_visa", "currency": "EUR", "amount": 1999 }"#;
    let again = app.paying(&payer, "order-1", "x").body(body).send().await.unwrap();
    assert_eq!(again.text().await.unwrap(), first);
}

#[tokio::test]
async fn keys_of_two_users_are_two_keys() {
    let app = TestApp::start().await;
    for payer in [app.payer(), app.payer()] {
        let paid = app.pay(&payer, "order-1", "pm_card_visa").await;
        assert!(!paid.headers().contains_key("idempotent-replayed"));
    }
    assert_eq!(app.charges(), 2);
}

#[tokio::test]
async fn a_request_without_a_key_or_with_a_bad_one_is_refused() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let long = "k".repeat(256);
    for key in [Some(""), Some("  "), Some(long.as_str()), None] {
        let body = json!({"amount": 1, "currency": "EUR", "payment_method": "pm_card_visa"});
        let mut request = app.request(reqwest::Method::POST, "/api/payments").json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.bearer_auth(&payer.token).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{key:?}");
    }
    assert_eq!(app.rows("payments").await, 0);
}

#[tokio::test]
async fn eight_identical_requests_at_the_same_moment_make_one_payment() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let answers = join_all((0..8).map(|_| app.pay(&payer, "order-1", "pm_card_visa"))).await;
    let mut bodies = Vec::new();
    for answer in answers {
        match answer.status().as_u16() {
            201 => bodies.push(answer.text().await.unwrap()),
            409 => assert!(answer.headers().contains_key("retry-after")),
            other => panic!("{other}: {}", answer.text().await.unwrap()),
        }
    }
    assert!(!bodies.is_empty() && bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!((app.charges(), app.rows("payments").await), (1, 1));
}

#[tokio::test]
async fn what_was_refused_leaves_the_key_free() {
    let app = TestApp::start().await;
    let payer = app.payer();
    assert_eq!(app.pay(&payer, "order-1", "no token").await.status(), 422);
    let paid = app.pay(&payer, "order-1", "pm_card_visa").await;
    assert_eq!(paid.status(), 201);
    assert!(!paid.headers().contains_key("idempotent-replayed"));
}

#[tokio::test]
async fn a_key_whose_time_is_up_makes_a_new_payment() {
    let app = TestApp::start().await;
    let payer = app.payer();
    app.pay(&payer, "order-1", "pm_card_visa").await;
    app.a_day_goes_by().await;
    let paid = app.pay(&payer, "order-1", "pm_card_mastercard").await;
    assert_eq!(paid.status(), 201);
    assert_eq!(app.charges(), 2);
}

#[tokio::test]
async fn who_does_not_wait_gets_processing_and_the_same_answer_again() {
    let app = TestApp::start().await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::Slow(Duration::from_secs(1)));
    let request = || app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
    let first = request().send().await.unwrap().text().await.unwrap();
    assert!(first.contains("\"processing\""), "{first}");
    app.until_status(&payer, "succeeded").await;
    assert_eq!(request().send().await.unwrap().text().await.unwrap(), first);
    assert_eq!(app.charges(), 1);
}

#[tokio::test]
async fn after_a_crash_before_the_answer_the_replay_tells_what_became_of_it() {
    let app = TestApp::start().await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::Timeout);
    let asked = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=30").send();
    let asked = tokio::spawn(asked);
    app.until_asked(1).await;
    let app = app.crash_and_restart().await;
    app.is_due_now().await;
    drop(asked);
    let again = app.pay(&payer, "order-1", "pm_card_visa").await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    let body: Value = again.json().await.unwrap();
    assert_eq!(body["status"], "succeeded", "{body}");
    assert_eq!((app.charges(), app.rows("payments").await), (1, 1));
}

#[tokio::test]
async fn the_same_key_at_two_instances_at_the_same_moment_makes_one_payment() {
    let app = TestApp::start().await;
    let mut other = app.fixture.start().await;
    let payer = app.payer();
    let here = (0..8).map(|_| app.paying(&payer, "order-1", "pm_card_visa").send());
    let there =
        (0..8).map(|_| TestApp::paying_at(&other, &payer, "order-1", "pm_card_visa").send());
    let (here, there) = tokio::join!(join_all(here), join_all(there));
    let mut bodies = Vec::new();
    for answer in here.into_iter().chain(there).map(Result::unwrap) {
        let status = answer.status();
        assert!(status == 201 || status == 409, "{status}");
        if status == 201 {
            bodies.push(answer.text().await.unwrap());
        }
    }
    assert!(!bodies.is_empty() && bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!((app.charges(), app.rows("payments").await), (1, 1));
    other.crash().await;
}

#[tokio::test]
async fn who_asks_again_before_the_answer_is_kept_gets_the_same_answer_as_the_first() {
    let app = TestApp::start().await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::Slow(Duration::from_secs(2)));
    let first = tokio::spawn(app.paying(&payer, "order-1", "pm_card_visa").send());
    app.until_asked(1).await;
    let again = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=0");
    let again = again.send().await.unwrap().text().await.unwrap();
    assert!(again.contains("\"processing\""), "{again}");
    assert_eq!(first.await.unwrap().unwrap().text().await.unwrap(), again);
    app.until_status(&payer, "succeeded").await;
    assert_eq!((app.charges(), app.rows("payments").await), (1, 1));
}

#[tokio::test]
async fn a_key_is_kept_as_long_as_its_payment_is_not_settled_and_a_day_longer() {
    let app = TestApp::start_with(&[("IDEMPOTENCY_SWEEP_INTERVAL", "50ms")]).await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::Slow(Duration::from_secs(2)));
    let first = tokio::spawn(app.paying(&payer, "order-1", "pm_card_visa").send());
    app.until_asked(1).await;
    app.a_day_goes_by().await;
    let other = app.pay(&payer, "order-1", "pm_card_mastercard").await;
    assert_eq!(other.status(), 422, "the key made another payment while the first was under way");
    let first = first.await.unwrap().unwrap().text().await.unwrap();
    app.until_status(&payer, "succeeded").await;
    let again = app.pay(&payer, "order-1", "pm_card_visa").await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.text().await.unwrap(), first);
    assert_eq!((app.charges(), app.rows("payments").await), (1, 1));
    app.a_day_goes_by().await;
    testkit::eventually("the key is removed", async || {
        (app.rows("idempotency_keys").await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_wait_ends_before_the_requests_time_is_up_with_what_is_known() {
    let app = TestApp::start_with(&[("REQUEST_TIMEOUT", "1500ms")]).await;
    let payer = app.payer();
    app.fixture.simulator.fail_next(1, Fault::Slow(Duration::from_secs(5)));
    let request = app.paying(&payer, "order-1", "pm_card_visa").header("prefer", "wait=30");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["status"], "processing");
}

#[tokio::test]
async fn keys_are_removed_when_their_time_is_up_and_not_before() {
    let app = TestApp::start_with(&[("IDEMPOTENCY_SWEEP_INTERVAL", "50ms")]).await;
    let payer = app.payer();
    for key in ["order-1", "order-2"] {
        app.pay(&payer, key, "pm_card_visa").await;
    }
    app.execute(
        "update payments set updated_at = updated_at - interval '25 hours'
         where id = (select payment_id from idempotency_keys where key = 'order-1')",
    )
    .await;
    app.execute("update idempotency_keys set expires_at = now() where key = 'order-1'").await;
    testkit::eventually("the key is removed", async || {
        (app.rows("idempotency_keys").await == 1).then_some(())
    })
    .await;
    let kept = app.pay(&payer, "order-2", "pm_card_visa").await;
    assert_eq!(kept.headers()["idempotent-replayed"], "true");
    assert_eq!(app.rows("payments").await, 2, "payments are never removed");
}

/// Another replica locks the oldest thousand, as it does while it removes them.
#[tokio::test]
async fn one_round_removes_all_keys_past_their_time_but_those_that_another_replica_removes() {
    // So long that only the round at the start counts.
    let app = TestApp::start_with(&[("IDEMPOTENCY_SWEEP_INTERVAL", "1d")]).await;
    app.pay(&app.payer(), "order-1", "pm_card_visa").await;
    app.execute("update payments set updated_at = updated_at - interval '25 hours'").await;
    app.execute(
        "insert into idempotency_keys (user_id, key, fingerprint, payment_id, expires_at)
         select user_id, 'old-' || n, fingerprint, payment_id, now() - n * interval '1 second'
         from idempotency_keys, generate_series(1, 3500) n",
    )
    .await;
    let pool = app.fixture.database.pool().await;
    let mut other_replica = pool.begin().await.unwrap();
    let lock = "select key from idempotency_keys order by expires_at limit 1000 for update";
    sqlx::query(lock).execute(&mut *other_replica).await.unwrap();
    let app = app.crash_and_restart().await;
    testkit::eventually("the good key and those of the other replica are left", async || {
        (app.rows("idempotency_keys").await == 1_001).then_some(())
    })
    .await;
}
