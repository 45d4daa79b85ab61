//! Customers: opened and closed by another service's events, once.

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::app::{Payer, TestApp};

/// A plain client that knows only the seed's envelope.
struct Plain(Channel);

impl Plain {
    async fn connect(app: &TestApp) -> Self {
        eventually("the queue is there", async || {
            app.ground.broker.queue_exists("payment-service.events").await.then_some(())
        })
        .await;
        let uri = app.ground.broker.amqp_uri();
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
        Self(connection.create_channel().await.unwrap())
    }

    async fn publish(&self, event_type: &str, data: Value) {
        let timestamp = "2026-01-01T00:00:00+01:00";
        let envelope = json!({
            "event_type": event_type, "data": data, "timestamp": timestamp, "service": "plain",
        });
        let (exchange, key) = ("user.events".into(), event_type.into());
        let body = serde_json::to_vec(&envelope).unwrap();
        let options = BasicPublishOptions::default();
        let sent = self.0.basic_publish(exchange, key, options, &body, BasicProperties::default());
        sent.await.unwrap().await.unwrap();
    }

    async fn created(&self, user: Uuid) {
        let data = json!({"user_id": user, "email": "ada@example.com"});
        self.publish("user.created", data).await;
    }

    async fn deleted(&self, user: Uuid) {
        self.publish("user.deleted", json!({"user_id": user})).await;
    }
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

#[tokio::test]
async fn a_registration_delivered_twice_at_once_opens_one_customer() {
    let app = TestApp::start().await;
    let (plain, payer) = (Plain::connect(&app).await, app.payer());
    tokio::join!(plain.created(payer.id), plain.created(payer.id));
    until(&app, &payer, 200).await;
    // A third message behind the two is handled when they are.
    let other = app.payer();
    plain.created(other.id).await;
    until(&app, &other, 200).await;
    assert_eq!(app.rows("customers").await, 2);
    let body = app.get("/api/payments/customer", &payer.token).await;
    let body: Value = body.json().await.unwrap();
    assert_eq!(body["user_id"], json!(payer.id));
}

#[tokio::test]
async fn a_deletion_closes_the_customer_and_a_late_registration_opens_nothing() {
    let app = TestApp::start().await;
    let (plain, payer, late) = (Plain::connect(&app).await, app.payer(), app.payer());
    plain.created(payer.id).await;
    until(&app, &payer, 200).await;
    plain.deleted(payer.id).await;
    until(&app, &payer, 404).await;

    plain.deleted(late.id).await;
    eventually("the deletion is noted", async || (app.rows("customers").await == 2).then_some(()))
        .await;
    plain.created(late.id).await;
    let last = app.payer();
    plain.created(last.id).await;
    until(&app, &last, 200).await;
    assert_eq!(status(&app, &late).await, 404);
}
