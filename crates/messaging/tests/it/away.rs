//! A dependency that is away: who waits for it, who does not, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use contracts::{Envelope, Event, EventId};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use messaging::{Consumer, Delivery, Verdict};
use uuid::Uuid;

use crate::raw::header;
use crate::world::{EXCHANGE, Notes, QUEUE, Running, World, created, updated};

#[tokio::test]
async fn messages_whose_dependency_is_away_hold_up_no_other_event_type() {
    let mut world = World::new("away").await;
    world.settings.consumer.concurrency = 2.try_into().unwrap();
    let handled = Arc::new(AtomicUsize::new(0));
    let others = Arc::clone(&handled);
    let (handlers, seen) = Notes::new(move |delivery: Delivery| {
        let others = Arc::clone(&others);
        async move {
            if delivery.event_type == "user.created" {
                return Verdict::unavailable("its own dependency is away");
            }
            others.fetch_add(1, Ordering::SeqCst);
            Verdict::Ack
        }
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handlers);
    world.bound().await;
    let client = world.client().await;
    for number in 0..20 {
        // It has been away for long: the pauses are long by now.
        let mut headers = FieldTable::default();
        headers.insert("x-unavailable".into(), AMQPValue::LongLongInt(20));
        let properties = BasicProperties::default().with_headers(headers);
        client.publish_with(EXCHANGE, "user.created", &body(&created(number)), properties).await;
    }
    seen.wait_for(2).await;

    for number in 0..100 {
        world.emit(&outbox, &updated(number, 0)).await;
    }

    testkit::eventually("all of the other type are handled", async || {
        (handled.load(Ordering::SeqCst) == 100).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_consumer_pauses_while_most_messages_find_something_away_and_goes_on_when_it_is_back() {
    let mut world = World::new("kill switch").await;
    world.settings.consumer.kill_switch_messages = 5.try_into().unwrap();
    world.settings.consumer.kill_switch_delay_max = Duration::from_millis(200);
    let is_away = Arc::new(AtomicBool::new(true));
    let [in_handlers, peak, handled] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let state = (Arc::clone(&is_away), Arc::clone(&in_handlers), Arc::clone(&peak));
    let done = Arc::clone(&handled);
    let (handlers, seen) = Notes::new(move |_| {
        let (is_away, in_handlers, peak) = state.clone();
        let done = Arc::clone(&done);
        async move {
            peak.fetch_max(in_handlers.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            in_handlers.fetch_sub(1, Ordering::SeqCst);
            if is_away.load(Ordering::SeqCst) {
                return Verdict::unavailable("the database is away");
            }
            done.fetch_add(1, Ordering::SeqCst);
            Verdict::Ack
        }
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let broker = world.connect();
    let consumer = Consumer::new(broker.clone(), &world.settings, "user_events", handlers).unwrap();
    let _consumer = Running::start(|shutdown| consumer.run(shutdown));
    for number in 0..30 {
        world.emit(&outbox, &created(number)).await;
    }

    testkit::eventually("it is paused", async || is_paused("1").then_some(())).await;
    testkit::eventually("what was prefetched is handled", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (in_handlers.load(Ordering::SeqCst) == 0).then_some(())
    })
    .await;
    peak.store(0, Ordering::SeqCst);
    seen.wait_for(seen.all().len() + 3).await;
    assert_eq!(peak.load(Ordering::SeqCst), 1, "it probes with one message at a time");
    assert!(is_paused("1"));
    assert!(broker.is_connected(), "the broker is not what is away");

    is_away.store(false, Ordering::SeqCst);
    testkit::eventually("all are handled", async || {
        (handled.load(Ordering::SeqCst) == 30).then_some(())
    })
    .await;
    assert!(is_paused("0"));
}

#[tokio::test]
async fn what_is_away_for_longer_than_it_may_costs_attempts_until_the_message_is_dead_lettered() {
    let mut world = World::new("away for long").await;
    // Two delays: 50 and 150 ms.
    world.settings.consumer.unavailable_max = Duration::from_millis(200);
    let (handlers, seen) = Notes::new(async |_| Verdict::unavailable("it never comes back"));
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handlers);
    world.bound().await;

    world.emit(&outbox, &created(1)).await;
    let dead_letter = world.client().await.next("user-service.events.dead-letters").await;

    assert_eq!(header(&dead_letter, "x-cause").unwrap(), "it never comes back");
    let attempts: Vec<u32> = seen.all().iter().map(|delivery| delivery.attempt).collect();
    assert_eq!(attempts, [1, 1, 1, 2, 3], "the first two deliveries cost none");
}

/// Whether the gauge of the consumer's pause has this value.
fn is_paused(value: &str) -> bool {
    let series = format!("messaging_consumer_paused{{queue=\"{QUEUE}\"}} {value}");
    telemetry::metrics::render().lines().any(|line| line == series)
}

fn body<E: Event + Clone>(event: &E) -> Vec<u8> {
    let event_id = EventId::from_uuid(Uuid::now_v7());
    let at = "2026-01-15T09:30:00Z".parse().unwrap();
    serde_json::to_vec(&Envelope::new(event_id, at, "user-service", event.clone())).unwrap()
}
