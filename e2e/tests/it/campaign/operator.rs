//! What somebody with access to the broker does, past the wire: looks, deletes, publishes anything.

use std::fmt;

use lapin::options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use messaging::RabbitSettings;
use testkit::RawAmqp;

/// The broker's own address, and a user who may do everything.
pub(crate) struct Operator(RabbitSettings);

/// `amqp://user:password@host:port/vhost`
pub(crate) fn uri(broker: &RabbitSettings) -> String {
    let RabbitSettings { host, port, username, password, vhost, .. } = broker;
    let password = password.expose();
    let vhost = vhost.replace('/', "%2f");
    format!("amqp://{username}:{password}@{host}:{port}/{vhost}")
}

impl Operator {
    pub(crate) fn new(broker: &RabbitSettings) -> Self {
        Self(broker.clone())
    }

    pub(crate) async fn delete_exchange(&self, name: &str) {
        let (channel, _connection) = self.channel().await;
        channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await.unwrap();
    }

    pub(crate) async fn delete_queue(&self, name: &str) {
        let (channel, _connection) = self.channel().await;
        channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
    }

    pub(crate) async fn unbind(&self, queue: &str, exchange: &str, key: &str) {
        let (channel, _connection) = self.channel().await;
        let exchange = exchange.into();
        let key = key.into();
        channel.queue_unbind(queue.into(), exchange, key, FieldTable::default()).await.unwrap();
    }

    /// Whether a consumer is subscribed to a queue.
    pub(crate) async fn is_consumed(&self, queue: &str) -> bool {
        let (channel, _connection) = self.channel().await;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        found.is_ok_and(|queue| queue.consumer_count() > 0)
    }

    /// Publishes into a queue, with any bytes as properties.
    pub(crate) async fn publish(&self, queue: &str, properties: &[u8], body: &[u8]) {
        let RabbitSettings { host, port, username, password, vhost, .. } = &self.0;
        let server = format!("{host}:{port}");
        let mut client = RawAmqp::connect_to(&server, username, password.expose(), vhost).await;
        client.publish("", queue.as_bytes(), properties, body).await;
    }

    /// A channel of its own, for as long as its connection is kept.
    async fn channel(&self) -> (Channel, Connection) {
        let uri = uri(&self.0);
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
        (connection.create_channel().await.unwrap(), connection)
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").finish_non_exhaustive()
    }
}
