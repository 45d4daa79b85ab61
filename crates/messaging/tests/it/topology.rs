//! What queues are like, by the settings.

use std::num::NonZeroU32;

use messaging::Verdict;
use messaging::dead_letter_queue::Filter;
use messaging::settings::{QueueOverrides, QueueType};
use serde_json::json;

use crate::metrics::until;
use crate::raw::{Client, api_get, json as body};
use crate::world::{EXCHANGE, Notes, QUEUE, World, created, updated};

/// A world whose queue is like this.
async fn world(hint: &str, queue: QueueOverrides) -> World {
    let mut world = World::new(hint).await;
    world.settings.queue_overrides.insert("user_events".to_owned(), queue);
    world
}

/// What the broker says of a queue.
async fn asked(world: &World, queue: &str) -> serde_json::Value {
    api_get(format!("queues/{}/{queue}", world.broker.vhost)).await.expect("the queue is there")
}

#[tokio::test]
async fn limits_of_the_settings_are_those_of_the_queue() {
    let limits = QueueOverrides {
        max_length: Some(5),
        max_length_bytes: Some(1_000_000),
        delivery_limit: NonZeroU32::new(7),
        ..QueueOverrides::default()
    };
    let world = world("limits", limits).await;
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    let consumer = world.consumer(handler);
    world.bound().await;
    consumer.stop().await;
    let arguments = asked(&world, QUEUE).await["arguments"].clone();
    assert_eq!(arguments["x-max-length"], 5);
    assert_eq!(arguments["x-max-length-bytes"], 1_000_000);
    assert_eq!(arguments["x-delivery-limit"], 7);
}

#[tokio::test]
async fn a_classic_queue_has_its_retries_and_its_dead_letter_queue_too() {
    let classic =
        QueueOverrides { queue_type: Some(QueueType::Classic), ..QueueOverrides::default() };
    let world = world("classic", classic).await;
    let (handler, seen) = Notes::new(async |_| Verdict::retry("not today"));
    let _consumer = world.consumer(handler);
    world.bound().await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);

    world.emit(&outbox, &created(1)).await;

    let deliveries = seen.wait_for(3).await;
    assert_eq!(deliveries.iter().map(|d| d.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    let dead_letters = format!("{QUEUE}.dead-letters");
    testkit::eventually("it is dead-lettered", async || {
        (asked(&world, &dead_letters).await["messages"] == 1).then_some(())
    })
    .await;
    for queue in [QUEUE, &dead_letters, &format!("{QUEUE}.retry.50")] {
        assert_eq!(asked(&world, queue).await["type"], "classic", "{queue}");
    }
}

#[tokio::test]
async fn a_queue_with_other_arguments_than_the_settings_is_used_as_it_is_and_told() {
    let mut world = World::new("drift").await;
    // A queue with a limit has retry queues without one, which would be a change of theirs too.
    (world.settings.queue.retry_max_length, world.settings.queue.retry_max_length_bytes) = (0, 0);
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    let consumer = world.consumer(handler);
    world.bound().await;
    consumer.stop().await;
    let none = QueueOverrides::default;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);

    for changed in [
        QueueOverrides { max_length: Some(5), ..none() },
        QueueOverrides { max_length_bytes: Some(5), ..none() },
        QueueOverrides { delivery_limit: NonZeroU32::new(5), ..none() },
        QueueOverrides { queue_type: Some(QueueType::Classic), ..none() },
    ] {
        world.settings.queue_overrides.insert("user_events".to_owned(), changed);
        let (handler, seen) = Notes::new(async |_| Verdict::Ack);

        let consumer = world.consumer(handler);

        world.emit(&outbox, &created(1)).await;
        seen.wait_for(1).await;
        until("messaging_topology_drift{name=\"user-service.events\"}", 1.0).await;
        consumer.stop().await;
    }
    assert_eq!(asked(&world, QUEUE).await["arguments"]["x-max-length"], json!(null));
}

#[tokio::test]
async fn where_every_queue_differs_the_consumer_works_and_dead_letters_are_listed_at_once() {
    let world = World::new("all differ").await;
    let client = world.client().await;
    let retries = ["user-service.events.retry.50", "user-service.events.retry.150"];
    for queue in [QUEUE, "user-service.events.dead-letters", retries[0], retries[1]] {
        client.queue(queue).await;
    }
    let dead_letters =
        messaging::DeadLetterQueue::new(world.connect(), &world.settings, "user_events");

    let listing = dead_letters.unwrap().list(&Filter::default()).await.unwrap();

    assert_eq!(listing.dead_letters, 0);
    let (handler, seen) = Notes::new(async |_| Verdict::dead_letter("no use"));
    let _consumer = world.consumer(handler);
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    world.bound().await;
    world.emit(&outbox, &created(1)).await;
    seen.wait_for(1).await;
    client.next("user-service.events.dead-letters").await;
}

