//! A plain AMQP client: it knows the seed's envelope, exchanges and routing keys, and nothing else.

use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
};
use serde_json::{Value, json};
use testkit::{TestBroker, eventually};
use uuid::Uuid;

pub(crate) struct Plain(Channel);

impl Plain {
    pub(crate) async fn connect(broker: &TestBroker) -> Self {
        let uri = broker.amqp_uri();
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self(channel)
    }

    /// Publishes the seed's envelope; `second` orders messages in time.
    pub(crate) async fn publish(&self, event_type: &str, data: &Value, second: u32) {
        let timestamp = format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
        let envelope = json!({
            "event_type": event_type, "data": data, "timestamp": timestamp, "service": "plain",
        });
        let exchange = format!("{}.events", event_type.split('.').next().unwrap());
        let body = serde_json::to_vec(&envelope).unwrap();
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let (exchange, key) = (exchange.as_str().into(), event_type.into());
        let sent = self.0.basic_publish(exchange, key, options, &body, BasicProperties::default());
        // Confirmed and not returned: a queue is bound for it.
        let confirmed = sent.await.unwrap().await.unwrap();
        assert!(matches!(confirmed, Confirmation::Ack(None)), "{confirmed:?}");
    }

    pub(crate) async fn user_created(&self, user: Uuid, email: &str, name: &str) {
        let data = json!({"user_id": user, "email": email, "name": name});
        self.publish("user.created", &data, 1).await;
    }

    pub(crate) async fn paid(&self, user: Uuid, payment: Uuid) {
        let data = json!({
            "payment_id": payment, "user_id": user, "amount": 1999, "currency": "EUR",
        });
        self.publish("payment.completed", &data, 2).await;
    }

    /// Listens to an exchange from now on, under a queue of that name.
    pub(crate) async fn listen(&self, exchange: &str, queue: &str) {
        // Whoever comes first declares it; both do so alike.
        let (kind, none) = (ExchangeKind::Topic, FieldTable::default());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        self.0.exchange_declare(exchange.into(), kind, durable, none.clone()).await.unwrap();
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        self.0.queue_declare(queue.into(), options, none.clone()).await.unwrap();
        let bind = QueueBindOptions::default();
        let bound = self.0.queue_bind(queue.into(), exchange.into(), "#".into(), bind, none);
        bound.await.unwrap();
    }

    /// The next message of a queue, taken off it.
    pub(crate) async fn next(&self, queue: &str) -> Delivery {
        let get = async || {
            let got = self.0.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap()?;
            got.delivery.ack(BasicAckOptions::default()).await.unwrap();
            Some(got.delivery)
        };
        eventually(&format!("a message is in {queue}"), get).await
    }

    /// How many messages a queue holds that wait.
    pub(crate) async fn waiting(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = self.0.queue_declare(queue.into(), options, FieldTable::default());
        declared.await.unwrap().message_count()
    }
}

/// How long a retry's first pause may take, and more: the ladder begins at one second.
pub(crate) const FIRST_RETRY: Duration = Duration::from_millis(1_000);
