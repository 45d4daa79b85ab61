//! What ends in the dead-letter queue, with what in its headers, and that the others go on.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use messaging::Verdict;
use serde_json::json;

use crate::raw::{Client, header, json as body};
use crate::world::{EXCHANGE, Notes, QUEUE, World, created, user};

const DEAD_LETTERS: &str = "user-service.events.dead-letters";

#[tokio::test]
async fn a_poison_message_is_dead_lettered_with_its_cause_and_the_others_go_on() {
    let world = World::new("poison").await;
    let (handler, seen) = Notes::new(async |delivery| {
        if delivery.data["user_id"] == json!(user(13)) {
            return Verdict::retry("it always fails");
        }
        Verdict::Ack
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let consumer = world.consumer(handler);

    for number in 0..100 {
        world.emit(&outbox, &created(number)).await;
    }
    let dead_letter = dead_letter(&world).await;
    let seen = seen.wait_for(102).await;
    consumer.stop().await;

    assert_eq!(body(&dead_letter)["data"]["user_id"], json!(user(13)), "the message is as it came");
    assert_eq!(header(&dead_letter, "x-cause").unwrap(), "it always fails");
    assert_eq!(header(&dead_letter, "x-attempt").unwrap(), "3");
    assert_eq!(header(&dead_letter, "x-original-exchange").unwrap(), EXCHANGE);
    assert_eq!(header(&dead_letter, "x-original-routing-key").unwrap(), "user.created");
    let time = |name| header(&dead_letter, name).unwrap().parse::<chrono::DateTime<chrono::Utc>>();
    assert!(time("x-first-failed-at").unwrap() <= time("x-last-failed-at").unwrap());
    assert_eq!(
        header(&dead_letter, "x-death"),
        None,
        "the broker's counters are not carried along"
    );
    assert_eq!(seen.len(), 102, "three attempts of one, one of each other");
}

#[tokio::test]
async fn a_dead_letter_is_dead_lettered_at_once() {
    let world = World::new("dead letter").await;
    let (handler, seen) = Notes::new(async |_| Verdict::dead_letter("no such user"));
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);

    world.emit(&outbox, &created(1)).await;
    let dead_letter = dead_letter(&world).await;

    assert_eq!(header(&dead_letter, "x-cause").unwrap(), "no such user");
    assert_eq!(header(&dead_letter, "x-attempt").unwrap(), "1");
    assert_eq!(seen.all().len(), 1);
}

#[tokio::test]
async fn a_panicking_handler_costs_attempts_and_not_the_consumer() {
    let world = World::new("panic").await;
    let (handler, seen) = Notes::new(async |delivery| {
        assert!(delivery.data["user_id"] != json!(user(1)), "a bug");
        Verdict::Ack
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let consumer = world.consumer(handler);

    world.emit(&outbox, &created(1)).await;
    let dead_letter = dead_letter(&world).await;
    world.emit(&outbox, &created(2)).await;
    seen.wait_for(4).await;

    assert_eq!(header(&dead_letter, "x-cause").unwrap(), "the handler panicked");
    assert!(consumer.is_running());
}

#[tokio::test]
async fn a_handler_that_takes_too_long_has_failed() {
    let mut world = World::new("slow").await;
    world.settings.consumer.handler_timeout = Duration::from_millis(50);
    let (handler, _) = Notes::new(async |_| std::future::pending().await);
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);

    world.emit(&outbox, &created(1)).await;

    let cause = header(&dead_letter(&world).await, "x-cause").unwrap();
    assert_eq!(cause, "the handler took longer than 50ms");
}

#[tokio::test]
async fn what_is_no_event_is_dead_lettered_at_once_without_its_values() {
    let world = World::new("undecodable").await;
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handler);
    let client = subscribed(&world).await;

    for wrong in [
        &b"not json"[..],
        br#"{"event_type":"user.created","data":{}}"#,
        br#"{"event_type":["secret@example.com"],"data":{},"timestamp":"x","service":"s"}"#,
        br#"{"event_type":"user.created","data":{"user_id":"secret@example.com","email":"x"},
            "timestamp":"2026-01-15T09:30:00Z","service":"user-service"}"#,
    ] {
        client.publish(EXCHANGE, "user.created", wrong).await;
        let dead_letter = client.next(DEAD_LETTERS).await;
        let cause = header(&dead_letter, "x-cause").unwrap();
        assert!(cause.starts_with("undecodable: "), "{cause}");
        assert!(!cause.contains("secret"), "{cause}");
        assert_eq!(dead_letter.data, wrong, "byte for byte");
    }
    assert!(seen.all().is_empty());
}

