//! Customers: opened and closed by another service's events, once.

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::{Plain, eventually};
use uuid::Uuid;

use crate::app::{Payer, TestApp};

async fn created(plain: &Plain, user: Uuid) {
    plain.publish("user.created", &json!({"user_id": user, "email": "ada@example.com"})).await;
}

async fn deleted(plain: &Plain, user: Uuid) {
    plain.publish("user.deleted", &json!({"user_id": user})).await;
}

async fn status(app: &TestApp, payer: &Payer) -> StatusCode {
    app.get("/api/payments/customer", &payer.token).await.status()
}

async fn until(app: &TestApp, payer: &Payer, expected: u16) {
    eventually(&format!("the customer is {expected}"), async || {
        (status(app, payer).await == expected).then_some(())
    })
    .await;
}

async fn until_handled(app: &TestApp, messages: i64) {
    eventually("all messages are handled", async || {
        (app.rows("messaging_inbox").await == messages).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_registration_delivered_twice_at_once_opens_one_customer() {
    let app = TestApp::start().await;
    let plain = &app.plain;
    let payer = app.payer();
    tokio::join!(created(plain, payer.id), created(plain, payer.id));
    until(&app, &payer, 200).await;
    // A third message behind the two is handled when they are.
    let other = app.payer();
    created(plain, other.id).await;
    until(&app, &other, 200).await;
    assert_eq!(app.rows("customers").await, 2);
    let body = app.get("/api/payments/customer", &payer.token).await;
    let body: Value = body.json().await.unwrap();
    assert_eq!(body["user_id"], json!(payer.id));
}

#[tokio::test]
async fn a_deletion_closes_the_customer_and_a_late_registration_opens_nothing() {
    let app = TestApp::start().await;
    let plain = &app.plain;
    let payer = app.payer();
    let late = app.payer();
    created(plain, payer.id).await;
    until(&app, &payer, 200).await;
    deleted(plain, payer.id).await;
    until(&app, &payer, 404).await;

    deleted(plain, late.id).await;
    eventually("the deletion is noted", async || (app.rows("customers").await == 2).then_some(()))
        .await;
    created(plain, late.id).await;
    let last = app.payer();
    created(plain, last.id).await;
    until(&app, &last, 200).await;
    until_handled(&app, 5).await;
    assert_eq!(status(&app, &late).await, 404);
}

#[tokio::test]
async fn two_instances_that_open_and_close_customers_at_once_leave_them_closed() {
    let app = TestApp::start().await;
    let mut other = app.fixture.start().await;
    let plain = &app.plain;
    let users: Vec<Uuid> = (0..100).map(|_| app.payer().id).collect();
    join_all(users.iter().map(async |user| {
        tokio::join!(created(plain, *user), deleted(plain, *user));
    }))
    .await;
    until_handled(&app, 200).await;
    let open = app.count("select count(*) from customers where closed_at is null").await;
    assert_eq!((open, app.rows("customers").await), (0, 100));
    other.crash().await;
}

#[tokio::test]
async fn registrations_that_wait_are_customers_after_few_transactions() {
    let app = TestApp::start().await;
    let users: Vec<Uuid> = (0..200).map(|_| app.payer().id).collect();
    join_all(users.iter().map(|user| created(&app.plain, *user))).await;
    until_handled(&app, 200).await;
    assert_eq!(app.rows("customers").await, 200);
    let transactions = app.count("select count(distinct xmin::text) from customers").await;
    assert!(transactions <= 100, "{transactions} transactions");
}

#[tokio::test]
async fn a_message_that_makes_no_sense_is_dead_lettered_and_the_next_is_handled() {
    let app = TestApp::start().await;
    let plain = &app.plain;
    let payer = app.payer();
    plain.publish_bytes("user.created", b"{\"event_type\":").await;
    plain.publish("user.created", &json!({"user_id": "ada"})).await;
    created(plain, payer.id).await;
    until(&app, &payer, 200).await;
    eventually("both are dead-lettered", async || {
        let dead_letters =
            app.fixture.broker.queue_messages("payment-service.events.dead-letters").await;
        (dead_letters == 2).then_some(())
    })
    .await;
    assert_eq!(app.rows("customers").await, 1);
}

#[tokio::test]
async fn each_deletion_is_confirmed_in_the_transaction_that_closes_the_customer() {
    let app = TestApp::start().await;
    app.plain.listen("erasure.events", "ear").await;
    let payer = app.payer();
    let confirmed = async || {
        let body: Value = serde_json::from_slice(&app.plain.next("ear").await.data).unwrap();
        assert_eq!(body["event_type"], "erasure.confirmed");
        assert_eq!(body["service"], "payment-service");
        assert_eq!(body["data"], json!({"user_id": payer.id}), "and nothing else");
    };
    app.fixture.database.refuse_commits("customers").await;
    deleted(&app.plain, payer.id).await;
    eventually("a commit is refused", async || {
        app.fixture.database.has_refused_a_commit().await.then_some(())
    })
    .await;
    for table in ["customers", "messaging_outbox", "messaging_inbox"] {
        assert_eq!(app.rows(table).await, 0, "{table}");
    }
    app.fixture.database.allow_commits().await;
    confirmed().await;
    assert_eq!(app.rows("customers").await, 1);

    // Asked again, it erases again, and says so.
    let again = json!({"user_id": payer.id});
    app.plain.publish_at("user.deleted", &again, "2026-01-02T00:00:00Z").await;
    confirmed().await;
    until_handled(&app, 2).await;
    let closed =
        app.count("select count(*) from customers where closed_at < '2026-01-01T12:00:00Z'").await;
    assert_eq!(closed, 1, "it stays closed since then");
    assert_eq!(app.plain.waiting("ear").await, 0);
}

#[tokio::test]
async fn what_a_user_wrote_goes_with_the_user_and_the_payment_stays() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let other = app.payer();
    let describe = |payer: &Payer, description: &str| {
        let body = json!({"amount": 1999, "currency": "EUR", "payment_method": "pm_card_visa",
            "description": description});
        app.paying(payer, description, "pm_card_visa").json(&body).send()
    };
    for payer in [&payer, &other] {
        assert_eq!(describe(payer, "for Grace").await.unwrap().status(), 201);
    }
    deleted(&app.plain, payer.id).await;
    until_handled(&app, 1).await;

    let pool = app.fixture.database.pool().await;
    let texts = "select user_id, description, amount from payments";
    let texts: Vec<(Uuid, Option<String>, i64)> =
        sqlx::query_as(texts).fetch_all(&pool).await.unwrap();
    assert!(texts.contains(&(payer.id, None, 1999)), "{texts:?}");
    assert!(texts.contains(&(other.id, Some("for Grace".to_owned()), 1999)), "{texts:?}");
    let keys = sqlx::query_scalar("select user_id from idempotency_keys");
    let keys: Vec<Uuid> = keys.fetch_all(&pool).await.unwrap();
    assert_eq!(keys, [other.id]);
    // user-service said that the user is active just before the deletion, as this fake always does.
    let late = describe(&payer, "too late").await.unwrap();
    assert_eq!(late.status(), 422);
    assert_eq!((app.rows("payments").await, app.charges()), (2, 2));
}
