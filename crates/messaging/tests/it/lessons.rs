//! Bugs that others had, as tests: each by where it was reported.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::Utc;
use messaging::{Delivery, Outbox, Verdict};
use serde_json::json;
use uuid::Uuid;

use crate::raw::json as body;
use crate::world::{EXCHANGE, Notes, World, created, updated, user};

/// The outbox was cleared while messages were still being written to it: those were deleted unsent.
#[tokio::test]
async fn masstransit_4990_rows_that_commit_while_others_are_sent_are_not_deleted_unsent() {
    let world = World::new("masstransit 4990").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relays = [world.relay(&outbox), world.relay(&outbox)];

    let mut ids = BTreeSet::new();
    let mut open = Vec::new();
    for number in 0..60 {
        let id = Uuid::now_v7();
        let mut tx = world.pool.begin().await.unwrap();
        outbox.enqueue(&mut tx, id, Utc::now(), &created(number % 7)).await.unwrap();
        ids.insert(id.to_string());
        open.push(tx);
        // Up to three are open at a time; they commit in another order than they began.
        if open.len() == 3 {
            let middle = open.remove(1);
            middle.commit().await.unwrap();
            outbox.wake();
            open.remove(0).commit().await.unwrap();
        }
    }
    for tx in open {
        tx.commit().await.unwrap();
    }

    world.outbox_is_empty().await;
    let received = client.rest(&queue).await;
    let received: BTreeSet<String> =
        received.iter().map(|m| body(m)["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(received, ids);
}

/// What a consumer published was sent by it and, once more, by the outbox's own delivery.
#[tokio::test]
async fn masstransit_3791_what_a_handler_enqueues_is_published_once() {
    let world = World::new("masstransit 3791").await;
    let client = world.client().await;
    let queue = client.listen("payment.events", "#").await;
    let outbox = world.outbox();
    let _relays = [world.relay(&outbox), world.relay(&outbox)];
    let pool = world.pool.clone();
    let inner = outbox.clone();
    let (handler, _) = Notes::new(move |delivery: Delivery| {
        let pool = pool.clone();
        let outbox = inner.clone();
        async move { produce(&pool, &outbox, &delivery).await.unwrap() }
    });
    let _consumer = world.consumer(handler);
    world.bound().await;

    world.emit(&outbox, &created(1)).await;

    let produced = client.take(&queue, 200).await;
    world.outbox_is_empty().await;
    assert!(client.rest(&queue).await.is_empty(), "each was published once");
    let ids: BTreeSet<_> = produced.iter().map(|m| body(m)["event_id"].to_string()).collect();
    assert_eq!(ids.len(), 200);
}

/// Claims the message and enqueues many events, in one transaction.
async fn produce(
    pool: &sqlx::PgPool,
    outbox: &Outbox,
    delivery: &Delivery,
) -> Result<Verdict, sqlx::Error> {
    let mut tx = pool.begin().await?;
    if delivery.claim(&mut tx).await? {
        for _ in 0..200 {
            let event = contracts::payment::PaymentCompleted {
                payment_id: contracts::PaymentId::from_uuid(Uuid::now_v7()),
                user_id: user(1),
                amount: 1,
                currency: "EUR".to_owned(),
            };
            outbox.enqueue(&mut tx, Uuid::now_v7(), Utc::now(), &event).await.unwrap();
        }
    }
    tx.commit().await?;
    outbox.wake();
    Ok(Verdict::Ack)
}

/// With its error queue deleted, a failing message was consumed again and again, without a delay.
#[tokio::test]
async fn masstransit_4867_a_missing_dead_letter_queue_is_made_again_and_nothing_runs_hot() {
    let world = World::new("masstransit 4867").await;
    let (handler, seen) = Notes::new(async |_| Verdict::dead_letter("it always fails"));
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);
    world.bound().await;
    let client = world.client().await;
    client.delete_queue("user-service.events.dead-letters").await;

    world.emit(&outbox, &created(1)).await;
    seen.wait_for(1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;

    assert!(seen.all().len() <= 2, "{} deliveries", seen.all().len());
    client.next("user-service.events.dead-letters").await;
}

/// A message that is put back to the head of its queue comes again at once, thousands of times a second.
#[tokio::test]
async fn a_poison_loop_is_as_many_deliveries_as_there_are_attempts() {
    let world = World::new("poison loop").await;
    let (handler, seen) = Notes::new(async |delivery: Delivery| {
        if delivery.data["user_id"] == json!(user(1)) {
            return Verdict::retry("it always fails");
        }
        Verdict::Ack
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);

    for number in 0..1_000 {
        world.emit(&outbox, &updated(number, 0)).await;
    }
    seen.wait_for(1_002).await;
    tokio::time::sleep(Duration::from_millis(500)).await;

    assert_eq!(seen.all().len(), 1_002, "one for each, and two more for the poison");
}
