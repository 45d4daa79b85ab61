//! Queues that are full: nothing is dropped, and what waits goes on when there is room.

use std::num::NonZeroU32;

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use messaging::Verdict;
use messaging::settings::QueueOverrides;

use crate::raw::{Client, api_get};
use crate::world::{Notes, QUEUE, World, created};

const DEAD_LETTERS: &str = "user-service.events.dead-letters";
const RETRY: &str = "user-service.events.retry.50";

#[tokio::test]
async fn retry_and_dead_letter_queues_have_bounds_by_default() {
    let world = world("default bounds", QueueOverrides::default()).await;
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handler);
    world.bound().await;

    for queue in [DEAD_LETTERS, RETRY] {
        let arguments = arguments(&world, queue).await;
        assert_eq!(arguments["x-max-length"], 100_000, "{queue}");
        assert_eq!(arguments["x-max-length-bytes"], 1_073_741_824, "{queue}");
        assert_eq!(arguments["x-overflow"], "reject-publish", "{queue}");
    }
}

#[tokio::test]
async fn a_poison_message_stays_in_its_queue_while_the_dead_letter_queue_is_full() {
    let limits = QueueOverrides { dead_letter_max_length: Some(3), ..QueueOverrides::default() };
    let world = world("full of dead letters", limits).await;
    let (handler, seen) = Notes::new(async |_| Verdict::dead_letter("no such user"));
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);
    world.bound().await;
    let client = world.client().await;
    let filled = fill(&client, DEAD_LETTERS).await;

    let ids = [world.emit(&outbox, &created(1)).await, world.emit(&outbox, &created(2)).await];
    seen.wait_for(2).await;
    testkit::eventually("both are still in hand", async || {
        let queue = api_get(format!("queues/{}/{QUEUE}", world.broker.vhost)).await?;
        (queue["messages_unacknowledged"] == 2).then_some(())
    })
    .await;

    let fillers = client.take(DEAD_LETTERS, filled).await;
    assert!(fillers.iter().all(|message| message.data == b"filler"));
    let mut arrived: Vec<_> = client.take(DEAD_LETTERS, 2).await.iter().map(id).collect();
    arrived.sort();
    assert_eq!(arrived, ids.map(|id| id.to_string()), "they come once there is room");
    assert_eq!(seen.all().len(), 2, "without another attempt");
}

#[tokio::test]
async fn what_the_broker_dead_letters_waits_while_the_dead_letter_queue_is_full() {
    let limits = QueueOverrides {
        dead_letter_max_length: Some(3),
        delivery_limit: NonZeroU32::new(1),
        ..QueueOverrides::default()
    };
    let world = world("delivery limit", limits).await;
    let client = declared(&world).await;
    let filled = fill(&client, DEAD_LETTERS).await;
    client.publish("", QUEUE, b"poison").await;

    // Its consumer ends without an answer, again and again.
    for _ in 0..2 {
        client.give_back(QUEUE).await;
    }
    testkit::eventually("the broker has given up on it, and keeps it", async || {
        let queue = api_get(format!("queues/{}/{QUEUE}", world.broker.vhost)).await?;
        (queue["messages_ready"] == 0 && queue["messages"] == 1).then_some(())
    })
    .await;
    assert_eq!(client.ready(DEAD_LETTERS).await, u32::try_from(filled).unwrap(), "no room");

    client.take(DEAD_LETTERS, filled).await;
    assert_eq!(client.next(DEAD_LETTERS).await.data, b"poison", "nothing is lost");
}

#[tokio::test]
async fn a_retried_message_waits_while_its_queue_is_full() {
    let limits = QueueOverrides { max_length: Some(3), ..QueueOverrides::default() };
    let world = world("full of events", limits).await;
    let client = declared(&world).await;
    assert!(
        arguments(&world, RETRY).await["x-max-length"].is_null(),
        "or each waits for the other"
    );
    let filled = fill(&client, QUEUE).await;

    // It is due after 50 ms, and finds no room.
    client.publish("", RETRY, b"due").await;
    testkit::eventually("it is due", async || {
        let queue = api_get(format!("queues/{}/{RETRY}", world.broker.vhost)).await?;
        (queue["messages_ready"] == 0 && queue["messages"] == 1).then_some(())
    })
    .await;

    client.take(QUEUE, filled).await;
    assert_eq!(client.next(QUEUE).await.data, b"due", "nothing is lost");
}

async fn world(hint: &str, queue: QueueOverrides) -> World {
    let mut world = World::new(hint).await;
    world.settings.queue_overrides.insert("user_events".to_owned(), queue);
    world
}

/// A client of a world whose queues are there and whose consumer is not.
async fn declared(world: &World) -> Client {
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    let consumer = world.consumer(handler);
    world.bound().await;
    consumer.stop().await;
    world.client().await
}

async fn arguments(world: &World, queue: &str) -> serde_json::Value {
    let path = format!("queues/{}/{queue}", world.broker.vhost);
    testkit::eventually("the queue is there", async || {
        Some(api_get(path.clone()).await?["arguments"].clone())
    })
    .await
}

/// Publishes to a queue until it refuses; says how many it took.
async fn fill(client: &Client, queue: &str) -> usize {
    for taken in 0..100 {
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default();
        let sent =
            client.channel.basic_publish("".into(), queue.into(), options, b"filler", properties);
        if !sent.await.unwrap().await.unwrap().is_ack() {
            return taken;
        }
    }
    panic!("{queue} has no bound");
}

fn id(message: &lapin::message::Delivery) -> String {
    let body: serde_json::Value = serde_json::from_slice(&message.data).unwrap();
    body["event_id"].as_str().unwrap().to_owned()
}
