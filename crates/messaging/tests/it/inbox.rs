//! One effect for a message, however often and however simultaneously it is delivered.

use std::time::Duration;

use contracts::EventId;
use messaging::inbox::{self, InboxKey};
use messaging::{Delivery, MessageId, Verdict};
use sqlx::PgPool;
use uuid::Uuid;

use crate::world::{self, EXCHANGE, Notes, QUEUE, World, created};

#[tokio::test]
async fn the_same_message_at_the_same_moment_to_two_consumers_has_one_effect() {
    let world = World::new("twice").await;
    effects(&world.pool).await;
    let consumers = [(), ()].map(|()| {
        let pool = world.pool.clone();
        Notes::new(move |delivery| effect(pool.clone(), delivery))
    });
    let [one, two] = consumers;
    let running = [world.consumer(one.0), world.consumer(two.0)];
    let client = world.client().await;
    world.bound().await;
    client.subscribed(QUEUE, 2).await;
    let event_id = EventId::from_uuid(Uuid::now_v7());
    let at = "2026-01-15T09:30:00Z".parse().unwrap();
    let envelope = contracts::Envelope::new(event_id, at, "user-service", created(1));
    let body = serde_json::to_vec(&envelope).unwrap();

    for _ in 0..10 {
        client.publish(EXCHANGE, "user.created", &body).await;
    }
    testkit::eventually("all are handled", async || {
        (one.1.all().len() + two.1.all().len() >= 10).then_some(())
    })
    .await;
    for consumer in running {
        consumer.stop().await;
    }

    assert_eq!(count(&world.pool).await, 1);
    assert!(!one.1.all().is_empty() && !two.1.all().is_empty(), "both took part");
    assert_eq!(client.ready(QUEUE).await, 0, "all were acknowledged");
}

#[tokio::test]
async fn a_consumer_killed_between_commit_and_acknowledgement_has_had_its_effect() {
    let world = World::new("killed").await;
    effects(&world.pool).await;
    let pool = world.pool.clone();
    let (handler, first) = Notes::new(move |delivery| {
        let pool = pool.clone();
        async move {
            effect(pool, delivery).await;
            std::future::pending().await
        }
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let consumer = world.consumer(handler);
    world.emit(&outbox, &created(1)).await;
    first.wait_for(1).await;
    testkit::eventually("the effect is committed", async || {
        (count(&world.pool).await == 1).then_some(())
    })
    .await;

    drop(consumer);
    let pool = world.pool.clone();
    let (handler, second) = Notes::new(move |delivery| effect(pool.clone(), delivery));
    let consumer = world.consumer(handler);
    let seen = second.wait_for(1).await;
    consumer.stop().await;

    assert!(seen[0].redelivered);
    assert_eq!(count(&world.pool).await, 1);
    assert_eq!(world.client().await.ready(QUEUE).await, 0);
}

#[tokio::test]
async fn a_seed_message_without_an_id_is_known_by_its_content() {
    let world = World::new("no id").await;
    effects(&world.pool).await;
    let pool = world.pool.clone();
    let (handler, seen) = Notes::new(move |delivery| effect(pool.clone(), delivery));
    let consumer = world.consumer(handler);
    let client = world.client().await;
    world.bound().await;
    let body = |user| {
        format!(
            r#"{{"event_type":"user.created","service":"user_service",
                "data":{{"user_id":"{}","email":"a@example.com"}},
                "timestamp":"2024-01-15T11:30:00+02:00"}}"#,
            world::user(user)
        )
    };

    for user in [1, 1, 2] {
        client.publish(EXCHANGE, "user.created", body(user).as_bytes()).await;
    }
    let seen = seen.wait_for(3).await;
    consumer.stop().await;

    assert_eq!(count(&world.pool).await, 2);
    assert!(seen.iter().all(|delivery| delivery.message_id.as_str().starts_with("sha256:")));
    assert!(seen.iter().all(|delivery| delivery.version == 1));
}

