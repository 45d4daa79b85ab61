//! A plain AMQP client: it knows the seed's envelope, exchanges and routing keys, and nothing else.

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::app::TestApp;

pub(crate) struct Plain(Channel);

impl Plain {
    /// Connects once the service is subscribed: its queue is bound then, so that what is published
    /// reaches it.
    pub(crate) async fn connect(app: &TestApp) -> Self {
        let broker = &app.ground.broker;
        eventually("the service is subscribed", async || {
            let health = app.request(reqwest::Method::GET, "/health").send().await.ok()?;
            let health: Value = health.json().await.ok()?;
            (health["checks"]["rabbitmq"] == true).then_some(())
        })
        .await;
        let uri = broker.amqp_uri();
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self(channel)
    }

    /// Publishes the seed's envelope to `user.events`.
    pub(crate) async fn publish(&self, event_type: &str, data: Value) {
        let timestamp = "2026-01-01T00:00:00+01:00";
        let envelope = json!({
            "event_type": event_type, "data": data, "timestamp": timestamp, "service": "plain",
        });
        self.publish_bytes(event_type, &serde_json::to_vec(&envelope).unwrap()).await;
    }

    pub(crate) async fn publish_bytes(&self, key: &str, body: &[u8]) {
        let (exchange, options) = ("user.events".into(), BasicPublishOptions::default());
        let properties = BasicProperties::default();
        let sent = self.0.basic_publish(exchange, key.into(), options, body, properties);
        sent.await.unwrap().await.unwrap();
    }

    pub(crate) async fn created(&self, user: Uuid) {
        let data = json!({"user_id": user, "email": "ada@example.com"});
        self.publish("user.created", data).await;
    }

    pub(crate) async fn deleted(&self, user: Uuid) {
        self.publish("user.deleted", json!({"user_id": user})).await;
    }

    /// Listens to `payment.events` from now on, whether the service declared it already or not.
    pub(crate) async fn listen(&self) {
        let (exchange, none) = ("payment.events", FieldTable::default());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let kind = ExchangeKind::Topic;
        let declared = self.0.exchange_declare(exchange.into(), kind, durable, none.clone());
        declared.await.unwrap();
        let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
        self.0.queue_declare("ear".into(), exclusive, none.clone()).await.unwrap();
        let (bind, key) = (QueueBindOptions::default(), "#".into());
        self.0.queue_bind("ear".into(), exchange.into(), key, bind, none).await.unwrap();
    }

    /// The next message heard, taken off the queue.
    pub(crate) async fn next(&self) -> Delivery {
        let get = async || {
            let got = self.0.basic_get("ear".into(), BasicGetOptions::default()).await.unwrap()?;
            got.delivery.ack(BasicAckOptions::default()).await.unwrap();
            Some(got.delivery)
        };
        eventually("a message is heard", get).await
    }

    /// How many messages heard wait to be taken.
    pub(crate) async fn waiting(&self) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = self.0.queue_declare("ear".into(), options, FieldTable::default());
        declared.await.unwrap().message_count()
    }
}
