//! Paying: what comes of it, and who sees it.

use contracts::payment::{PaymentCompleted, PaymentFailed};
use contracts::{Envelope, Event};
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn a_payment_succeeds_and_is_found_under_its_location() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let paid = app.pay(&payer, "order-1", "pm_card_visa").await;
    assert_eq!(paid.status(), 201);
    assert!(!paid.headers().contains_key("idempotent-replayed"));
    let location = paid.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = paid.json().await.unwrap();
    assert_eq!((&body["status"], &body["amount"]), (&json!("succeeded"), &json!(1999)));
    assert_eq!(app.get(&location, &payer.token).await.json::<Value>().await.unwrap(), body);
    assert_eq!((app.charges(), app.rows("payment_history").await), (1, 2));
}

#[tokio::test]
async fn a_decline_is_a_state_with_its_reason_and_charges_nothing() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let method = "pm_card_visa_chargeDeclinedInsufficientFunds";
    let declined = app.pay(&payer, "order-1", method).await;
    assert_eq!(declined.status(), 201);
    let body: Value = declined.json().await.unwrap();
    assert_eq!(body["status"], "requires_payment_method");
    assert_eq!(body["decline_code"], "insufficient_funds");
    assert!(!body["decline_message"].as_str().unwrap().is_empty());
    assert_eq!(app.charges(), 0);
}

#[tokio::test]
async fn a_payer_sees_the_own_payments_page_by_page_and_an_admin_all() {
    let app = TestApp::start().await;
    let (ada, bob, admin) = (app.payer(), app.payer(), app.admin());
    for number in 0..3 {
        app.pay(&ada, &format!("order-{number}"), "pm_card_visa").await;
    }
    let paid: Value = app.pay(&bob, "order-0", "pm_card_visa").await.json().await.unwrap();
    let path = format!("/api/payments/{}", paid["payment_id"].as_str().unwrap());
    assert_eq!(app.get(&path, &ada.token).await.status(), 404);
    assert_eq!(app.get(&path, &admin.token).await.status(), 200);
    let service = app.tokens("notification-service", chassis::Clock::system());
    let service = service.for_service("payment-service").unwrap();
    assert_eq!(app.get(&path, service.value.expose()).await.status(), 200);

    let first: Value = app.get("/api/payments?limit=2", &ada.token).await.json().await.unwrap();
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = format!("/api/payments?limit=2&cursor={cursor}");
    let second: Value = app.get(&next, &ada.token).await.json().await.unwrap();
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second), second.get("next_cursor")), (2, 1, None));
    let all: Value = app.get("/api/payments", &admin.token).await.json().await.unwrap();
    assert_eq!(count(&all), 4);
}

#[tokio::test]
async fn a_plain_client_hears_what_became_of_each_payment() {
    let app = TestApp::start().await;
    let uri = app.ground.broker.amqp_uri();
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let (exchange, none) = ("payment.events", FieldTable::default());
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel
        .exchange_declare(exchange.into(), ExchangeKind::Topic, durable, none.clone())
        .await
        .unwrap();
    let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
    channel.queue_declare("ear".into(), exclusive, none.clone()).await.unwrap();
    let bind = QueueBindOptions::default();
    let bound = channel.queue_bind("ear".into(), exchange.into(), "#".into(), bind, none.clone());
    bound.await.unwrap();
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut heard = channel.basic_consume("ear".into(), "".into(), options, none).await.unwrap();

    let payer = app.payer();
    app.pay(&payer, "order-1", "pm_card_visa").await;
    let completed = heard.next().await.unwrap().unwrap();
    assert_eq!(completed.routing_key.as_str(), PaymentCompleted::TYPE);
    let completed: Envelope<PaymentCompleted> = serde_json::from_slice(&completed.data).unwrap();
    assert_eq!((completed.data.user_id.as_uuid(), completed.data.amount), (payer.id, 1999));
    assert_eq!(completed.service, "payment-service");
    app.pay(&payer, "order-2", "pm_card_visa_chargeDeclined").await;
    let failed = heard.next().await.unwrap().unwrap();
    assert_eq!(failed.routing_key.as_str(), PaymentFailed::TYPE);
    let failed: Envelope<PaymentFailed> = serde_json::from_slice(&failed.data).unwrap();
    assert!(failed.data.decline_code.is_some() && !failed.data.reason.is_empty());
}
