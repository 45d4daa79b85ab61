//! What queues are like, by the settings.

use std::num::NonZeroU32;

use messaging::Verdict;
use messaging::settings::{QueueOverrides, QueueType};
use serde_json::json;

use crate::raw::api_get;
use crate::world::{Notes, QUEUE, World, created};

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
async fn whatever_was_changed_is_a_drift_that_names_queue_and_argument() {
    let mut world = World::new("drift").await;
    // A queue with a limit has retry queues without one, which would be a change of theirs too.
    (world.settings.queue.retry_max_length, world.settings.queue.retry_max_length_bytes) = (0, 0);
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    let consumer = world.consumer(handler);
    world.bound().await;
    consumer.stop().await;
    let none = QueueOverrides::default;

    for (changed, queue, argument) in [
        (QueueOverrides { max_length: Some(5), ..none() }, QUEUE, "'x-max-length'"),
        (QueueOverrides { max_length_bytes: Some(5), ..none() }, QUEUE, "'x-max-length-bytes'"),
        (
            QueueOverrides { delivery_limit: NonZeroU32::new(5), ..none() },
            QUEUE,
            "'x-delivery-limit'",
        ),
        (
            QueueOverrides { queue_type: Some(QueueType::Classic), ..none() },
            "user-service.events.dead-letters",
            "'x-queue-type'",
        ),
    ] {
        world.settings.queue_overrides.insert("user_events".to_owned(), changed);
        let (handler, _) = Notes::new(async |_| Verdict::Ack);

        let error = world.consumer(handler).ended().await.unwrap_err();

        let start = format!("{queue} exists with other arguments; delete it once it is empty");
        assert!(error.starts_with(&start) && error.contains(argument), "{error}");
    }
    assert_eq!(asked(&world, QUEUE).await["arguments"]["x-max-length"], json!(null));
}
