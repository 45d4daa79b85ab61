//! A plain AMQP client, as another team would write one.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions,
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use messaging::settings::QueueType;
use serde_json::Value;

pub(crate) struct Client {
    _connection: Connection,
    pub(crate) channel: Channel,
}

impl Client {
    pub(crate) async fn connect(uri: &str) -> Self {
        let connection = Connection::connect(uri, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { _connection: connection, channel }
    }

    /// A queue of the test's own that gets every message of an exchange that matches `key`.
    pub(crate) async fn listen(&self, exchange: &str, key: &str) -> String {
        let queue = self.queue("").await;
        self.bind(&queue, exchange, key).await;
        queue
    }

    /// Declares a plain queue that lasts, or, when `name` is empty, one of the server's naming that
    /// ends with this client.
    pub(crate) async fn queue(&self, name: &str) -> String {
        let options = QueueDeclareOptions {
            durable: !name.is_empty(),
            exclusive: name.is_empty(),
            ..Default::default()
        };
        let queue = self.channel.queue_declare(name.into(), options, FieldTable::default());
        queue.await.unwrap().name().as_str().to_owned()
    }

    /// Declares a queue of a kind that lasts.
    pub(crate) async fn queue_of(&self, name: &str, kind: QueueType) {
        let kind = match kind {
            QueueType::Quorum => "quorum",
            QueueType::Classic => "classic",
        };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
        let declared =
            self.channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments);
        declared.await.unwrap();
    }

    pub(crate) async fn bind(&self, queue: &str, exchange: &str, key: &str) {
        self.exchange(exchange, ExchangeKind::Topic).await;
        let options = QueueBindOptions::default();
        self.channel
            .queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default())
            .await
            .unwrap();
    }

    pub(crate) async fn exchange(&self, name: &str, kind: ExchangeKind) {
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declared =
            self.channel.exchange_declare(name.into(), kind, options, FieldTable::default());
        declared.await.unwrap();
    }

    pub(crate) async fn delete_queue(&self, name: &str) {
        let deleted = self.channel.queue_delete(name.into(), QueueDeleteOptions::default());
        deleted.await.unwrap();
    }

    pub(crate) async fn delete_exchange(&self, name: &str) {
        let options = lapin::options::ExchangeDeleteOptions::default();
        self.channel.exchange_delete(name.into(), options).await.unwrap();
    }

    pub(crate) async fn unbind(&self, queue: &str, exchange: &str, key: &str) {
        let unbinding = self.channel.queue_unbind(
            queue.into(),
            exchange.into(),
            key.into(),
            FieldTable::default(),
        );
        unbinding.await.unwrap();
    }

    pub(crate) async fn publish(&self, exchange: &str, key: &str, body: &[u8]) {
        self.publish_with(exchange, key, body, BasicProperties::default()).await;
    }

    pub(crate) async fn publish_with(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let published =
            self.channel.basic_publish(exchange.into(), key.into(), options, body, properties);
        let confirmation = published.await.unwrap().await.unwrap();
        assert!(confirmation.is_ack(), "{confirmation:?}");
        assert!(confirmation.take_message().is_none(), "no queue is bound for {key}");
    }

    /// Publishes the same message many times over, and waits for the confirms at the end.
    pub(crate) async fn publish_many(&self, exchange: &str, key: &str, body: &[u8], count: usize) {
        let mut confirms = Vec::new();
        for _ in 0..count {
            let (options, properties) =
                (BasicPublishOptions::default(), BasicProperties::default());
            let published =
                self.channel.basic_publish(exchange.into(), key.into(), options, body, properties);
            confirms.push(published.await.unwrap());
        }
        for confirm in confirms {
            assert!(confirm.await.unwrap().is_ack());
        }
    }

    /// The next message of a queue, acknowledged.
    pub(crate) async fn next(&self, queue: &str) -> Delivery {
        testkit::eventually("a message is in the queue", async || self.try_next(queue).await).await
    }

    pub(crate) async fn try_next(&self, queue: &str) -> Option<Delivery> {
        let got =
            self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap()?;
        assert!(got.delivery.acker.ack(BasicAckOptions::default()).await.unwrap());
        Some(got.delivery)
    }

    /// Takes the next message of a queue and gives it back, as a consumer that crashes.
    pub(crate) async fn give_back(&self, queue: &str) {
        let got = testkit::eventually("a message is in the queue", async || {
            self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap()
        })
        .await;
        let back = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        assert!(got.delivery.acker.nack(back).await.unwrap());
    }

    /// The next messages of a queue.
    pub(crate) async fn take(&self, queue: &str, count: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next(queue).await);
        }
        taken
    }

    /// What is left in a queue once nothing has come for a moment.
    pub(crate) async fn rest(&self, queue: &str) -> Vec<Delivery> {
        let mut rest = Vec::new();
        loop {
            while let Some(delivery) = self.try_next(queue).await {
                rest.push(delivery);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            match self.try_next(queue).await {
                Some(delivery) => rest.push(delivery),
                None => return rest,
            }
        }
    }

    /// Everything that is in a queue, taken as fast as the broker sends it.
    pub(crate) async fn drain(&self, queue: &str) -> Vec<Delivery> {
        let tag = "drain";
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consuming =
            self.channel.basic_consume(queue.into(), tag.into(), options, FieldTable::default());
        let mut messages = consuming.await.unwrap();
        let mut drained = Vec::new();
        let moment = Duration::from_secs(1);
        while let Ok(next) = tokio::time::timeout(moment, messages.next()).await {
            drained.push(next.unwrap().unwrap());
        }
        self.channel.basic_cancel(tag.into(), BasicCancelOptions::default()).await.unwrap();
        drained
    }

    /// How many messages a queue holds ready, as the queue itself says.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        self.look(queue).await.message_count()
    }

    /// Waits until so many consumers are subscribed to a queue.
    pub(crate) async fn subscribed(&self, queue: &str, consumers: u32) {
        testkit::eventually("consumers are subscribed", async || {
            (self.look(queue).await.consumer_count() == consumers).then_some(())
        })
        .await;
    }

    /// How many consumers are subscribed to a queue.
    pub(crate) async fn consumers(&self, queue: &str) -> u32 {
        self.look(queue).await.consumer_count()
    }

    async fn look(&self, queue: &str) -> lapin::Queue {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let found = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        found.await.unwrap()
    }
}

pub(crate) fn json(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.data).unwrap()
}

pub(crate) fn header(delivery: &Delivery, name: &str) -> Option<String> {
    match delivery.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

/// One call of the broker's management interface: `vhosts/…`. None when there is no such thing.
pub(crate) async fn api_get(path: String) -> Option<Value> {
    get(format!("{}/api/{path}", testkit::addresses().rabbitmq_api)).await
}

/// One call of another broker's management interface.
pub(crate) async fn get(url: String) -> Option<Value> {
    tokio::task::spawn_blocking(move || ureq::get(url).call().ok()?.body_mut().read_json().ok())
        .await
        .unwrap()
}

/// One call of the broker's management interface that sets something.
pub(crate) async fn api_put(path: String, body: Value) {
    let url = format!("{}/api/{path}", testkit::addresses().rabbitmq_api);
    tokio::task::spawn_blocking(move || ureq::put(url).send_json(body).unwrap()).await.unwrap();
}