#[tokio::test]
async fn events_of_a_reader_whose_queue_cannot_be_made_wait_and_others_flow() {
    let mut world = World::new("unmakable").await;
    // The broker keeps such names to itself.
    world.settings.queues.insert("reserved_events".to_owned(), "amq.reserved".to_owned());
    let reader = |queue: &str| vec![queue.to_owned()];
    world.settings.subscriptions = [
        ("user.created".to_owned(), reader("reserved_events")),
        ("user.updated".to_owned(), reader("user_events")),
    ]
    .into();
    let client = world.client().await;
    let outbox = world.outbox();
    world.emit(&outbox, &created(1)).await;
    let others = world.emit(&outbox, &updated(2, 0)).await;

    let _relay = world.relay(&outbox);

    let received = next(&world, &client, QUEUE).await;
    assert_eq!(body(&received)["event_id"], others.to_string());
    let why = testkit::eventually("the other event waits", async || {
        let why = sqlx::query_scalar::<_, String>("select reason from messaging_holds");
        why.fetch_optional(&world.pool).await.unwrap()
    })
    .await;
    assert!(why.contains("amq.reserved"), "{why}");
}

#[tokio::test]
async fn a_changed_queue_gets_its_new_arguments_once_it_is_deleted() {
    let mut world = World::new("drift ends").await;
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    world.consumer(handler).drain();
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    let consumer = world.consumer(handler);
    world.bound().await;
    consumer.stop().await;
    let changed = QueueOverrides { max_length: Some(5), ..QueueOverrides::default() };
    world.settings.queue_overrides.insert("user_events".to_owned(), changed);
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handler);
    let client = world.client().await;
    client.subscribed(QUEUE, 1).await;

    client.delete_queue(QUEUE).await;

    testkit::eventually("the queue is made anew", async || {
        let path = format!("queues/{}/{QUEUE}", world.broker.vhost);
        (api_get(path).await?["arguments"]["x-max-length"] == 5).then_some(())
    })
    .await;
    until("messaging_topology_drift{name=\"user-service.events\"}", 0.0).await;
}

#[tokio::test]
async fn an_exchange_of_another_kind_is_reported_and_keeps_no_other_binding_from_being_made() {
    let mut world = World::new("other kind").await;
    let client = world.client().await;
    client.exchange("payment.events", lapin::ExchangeKind::Direct).await;
    world.settings.exchanges.insert("user_exchange".to_owned(), "payment.events".to_owned());
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);

    let _consumer = world.consumer(handler);

    until("messaging_topology_drift{name=\"payment.events\"}", 1.0).await;
    client.subscribed(QUEUE, 1).await;
    let id = contracts::EventId::from_uuid(uuid::Uuid::now_v7());
    let event = contracts::Envelope::new(id, chrono::Utc::now(), "user-service", created(1));
    let event = serde_json::to_vec(&event).unwrap();
    client.publish("payment.events", "user.created", &event).await;
    seen.wait_for(1).await;
}

#[tokio::test]
async fn an_exchange_that_is_deleted_is_made_again_with_the_bindings_of_the_consumer() {
    let world = World::new("deleted exchange").await;
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handler);
    world.bound().await;
    let client = world.client().await;

    client.delete_exchange(EXCHANGE).await;

    world.bound().await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    world.emit(&outbox, &created(1)).await;
    seen.wait_for(1).await;
}

#[tokio::test]
async fn no_event_passes_by_a_reader_whose_binding_queue_or_exchange_was_deleted() {
    let mut world = World::new("readers").await;
    let readers = ["user_events", "payment_events"].map(str::to_owned).to_vec();
    world.settings.subscriptions = [("user.created".to_owned(), readers)].into();
    let client = world.client().await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let other = "payment-service.events";
    world.emit(&outbox, &created(0)).await;
    next(&world, &client, QUEUE).await;
    next(&world, &client, other).await;

    for number in 1..=30 {
        // Only one of the two readers is there to be confirmed for, or none at all.
        match number % 3 {
            0 => client.unbind(other, EXCHANGE, "user.created").await,
            1 => client.delete_queue(other).await,
            _ => client.delete_exchange(EXCHANGE).await,
        }
        let id = world.emit(&outbox, &created(number)).await.to_string();

        for queue in [QUEUE, other] {
            let received = next(&world, &client, queue).await;
            assert_eq!(body(&received)["event_id"], id.as_str(), "{number} in {queue}");
        }
    }
    world.outbox_is_empty().await;
}

/// RabbitMQ moves a consumer to the new queue without a word, and its channel drops what comes from there.
#[tokio::test]
async fn a_consumer_whose_queue_a_publisher_made_anew_at_once_gets_what_comes_then() {
    let mut world = World::new("new queue").await;
    world.settings.subscriptions =
        [("user.created".to_owned(), vec!["user_events".to_owned()])].into();
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handler);
    world.bound().await;
    let client = world.client().await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    world.emit(&outbox, &created(0)).await;
    seen.wait_for(1).await;

    client.delete_queue(QUEUE).await;
    for number in 1..=20 {
        world.emit(&outbox, &created(number)).await;
    }

    seen.wait_for(21).await;
}

/// The next message of a queue that may not be there yet.
async fn next(world: &World, client: &Client, queue: &str) -> lapin::message::Delivery {
    testkit::eventually("the queue is there", async || {
        api_get(format!("queues/{}/{queue}", world.broker.vhost)).await
    })
    .await;
    client.next(queue).await
}
