//! What other services hear, and what they say: over a real broker.

use std::collections::BTreeMap;

use contracts::user::{UserCreated, UserUpdated};
use contracts::{Envelope, Event};
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::{Value, json};

use crate::app::TestApp;

/// A plain AMQP client that knows only what the seed says.
async fn plain_client(app: &TestApp) -> Channel {
    let uri = app.broker.amqp_uri();
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
    connection.create_channel().await.unwrap()
}

#[tokio::test]
async fn a_plain_client_reads_user_created_and_user_updated_in_order() {
    let app = TestApp::start().await;
    let channel = plain_client(&app).await;
    let exchange = "user.events";
    testkit::eventually("the exchange is declared", async || {
        let probe = plain_client(&app).await;
        let passive =
            lapin::options::ExchangeDeclareOptions { passive: true, ..Default::default() };
        let kind = lapin::ExchangeKind::Topic;
        probe.exchange_declare(exchange.into(), kind, passive, FieldTable::default()).await.ok()
    })
    .await;
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    channel.queue_declare("ear".into(), options, FieldTable::default()).await.unwrap();
    let bind = QueueBindOptions::default();
    channel
        .queue_bind("ear".into(), exchange.into(), "#".into(), bind, FieldTable::default())
        .await
        .unwrap();
    let user = app.somebody().await;
    let path = format!("/api/users/{}", user.id);
    let change = json!({"email": "new@example.com"});
    assert_eq!(app.patch(&path, &user.token, "\"1\"", &change).await.status(), 200);

    let consume = BasicConsumeOptions::default();
    let mut heard = channel
        .basic_consume("ear".into(), "".into(), consume, FieldTable::default())
        .await
        .unwrap();
    let created = heard.next().await.unwrap().unwrap();
    assert_eq!(created.routing_key.as_str(), UserCreated::TYPE);
    let body: BTreeMap<String, Value> = serde_json::from_slice(&created.data).unwrap();
    assert_eq!(
        (&body["event_type"], &body["service"]),
        (&json!("user.created"), &json!("user-service"),)
    );
    assert_eq!(body["data"]["user_id"], json!(user.id));
    created.ack(BasicAckOptions::default()).await.unwrap();
    let updated = heard.next().await.unwrap().unwrap();
    let updated: Envelope<UserUpdated> = serde_json::from_slice(&updated.data).unwrap();
    assert_eq!(updated.data.previous_email, Some(user.email));
    assert_eq!(
        (updated.data.email.as_str(), updated.data.changed.as_slice()),
        ("new@example.com", &["email".to_owned()][..],)
    );
}

#[tokio::test]
async fn a_permanent_failure_to_notify_marks_the_address_undeliverable() {
    let app = TestApp::start().await;
    let user = app.somebody().await;
    let channel = plain_client(&app).await;
    // Subscribed means bound: what is published before that passes the service by.
    testkit::eventually("the service is subscribed", async || {
        let health = app.request(reqwest::Method::GET, "/health").send().await.ok()?;
        let health: Value = health.json().await.ok()?;
        (health["checks"]["rabbitmq"] == true).then_some(())
    })
    .await;
    let failed = |permanent: bool| {
        json!({
            "event_type": "notification.failed",
            "data": {
                "notification_id": "01890000-0000-7000-8000-000000000001",
                "user_id": user.id, "kind": "welcome", "channel": "email",
                "reason": "mailbox unknown", "permanent": permanent,
            },
            "timestamp": "2026-01-01T00:00:00Z",
            "service": "notification-service",
        })
    };
    for permanent in [false, true] {
        let body = serde_json::to_vec(&failed(permanent)).unwrap();
        let (exchange, key) = ("notification.events".into(), "notification.failed".into());
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(exchange, key, options, &body, BasicProperties::default());
        sent.await.unwrap().await.unwrap();
    }
    testkit::eventually("the address is marked", async || {
        let me: Value = app.get("/api/users/me", &user.token).await.json().await.unwrap();
        (me["email_deliverable"] == false).then_some(())
    })
    .await;
    // The first, passing failure changed nothing: one change, so version 2.
    let me: Value = app.get("/api/users/me", &user.token).await.json().await.unwrap();
    assert_eq!(me["version"], 2);
}
