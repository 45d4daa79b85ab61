//! What names an aggregate that was erased is no dead letter any more.

use std::collections::BTreeSet;

use contracts::user::UserDeleted;
use database::Database;
use messaging::dead_letter_queue::Filter;
use messaging::erasure::{self, Eraser};
use messaging::{DeadLetterQueue, Verdict};
use serde_json::json;

use crate::world::{EXCHANGE, Notes, QUEUE, Running, World, created, updated, user};

async fn types(queue: &DeadLetterQueue) -> BTreeSet<String> {
    let items = queue.list(&Filter::default()).await.unwrap().items;
    items.into_iter().map(|it| it.event_type.unwrap_or(it.routing_key)).collect()
}

#[tokio::test]
async fn dead_letters_that_name_an_erased_aggregate_go_and_what_its_erasure_needs_and_others_stay()
{
    let world = World::new("erasure").await;
    let queue = DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();
    let (handlers, _) = Notes::new(async |_| Verdict::dead_letter("no such user"));
    let _consumer = world.consumer(handlers);
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    world.bound().await;
    world.emit(&outbox, &created(1)).await;
    world.emit(&outbox, &updated(2, 0)).await;
    let client = world.client().await;
    for event_type in ["user.deleted", "user.erasure_timed_out"] {
        let mut needed = json!({"event_type": event_type, "service": "user-service"});
        needed["data"] = json!(UserDeleted { user_id: user(1) });
        needed["timestamp"] = json!("2026-01-15T09:30:00Z");
        client.publish("", QUEUE, needed.to_string().as_bytes()).await;
    }
    let half = format!("{{\"data\": {{\"user_id\": \"{}\", \"email\": \"a@exam", user(1));
    client.publish(EXCHANGE, "user.created", half.as_bytes()).await;
    let dead_letters = async |count| {
        testkit::eventually("so many are dead-lettered", async || {
            (queue.depth().await.ok()?.dead_letters == count).then_some(())
        })
        .await;
    };
    dead_letters(5).await;

    let database = Database::from(world.pool.clone());
    assert_eq!(queue.erase(&database).await.unwrap().erased, 0, "nobody is erased yet");
    let mut tx = world.pool.begin().await.unwrap();
    erasure::erase(&mut tx, user(1).as_uuid()).await.unwrap();
    tx.commit().await.unwrap();
    let eraser = Eraser::new(database, queue.clone());
    let _eraser = Running::start(|shutdown| eraser.run(shutdown));

    dead_letters(3).await;
    let left = ["user.deleted", "user.erasure_timed_out", "user.updated"].map(str::to_owned);
    assert_eq!(types(&queue).await, BTreeSet::from(left));
}
