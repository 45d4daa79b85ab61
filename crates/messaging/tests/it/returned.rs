//! Rows with a queue and rows without one, many in one round: the broker answers for several
//! messages at once, and which of them came back is told by their ids alone.

use std::collections::BTreeSet;

use chrono::Utc;
use messaging::EventPublisher;
use messaging::direct::PublishError;
use messaging::settings::QueueType;
use uuid::Uuid;

use crate::raw::Client;
use crate::world::{EXCHANGE, World, created, updated};

/// Rows of one backlog, half of them unroutable.
const ROWS: i32 = 8_000;
/// Bytes of an envelope.
const ENVELOPE_BYTES: i32 = 2_048;
const QUEUE: &str = "half";

#[tokio::test]
async fn unroutable_rows_stay_when_their_neighbours_go_to_a_classic_queue() {
    a_mixed_backlog_is_told_apart(QueueType::Classic).await;
}

#[tokio::test]
async fn unroutable_rows_stay_when_their_neighbours_go_to_a_quorum_queue() {
    a_mixed_backlog_is_told_apart(QueueType::Quorum).await;
}

#[tokio::test]
async fn events_published_directly_under_one_id_are_each_told_their_own_outcome() {
    let world = World::new("one id").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "user.updated").await;
    let publisher = EventPublisher::new("user-service", &world.connect(), &world.settings).unwrap();
    let id = Uuid::now_v7();
    let now = Utc::now();

    publisher.publish_all(&[(id, now, updated(1, 0)), (id, now, updated(1, 1))]).await.unwrap();
    let unroutable = publisher.publish_all(&[(id, now, created(1)), (id, now, created(2))]).await;

    assert!(matches!(unroutable, Err(PublishError::Returned)), "{unroutable:?}");
    assert_eq!(client.take(&queue, 2).await.len(), 2);
}

/// No unbound row is deleted and no bound row is sent twice, round after round.
async fn a_mixed_backlog_is_told_apart(kind: QueueType) {
    let mut world = World::new("mixed").await;
    // As shipped: the two of the tests are for tests about waiting.
    world.settings.relay = messaging::RelaySettings::default();
    let client = world.client().await;
    client.queue_of(QUEUE, kind).await;
    client.bind(QUEUE, EXCHANGE, "user.updated").await;
    for round in 1..=2 {
        a_backlog(&world).await;

        let relay = world.relay(&world.outbox());
        testkit::eventually("every row that is left is held", async || {
            let untried = "select count(*) from messaging_outbox where hold_id is null";
            (count(&world, untried).await == 0).then_some(())
        })
        .await;
        testkit::eventually("every bound row is gone", async || {
            let bound = "select count(*) from messaging_outbox where routing_key = 'user.updated'";
            (count(&world, bound).await == 0).then_some(())
        })
        .await;
        relay.stop().await;

        let unbound = world.outbox_depth().await;
        let (received, ids) = received(&client).await;
        let half = usize::try_from(ROWS / 2).unwrap();
        assert_eq!(
            (unbound, received, ids),
            (i64::from(ROWS / 2), half, half),
            "round {round}: unbound rows that are left, messages received, and their ids"
        );
        sqlx::query("truncate messaging_outbox").execute(&world.pool).await.unwrap();
    }
}

/// Rows of as many aggregates, alternately bound and unbound in each partition.
async fn a_backlog(world: &World) {
    let insert = "insert into messaging_outbox
             (event_id, aggregate_id, partition, exchange, routing_key, envelope, mandatory)
         select gen_random_uuid(), gen_random_uuid(), n / 2 % 8, $1,
                case when n % 2 = 0 then 'user.created' else 'user.updated' end,
                convert_to(repeat('x', $2), 'UTF8'), true
         from generate_series(0, $3 - 1) as n";
    let inserted = sqlx::query(insert).bind(EXCHANGE).bind(ENVELOPE_BYTES).bind(ROWS);
    inserted.execute(&world.pool).await.unwrap();
}

async fn count(world: &World, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&world.pool).await.unwrap()
}

/// How many messages the queue got, and how many different ones.
async fn received(client: &Client) -> (usize, usize) {
    let messages = client.drain(QUEUE).await;
    let ids: BTreeSet<String> = messages
        .iter()
        .map(|message| message.properties.message_id().as_ref().unwrap().as_str().to_owned())
        .collect();
    (messages.len(), ids.len())
}
