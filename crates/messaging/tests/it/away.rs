//! A dependency that is away: who waits for it, who does not, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contracts::{Envelope, Event, EventId};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use messaging::{Delivery, Verdict};
use uuid::Uuid;

use crate::world::{EXCHANGE, Notes, World, created, updated};

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

fn body<E: Event + Clone>(event: &E) -> Vec<u8> {
    let event_id = EventId::from_uuid(Uuid::now_v7());
    let at = "2026-01-15T09:30:00Z".parse().unwrap();
    serde_json::to_vec(&Envelope::new(event_id, at, "user-service", event.clone())).unwrap()
}
