//! The same work by hand: lapin and sqlx as their documentation shows them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use contracts::Envelope;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use sqlx::PgPool;
use uuid::Uuid;

use crate::world::{BATCH, CONCURRENCY, EXCHANGE, PREFETCH, QUEUE, World};

/// The routing key of all messages.
const KEY: &str = "user.updated";

pub(crate) struct Raw {
    _connection: Connection,
    pub(crate) channel: Channel,
}

impl Raw {
    pub(crate) async fn connect(world: &World) -> Self {
        let uri = world.broker.amqp_uri();
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { _connection: connection, channel }
    }

    /// A quorum queue that gets every message of the exchange.
    pub(crate) async fn listen(&self, queue: &str) {
        let topic = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let none = FieldTable::default;
        let channel = &self.channel;
        channel
            .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, topic, none())
            .await
            .unwrap();
        let mut quorum = FieldTable::default();
        quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), quorum).await.unwrap();
        let options = QueueBindOptions::default();
        channel
            .queue_bind(queue.into(), EXCHANGE.into(), "#".into(), options, none())
            .await
            .unwrap();
    }

    pub(crate) async fn purge(&self, queue: &str) {
        self.channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.unwrap();
    }

    /// Publishes in batches, each sent as a whole and then confirmed as a whole.
    pub(crate) async fn publish(&self, messages: &[(Uuid, Vec<u8>)]) {
        for batch in messages.chunks(BATCH.into()) {
            let sends = batch.iter().map(|(id, body)| {
                let properties = BasicProperties::default()
                    .with_content_type("application/json".into())
                    .with_delivery_mode(2)
                    .with_message_id(id.to_string().into());
                let options = BasicPublishOptions { mandatory: true, ..Default::default() };
                self.channel.basic_publish(EXCHANGE.into(), KEY.into(), options, body, properties)
            });
            let sent = join_all(sends).await.into_iter().map(Result::unwrap);
            for confirm in join_all(sent).await {
                let confirm = confirm.unwrap();
                assert!(confirm.is_ack() && confirm.take_message().is_none(), "a queue has it");
            }
        }
    }

    /// Takes so many messages, several at the same time, each with its claim and its effect in one
    /// transaction; gives the time from when the first `warm_up` were done.
    pub(crate) async fn consume(&self, pool: &PgPool, count: usize, warm_up: usize) -> f64 {
        let channel = &self.channel;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.unwrap();
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let mut deliveries =
            channel.basic_consume(QUEUE.into(), "raw".into(), options, none).await.unwrap();
        let mut began = None;
        let done = AtomicUsize::new(0);
        let mut working = FuturesUnordered::new();
        while done.load(Ordering::Relaxed) < count {
            tokio::select! {
                Some(()) = working.next(), if !working.is_empty() => {
                    if done.fetch_add(1, Ordering::Relaxed) + 1 == warm_up {
                        began = Some(Instant::now());
                    }
                }
                Some(delivery) = deliveries.next(), if working.len() < CONCURRENCY.into() => {
                    working.push(effect(pool, delivery.unwrap()));
                }
            }
        }
        let taken = began.unwrap().elapsed();
        channel
            .basic_cancel("raw".into(), lapin::options::BasicCancelOptions::default())
            .await
            .unwrap();
        taken.as_secs_f64()
    }
}

async fn effect(pool: &PgPool, delivery: Delivery) {
    let envelope: Envelope<contracts::user::UserUpdated> =
        serde_json::from_slice(&delivery.data).unwrap();
    let mut tx = pool.begin().await.unwrap();
    let claim = "insert into messaging_inbox (consumer, message_id) values ($1, $2)
                 on conflict do nothing";
    let claimed = sqlx::query(claim)
        .bind(QUEUE)
        .bind(envelope.event_id.unwrap().to_string())
        .execute(&mut *tx)
        .await
        .unwrap();
    if claimed.rows_affected() == 1 {
        sqlx::query("insert into effects (user_id, name) values ($1, $2)")
            .bind(envelope.data.user_id.as_uuid())
            .bind(&envelope.data.name)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    assert!(delivery.acker.ack(BasicAckOptions::default()).await.unwrap());
}
