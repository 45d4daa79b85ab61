//! A plain AMQP client: it knows an envelope of type, data, time and service, exchanges and routing keys, and nothing else.

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

use crate::{TestBroker, eventually};

/// A channel of its own, with confirms.
#[derive(Debug)]
pub struct Plain(Channel);

impl Plain {
    /// Connects.
    pub async fn connect(broker: &TestBroker) -> Self {
        let uri = broker.amqp_uri();
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await;
        let channel = done(done(connection, "connect").create_channel().await, "open a channel");
        let confirms = channel.confirm_select(ConfirmSelectOptions::default()).await;
        done(confirms, "switch confirms on");
        Self(channel)
    }

    /// Publishes such an envelope to `<noun>.events`. A queue has to be bound for it: wait until
    /// the service is subscribed.
    pub async fn publish(&self, event_type: &str, data: &Value) {
        self.publish_at(event_type, data, "2026-01-01T00:00:00+01:00").await;
    }

    /// [`publish`](Self::publish) of what happened at a time of one's own, RFC 3339.
    pub async fn publish_at(&self, event_type: &str, data: &Value, timestamp: &str) {
        let envelope = json!({
            "event_type": event_type, "data": data, "timestamp": timestamp, "service": "plain",
        });
        self.publish_bytes(event_type, envelope.to_string().as_bytes()).await;
    }

    /// Publishes these bytes under a routing key.
    pub async fn publish_bytes(&self, key: &str, body: &[u8]) {
        let exchange = format!("{}.events", key.split('.').next().unwrap_or_default());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let exchange = exchange.as_str().into();
        let key = key.into();
        let sent = self.0.basic_publish(exchange, key, options, body, BasicProperties::default());
        let confirmed = done(done(sent.await, "publish").await, "hear of a confirm");
        // Confirmed and not returned: a queue is bound for it.
        assert!(matches!(confirmed, Confirmation::Ack(None)), "{confirmed:?}");
    }

    /// Listens to an exchange from now on, under a queue of that name.
    pub async fn listen(&self, exchange: &str, queue: &str) {
        // Whoever comes first declares it; both do so alike.
        let kind = ExchangeKind::Topic;
        let none = FieldTable::default();
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declared = self.0.exchange_declare(exchange.into(), kind, durable, none.clone()).await;
        done(declared, "declare the exchange");
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let declared = self.0.queue_declare(queue.into(), options, none.clone()).await;
        done(declared, "declare the queue");
        let bind = QueueBindOptions::default();
        let bound = self.0.queue_bind(queue.into(), exchange.into(), "#".into(), bind, none).await;
        done(bound, "bind the queue");
    }

    /// The next message of a queue, taken off it.
    pub async fn next(&self, queue: &str) -> Delivery {
        let get = async || {
            let got = self.0.basic_get(queue.into(), BasicGetOptions::default()).await;
            let got = done(got, "get a message")?;
            done(got.delivery.ack(BasicAckOptions::default()).await, "acknowledge");
            Some(got.delivery)
        };
        eventually(&format!("a message is in {queue}"), get).await
    }

    /// How many messages of a queue wait.
    pub async fn waiting(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = self.0.queue_declare(queue.into(), options, FieldTable::default()).await;
        done(declared, "look at the queue").message_count()
    }
}

fn done<T>(result: lapin::Result<T>, doing: &str) -> T {
    result.unwrap_or_else(|error| panic!("the plain client cannot {doing}: {error}"))
}