#[tokio::test]
async fn a_claim_that_is_rolled_back_is_free_again() {
    let world = World::new("rolled back").await;
    let id = message_id();
    let mut first = world.pool.begin().await.unwrap();
    assert!(key(&id).claim(&mut first).await.unwrap());
    // The second delivery waits for what becomes of the first.
    let pool = world.pool.clone();
    let same = id.clone();
    let second = tokio::spawn(async move {
        let mut tx = pool.begin().await.unwrap();
        let claimed = key(&same).claim(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        claimed
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished());

    first.rollback().await.unwrap();

    assert!(second.await.unwrap());
    let mut again = world.pool.acquire().await.unwrap();
    assert!(!key(&id).claim(&mut again).await.unwrap());
    let another = InboxKey::new("another.queue", id);
    assert!(another.claim(&mut again).await.unwrap(), "each its own effect");
}

#[tokio::test]
async fn what_was_claimed_under_a_services_name_stays_claimed_for_its_queue() {
    let world = World::new("inbox names").await;
    let claim_as_before = async |id: &MessageId| {
        sqlx::query(
            "insert into messaging_inbox (consumer, message_id) values ('user-service', $1)",
        )
        .bind(id.as_str())
        .execute(&world.pool)
        .await
        .unwrap();
    };
    // The database as the version before left it.
    let before = "drop trigger messaging_inbox_consumer on messaging_inbox;
        drop function messaging_inbox_consumer_is_its_queue();
        delete from _messaging_migrations where version = 20";
    sqlx::raw_sql(before).execute(&world.pool).await.unwrap();
    let old = message_id();
    let from_an_old_instance = message_id();
    claim_as_before(&old).await;

    messaging::migrate(&world.pool.clone().into()).await.unwrap();
    claim_as_before(&from_an_old_instance).await;

    let mut connection = world.pool.acquire().await.unwrap();
    assert!(!key(&old).claim(&mut connection).await.unwrap());
    assert!(!key(&from_an_old_instance).claim(&mut connection).await.unwrap());
    assert!(key(&message_id()).claim(&mut connection).await.unwrap());
}

#[tokio::test]
async fn old_messages_are_forgotten_and_young_ones_kept() {
    let world = World::new("purge").await;
    let mut connection = world.pool.acquire().await.unwrap();
    let old = message_id();
    let young = message_id();
    for id in [&old, &young] {
        assert!(key(id).claim(&mut connection).await.unwrap());
    }
    sqlx::query(
        "update messaging_inbox set received_at = now() - interval '8 days' where message_id = $1",
    )
    .bind(old.as_str())
    .execute(&mut *connection)
    .await
    .unwrap();

    let purged =
        inbox::purge(&world.pool.clone().into(), Duration::from_hours(7 * 24)).await.unwrap();

    assert_eq!(purged, 1);
    assert!(!key(&young).claim(&mut connection).await.unwrap());
    assert!(key(&old).claim(&mut connection).await.unwrap());
}

/// The key of a message for the consumer of the tests' queue.
fn key(id: &MessageId) -> InboxKey {
    InboxKey::new(QUEUE, id.clone())
}

fn message_id() -> MessageId {
    MessageId::from(EventId::from_uuid(Uuid::now_v7()))
}

pub(crate) async fn effects(pool: &PgPool) {
    sqlx::query("create table effects (message_id text)").execute(pool).await.unwrap();
}

pub(crate) async fn count(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from effects").fetch_one(pool).await.unwrap()
}

/// The effect, slow enough for two of them to meet.
pub(crate) async fn effect(pool: PgPool, delivery: Delivery) -> Verdict {
    let work = async {
        let mut tx = pool.begin().await?;
        if delivery.claim(&mut tx).await? {
            sqlx::query("insert into effects select $1 from pg_sleep(0.1)")
                .bind(delivery.message_id.as_str())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    };
    work.await.map_or_else(|error: sqlx::Error| Verdict::unavailable(error), |()| Verdict::Ack)
}
