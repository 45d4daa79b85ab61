//! The order of an aggregate's events with several instances.

use std::time::Duration;

use contracts::user::UserUpdated;
use contracts::{Envelope, EventId};
use messaging::{Delivery, Handlers, Verdict};
use sqlx::PgPool;
use testkit::Proxy;
use uuid::Uuid;

use crate::world::{QUEUE, World, consumer_with, updated, user};

const AGGREGATES: u128 = 50;
const EVENTS: usize = 40;

#[tokio::test]
async fn events_stay_in_order_when_the_active_consumer_of_two_is_cut_off() {
    let mut world = World::new("single active").await;
    world.settings.queue.single_active_consumer = true;
    sqlx::query("create table effects (id bigserial, user_id uuid, place int)")
        .execute(&world.pool)
        .await
        .unwrap();
    let handlers = || Handlers::new(world.pool.clone()).on(have_effect).ordered();
    let proxy = Proxy::start(world.broker.server()).await;
    let mut cut_off = world.settings.clone();
    cut_off.rabbitmq.host = proxy.address().ip().to_string();
    cut_off.rabbitmq.port = proxy.port();
    let before = world.consumer(handlers());
    world.bound_to(1).await;
    before.stop().await;
    let client = world.client().await;
    for place in 0..EVENTS {
        for number in 0..AGGREGATES {
            client.publish("", QUEUE, &body(&updated(number, place))).await;
        }
    }

    let _active = consumer_with(&cut_off, handlers());
    testkit::eventually("it is at work", async || {
        (!effects(&world.pool).await.is_empty()).then_some(())
    })
    .await;
    let _next = world.consumer(handlers());
    testkit::eventually("a good part has its effect", async || {
        (effects(&world.pool).await.len() > 500).then_some(())
    })
    .await;
    proxy.cut().await;
    testkit::eventually("every event has its effect", async || {
        (effects(&world.pool).await.len() == 2_000).then_some(())
    })
    .await;

    let effects = effects(&world.pool).await;
    for number in 0..AGGREGATES {
        let of_user = effects.iter().filter(|(id, _)| *id == user(number).as_uuid());
        let places: Vec<i32> = of_user.map(|(_, place)| *place).collect();
        assert!(places.iter().copied().eq(0..40), "user {number}: {places:?}");
    }
}

async fn have_effect(pool: PgPool, delivery: Delivery<UserUpdated>) -> Verdict {
    let work = async {
        // Side by side, some would overtake others.
        tokio::time::sleep(Duration::from_millis(
            delivery.message_id.as_str().bytes().map(u64::from).sum::<u64>() % 10,
        ))
        .await;
        let mut tx = pool.begin().await?;
        if delivery.claim(&mut tx).await? {
            sqlx::query("insert into effects (user_id, place) values ($1, $2)")
                .bind(delivery.data.user_id.as_uuid())
                .bind(delivery.data.name.parse::<i32>().unwrap())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    };
    let done = work.await.map_err(|error: sqlx::Error| error.to_string());
    // Between commit and acknowledgement: some have had their effect when the connection is cut.
    tokio::time::sleep(Duration::from_millis(2)).await;
    done.map_err(Verdict::retry).into()
}

/// Whose and which, in the order in which they were had.
async fn effects(pool: &PgPool) -> Vec<(Uuid, i32)> {
    let effects = sqlx::query_as("select user_id, place from effects order by id");
    effects.fetch_all(pool).await.unwrap()
}

fn body(event: &UserUpdated) -> Vec<u8> {
    let event_id = EventId::from_uuid(Uuid::now_v7());
    let at = "2026-01-15T09:30:00Z".parse().unwrap();
    serde_json::to_vec(&Envelope::new(event_id, at, "user-service", event.clone())).unwrap()
}

#[tokio::test]
async fn events_stay_in_order_when_the_active_consumer_of_two_is_drained() {
    let mut world = World::new("drained in order").await;
    world.settings.queue.single_active_consumer = true;
    sqlx::query("create table effects (id bigserial, user_id uuid, place int)")
        .execute(&world.pool)
        .await
        .unwrap();
    let handlers = || Handlers::new(world.pool.clone()).on(slow_effect).ordered();
    let active = world.consumer(handlers());
    world.bound_to(1).await;
    let client = world.client().await;
    for place in 0..EVENTS {
        for number in 0..3 {
            client.publish("", QUEUE, &body(&updated(number, place))).await;
        }
    }
    let _next = world.consumer(handlers());
    testkit::eventually("a part has its effect", async || {
        (effects(&world.pool).await.len() > 20).then_some(())
    })
    .await;

    active.stop().await;

    testkit::eventually("every event has its effect", async || {
        (effects(&world.pool).await.len() == 3 * EVENTS).then_some(())
    })
    .await;
    let effects = effects(&world.pool).await;
    for number in 0..3 {
        let of_user = effects.iter().filter(|(id, _)| *id == user(number).as_uuid());
        let places: Vec<i32> = of_user.map(|(_, place)| *place).collect();
        assert!(places.iter().copied().eq(0..40), "user {number}: {places:?}");
    }
}

/// Slow enough for the next consumer to overtake whoever handles on after it is gone.
async fn slow_effect(pool: PgPool, delivery: Delivery<UserUpdated>) -> Verdict {
    tokio::time::sleep(Duration::from_millis(30)).await;
    have_effect(pool, delivery).await
}
