//! Faults by their names, one at a time, where no process has to be killed for them. The others
//! are in `e2e`; cut, frozen and absent brokers are in `broker` and `relay`.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use messaging::{Consumer, Verdict};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use testkit::native::{RabbitMq, ServerOptions};
use tokio::time::Instant;
use uuid::Uuid;

use crate::inbox::{count, effect, effects};
use crate::raw::{api_put, json as body};
use crate::world::{EXCHANGE, Notes, QUEUE, Running, World, created, updated, user};

#[tokio::test]
async fn consumer_killed_before_commit() {
    let world = World::new("before commit").await;
    effects(&world.pool).await;
    let pool = world.pool.clone();
    let (handler, first) = Notes::new(move |delivery| {
        let pool = pool.clone();
        async move {
            let mut tx = pool.begin().await.unwrap();
            delivery.claim(&mut tx).await.unwrap();
            sqlx::query("insert into effects values ('half done')")
                .execute(&mut *tx)
                .await
                .unwrap();
            std::future::pending().await
        }
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let consumer = world.consumer(handler);
    world.emit(&outbox, &created(1)).await;
    first.wait_for(1).await;

    drop(consumer);
    let pool = world.pool.clone();
    let (handler, second) = Notes::new(move |delivery| effect(pool.clone(), delivery));
    let consumer = world.consumer(handler);
    second.wait_for(1).await;
    consumer.stop().await;

    assert_eq!(count(&world.pool).await, 1);
    assert_eq!(world.client().await.ready(QUEUE).await, 0);
}

#[tokio::test]
async fn relay_killed_between_confirm_and_delete() {
    let world = World::new("before delete").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    world.emit(&outbox, &created(1)).await;
    // Rows can be read and claimed under this lock, not deleted.
    let mut lock = world.pool.begin().await.unwrap();
    sqlx::query("lock table messaging_outbox in share mode").execute(&mut *lock).await.unwrap();
    let relay = world.relay(&outbox);
    let first = client.next(&queue).await;

    drop(relay);
    lock.rollback().await.unwrap();
    let _relay = world.relay(&outbox);
    let again = client.next(&queue).await;

    assert_eq!(body(&first), body(&again), "the same message, under the same id");
    assert_eq!(first.properties.message_id(), again.properties.message_id());
    world.outbox_is_empty().await;
}

#[tokio::test]
async fn broker_restarted_under_consumers() {
    let (world, mut rabbit) = with_its_own_broker("restarted").await;
    let broker = world.connect();
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let outbox = world.outbox();
    let _relay = world.relay_over(broker.clone(), &outbox);
    let consumer = Consumer::new(broker.clone(), &world.settings, "user_events", handler).unwrap();
    let _consumer = Running::start(|shutdown| consumer.run(shutdown));
    world.emit(&outbox, &created(1)).await;
    seen.wait_for(1).await;

    // RabbitMQ 3.10 cannot bring a quorum queue back whose node was killed as the queue was made.
    tokio::time::sleep(Duration::from_secs(2)).await;
    rabbit.kill().unwrap();
    let killed = Instant::now();
    testkit::eventually("the loss shows", async || (!broker.is_connected()).then_some(())).await;
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    let rabbit = tokio::task::spawn_blocking(move || {
        rabbit.start_again().unwrap();
        rabbit
    });
    let rabbit = rabbit.await.unwrap();
    testkit::eventually("it is connected", async || broker.is_connected().then_some(())).await;
    world.emit(&outbox, &created(2)).await;
    seen.wait_for(2).await;

    let url = format!("{}/api/consumers", rabbit.management_url());
    testkit::eventually("the subscription is listed with its prefetch", async || {
        let consumers = crate::raw::get(url.clone()).await?;
        // The same bound as before, once a message came that nobody had before.
        consumers.as_array()?.iter().any(|one| one["prefetch_count"] == 20).then_some(())
    })
    .await;
}

#[tokio::test]
async fn disk_alarm() {
    let (world, rabbit) = with_its_own_broker("disk alarm").await;
    let broker = world.connect();
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let outbox = world.outbox();
    let _relay = world.relay_over(broker.clone(), &outbox);
    let consumer = Consumer::new(broker.clone(), &world.settings, "user_events", handler).unwrap();
    let _consumer = Running::start(|shutdown| consumer.run(shutdown));
    world.emit(&outbox, &created(1)).await;
    seen.wait_for(1).await;

    let rabbit = limit_disk(rabbit, "1000000GB").await;
    // The broker blocks a connection when it publishes.
    testkit::eventually("it shows", async || {
        world.emit(&outbox, &created(2)).await;
        (!broker.is_connected()).then_some(())
    })
    .await;
    assert!(world.outbox_depth().await > 0, "what is committed waits in the outbox");
    let _rabbit = limit_disk(rabbit, "1MB").await;

    world.outbox_is_empty().await;
    testkit::eventually("it is over", async || broker.is_connected().then_some(())).await;
}

pub(crate) async fn limit_disk(rabbit: RabbitMq, limit: &'static str) -> RabbitMq {
    let tell = move || {
        rabbit.control(&["set_disk_free_limit", limit]).unwrap();
        rabbit
    };
    tokio::task::spawn_blocking(tell).await.unwrap()
}

/// A world over a broker that is this test's alone.
pub(crate) async fn with_its_own_broker(hint: &str) -> (World, RabbitMq) {
    let start = || RabbitMq::start(&ServerOptions::temporary().unwrap()).unwrap();
    let rabbit = tokio::task::spawn_blocking(start).await.unwrap();
    let mut world = World::new(hint).await;
    let address = &mut world.settings.rabbitmq;
    address.port = rabbit.port();
    rabbit.username().clone_into(&mut address.username);
    address.password = rabbit.password().to_owned().into();
    "/".clone_into(&mut address.vhost);
    (world, rabbit)
}

#[tokio::test]
async fn out_of_order() {
    let world = World::new("out of order").await;
    // The first one fails once, and comes back after those that follow it.
    let (handler, seen) = Notes::new(async |delivery: messaging::Delivery| {
        let is_first = delivery.data["name"] == "0" && delivery.attempt == 1;
        if is_first { Verdict::retry("not yet") } else { Verdict::Ack }
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);
    for place in 0..3 {
        world.emit(&outbox, &updated(1, place)).await;
    }

    let seen = seen.wait_for(4).await;

    let last = seen.last().unwrap();
    assert_eq!((&last.data["name"], last.attempt), (&json!("0"), 2));
    let times: Vec<_> = seen.iter().map(|delivery| delivery.timestamp).collect();
    assert!(times[3] < times[2], "a handler can tell by the time of the event");
}

#[tokio::test]
async fn clock_skew() {
    let world = World::new("clock skew").await;
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);

    for (number, hours) in [(1, -400 * 24), (2, 23)] {
        let at = Utc::now() + TimeDelta::hours(hours);
        let mut tx = world.pool.begin().await.unwrap();
        outbox.enqueue(&mut tx, Uuid::now_v7(), at, &created(number)).await.unwrap();
        tx.commit().await.unwrap();
    }

    assert_eq!(seen.wait_for(2).await.len(), 2, "nothing is decided by a service's clock");
    // Beyond a day a reader that orders by time would be held up by it: `bounds.rs`.
    world.outbox_is_empty().await;
}

#[tokio::test]
async fn queue_full() {
    let world = World::new("queue full").await;
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    let consumer = world.consumer(handler);
    world.bound().await;
    consumer.stop().await;
    let policy = json!({"pattern": "^user-service.events$", "apply-to": "queues", "priority": 1,
        "definition": {"max-length": 5}});
    let path = format!("policies/{}/full", world.broker.vhost);
    api_put(path.clone(), policy).await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    for number in 0..50 {
        world.emit(&outbox, &created(number)).await;
    }
    testkit::eventually("the broker refuses", async || {
        let refused = sqlx::query_scalar::<_, i64>(
            "select count(*) from messaging_outbox where last_error = 'the broker refused it'",
        );
        (refused.fetch_one(&world.pool).await.unwrap() > 0).then_some(())
    })
    .await;

    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handler);

    testkit::eventually("every event has arrived", async || {
        let mut ids: Vec<_> = seen.all().into_iter().map(|d| d.message_id.to_string()).collect();
        ids.sort();
        ids.dedup();
        (ids.len() == 50).then_some(())
    })
    .await;
    world.outbox_is_empty().await;
}

#[tokio::test]
async fn database_pool_exhausted() {
    let world = World::new("pool exhausted").await;
    effects(&world.pool).await;
    let small = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(200))
        .connect(world.database.url())
        .await
        .unwrap();
    let taken = small.acquire().await.unwrap();
    let pool = small.clone();
    let (handler, seen) = Notes::new(move |delivery| effect(pool.clone(), delivery));
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);
    world.emit(&outbox, &created(1)).await;
    seen.wait_for(3).await;

    drop(taken);

    testkit::eventually("the effect is there", async || {
        (count(&world.pool).await == 1).then_some(())
    })
    .await;
    assert!(seen.all().iter().all(|delivery| delivery.attempt == 1), "it cost no attempt");
}

/// An event without bounds, as large as the relay takes it.
#[derive(serde::Serialize, serde::Deserialize)]
struct Huge {
    user_id: contracts::UserId,
    text: String,
}

impl contracts::Event for Huge {
    const TYPE: &'static str = "user.updated";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

#[tokio::test]
async fn unroutable_huge_and_good_messages_do_not_hold_each_other_up() {
    let mut world = World::new("huge").await;
    world.settings.relay.message_bytes_max = 4 * 1024 * 1024;
    let outbox = world.outbox();
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "user.updated").await;
    let huge = Huge { user_id: user(2), text: "x".repeat(3_000_000) };
    world.emit(&outbox, &created(1)).await;
    world.emit(&outbox, &huge).await;
    world.emit(&outbox, &updated(3, 0)).await;

    let _relay = world.relay(&outbox);

    let sizes: Vec<_> = client.take(&queue, 2).await.iter().map(|m| m.data.len()).collect();
    assert!(sizes.iter().any(|bytes| *bytes > 3_000_000));
    // A row goes once its confirm is there, which may come after the message.
    testkit::eventually("the unroutable one waits alone", async || {
        (world.outbox_depth().await == 1).then_some(())
    })
    .await;
}