#[tokio::test]
async fn an_unknown_type_is_dead_lettered_not_dropped() {
    let world = World::new("unknown type").await;
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handler);
    let client = subscribed(&world).await;
    let unknown = json!({"event_type": "user.promoted", "data": {}, "service": "user-service",
        "timestamp": "2026-01-15T09:30:00Z"});

    client.publish("", QUEUE, unknown.to_string().as_bytes()).await;
    let dead_letter = client.next(DEAD_LETTERS).await;

    assert_eq!(header(&dead_letter, "x-cause").unwrap(), "no handler for its event type");
    assert!(is_counted("unknown_type"));
    assert!(seen.all().is_empty());
}

#[tokio::test]
async fn a_version_from_the_future_is_dead_lettered() {
    let world = World::new("version").await;
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handler);
    let client = subscribed(&world).await;
    let newer = json!({"event_type": "user.created", "data": created(1), "service": "user-service",
        "timestamp": "2026-01-15T09:30:00Z", "version": 2});

    client.publish(EXCHANGE, "user.created", newer.to_string().as_bytes()).await;

    let cause = header(&client.next(DEAD_LETTERS).await, "x-cause").unwrap();
    assert_eq!(cause, "no handler for version 2 of user.created");
    assert!(is_counted("unknown_version"));
    assert!(seen.all().is_empty());
}

#[tokio::test]
async fn deleted_error_queues_are_declared_again_and_nothing_is_lost() {
    let world = World::new("error_queues").await;
    let (handler, seen) = Notes::new(async |_| Verdict::retry("it always fails"));
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);
    let client = subscribed(&world).await;
    for queue in ["user-service.events.retry.50", "user-service.events.retry.150", DEAD_LETTERS] {
        client.delete_queue(queue).await;
    }

    world.emit(&outbox, &created(1)).await;

    // By the second attempt every error queue is declared again. The management interface would not do
    // as a sign: it lists a quorum queue before the queue can be read.
    seen.wait_for(3).await;
    assert_eq!(header(&client.next(DEAD_LETTERS).await, "x-attempt").unwrap(), "3");
}

#[tokio::test]
async fn headers_by_which_the_broker_routes_or_refuses_are_left_behind() {
    let world = World::new("headers").await;
    let (handler, seen) = Notes::new(async |_| Verdict::retry("it always fails"));
    let _consumer = world.consumer(handler);
    let client = subscribed(&world).await;
    let copies = client.queue("copies").await;
    let mut headers = FieldTable::default();
    let list = vec![AMQPValue::LongString(copies.as_str().into())];
    headers.insert("CC".into(), AMQPValue::FieldArray(list.into()));
    headers.insert("tenant".into(), AMQPValue::LongString("acme".into()));
    let properties = BasicProperties::default()
        .with_headers(headers)
        .with_message_id("m-1".into())
        .with_user_id(world.broker.username.as_str().into())
        .with_expiration("60000".into());
    let body = json!({"event_type": "user.created", "data": created(1), "service": "other",
        "timestamp": "2026-01-15T09:30:00Z"});

    // Straight into the queue, so that the copy header has one effect only: this publish's own.
    client.publish_with("", QUEUE, body.to_string().as_bytes(), properties).await;
    let dead_letter = client.next(DEAD_LETTERS).await;

    assert_eq!(header(&dead_letter, "tenant").unwrap(), "acme");
    assert_eq!(header(&dead_letter, "CC"), None);
    assert_eq!(client.rest(&copies).await.len(), 1, "moving it on copies it nowhere");
    assert!(seen.all().iter().all(|delivery| delivery.message_id.as_str() == "m-1"));
}

/// Whether a delivery of the consumer's queue had this outcome.
fn is_counted(outcome: &str) -> bool {
    let sample = format!(r#"messaging_settled_total{{outcome="{outcome}",queue="{QUEUE}"}} "#);
    telemetry::metrics::render().contains(&sample)
}

async fn dead_letter(world: &World) -> Delivery {
    let client = subscribed(world).await;
    client.next(DEAD_LETTERS).await
}

/// A client, once the consumer has declared its queues.
async fn subscribed(world: &World) -> Client {
    world.bound().await;
    world.client().await
}
