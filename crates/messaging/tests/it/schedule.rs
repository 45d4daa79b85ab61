//! Events at a time of their own: sent then and not before, once, and not when they are cancelled.

use chrono::{DateTime, TimeDelta, Utc};
use database::Database;
use messaging::{EnqueueError, Outbox, schedule};
use uuid::Uuid;

use crate::metrics::value;
use crate::raw::json as body;
use crate::world::{EXCHANGE, World, created};

#[tokio::test]
async fn a_scheduled_event_is_sent_when_its_time_has_come_and_not_before() {
    let world = World::new("schedule").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let at = Utc::now() + TimeDelta::milliseconds(1_500);

    let scheduled = put(&world, &outbox, "reminder", at, 1).await;
    let at_once = world.emit(&outbox, &created(2)).await;

    assert_eq!(body(&client.next(&queue).await)["event_id"], at_once.to_string());
    let message = client.next(&queue).await;
    assert!(Utc::now() >= at, "it was sent before its time");
    assert_eq!(body(&message)["event_id"], scheduled.to_string());
    let timestamp: DateTime<Utc> = body(&message)["timestamp"].as_str().unwrap().parse().unwrap();
    assert_eq!(timestamp, at, "it happens at its time");
    assert_eq!(depth(&world).await, 0);
}

#[tokio::test]
async fn the_same_key_again_replaces_what_was_scheduled() {
    let world = World::new("schedule again").await;
    let outbox = world.outbox();
    let database = Database::from(world.pool.clone());

    put(&world, &outbox, "reminder", Utc::now() - TimeDelta::seconds(1), 1).await;
    let later = Utc::now() + TimeDelta::hours(1);
    put(&world, &outbox, "reminder", later, 1).await;
    assert_eq!(schedule::release_due(&database).await.unwrap(), 0, "it is put off");
    let last = put(&world, &outbox, "reminder", Utc::now() - TimeDelta::seconds(1), 2).await;
    assert_eq!(schedule::release_due(&database).await.unwrap(), 1);

    assert_eq!(event_ids(&world).await, [last]);
}

#[tokio::test]
async fn a_cancelled_event_is_never_sent() {
    let world = World::new("schedule cancel").await;
    let outbox = world.outbox();
    let database = Database::from(world.pool.clone());
    put(&world, &outbox, "one", Utc::now() - TimeDelta::seconds(1), 1).await;
    let kept = put(&world, &outbox, "other", Utc::now() - TimeDelta::seconds(1), 2).await;

    assert!(cancel(&world, &outbox, "one").await);
    assert!(!cancel(&world, &outbox, "one").await, "it is gone already");
    assert_eq!(schedule::release_due(&database).await.unwrap(), 1);

    assert_eq!(event_ids(&world).await, [kept]);
    assert!(!cancel(&world, &outbox, "other").await, "it was released");
}

#[tokio::test]
async fn what_is_rolled_back_is_neither_scheduled_nor_cancelled() {
    let world = World::new("schedule rollback").await;
    let outbox = world.outbox();
    let database = Database::from(world.pool.clone());
    let past = Utc::now() - TimeDelta::seconds(1);
    let kept = put(&world, &outbox, "kept", past, 1).await;

    let mut tx = world.pool.begin().await.unwrap();
    outbox.enqueue_at(&mut tx, "new", past, Uuid::now_v7(), &created(2)).await.unwrap();
    assert!(outbox.cancel(&mut tx, "kept").await.unwrap());
    tx.rollback().await.unwrap();

    assert_eq!(schedule::release_due(&database).await.unwrap(), 1);
    assert_eq!(event_ids(&world).await, [kept]);
}

#[tokio::test]
async fn releasers_at_once_move_every_row_exactly_once_and_a_bounded_number_each() {
    const ROWS: u64 = 1_700;
    let world = World::new("schedule releasers").await;
    let outbox = world.outbox();
    let database = Database::from(world.pool.clone());
    let mut tx = world.pool.begin().await.unwrap();
    let past = Utc::now() - TimeDelta::seconds(1);
    for number in 0..ROWS {
        let key = format!("key-{number}");
        let event = created(number.into());
        outbox.enqueue_at(&mut tx, &key, past, Uuid::now_v7(), &event).await.unwrap();
    }
    tx.commit().await.unwrap();

    let releasers = (0..4).map(|_| {
        let database = database.clone();
        tokio::spawn(async move {
            let mut released = Vec::new();
            loop {
                let rows = schedule::release_due(&database).await.unwrap();
                released.push(rows);
                if rows == 0 {
                    return released;
                }
            }
        })
    });
    let mut all = Vec::new();
    for releaser in releasers.collect::<Vec<_>>() {
        all.extend(releaser.await.unwrap());
    }

    assert_eq!(all.iter().sum::<u64>(), ROWS);
    assert!(all.iter().all(|rows| *rows <= schedule::RELEASED_MAX), "{all:?}");
    let mut ids = event_ids(&world).await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len() as u64, ROWS, "no row moved twice");
    assert_eq!(depth(&world).await, 0);
}

#[tokio::test]
async fn a_cancel_that_meets_a_release_stops_the_event_or_says_that_it_did_not() {
    let world = World::new("schedule race").await;
    let outbox = world.outbox();
    let database = Database::from(world.pool.clone());
    let past = Utc::now() - TimeDelta::seconds(1);
    for round in 0..40 {
        let id = put(&world, &outbox, "key", past, round).await;
        let (cancelled, released) =
            tokio::join!(cancel(&world, &outbox, "key"), schedule::release_due(&database));
        // What the release skipped because the cancel held it is gone with the cancel.
        let released = released.unwrap();
        let is_sent = event_ids(&world).await.contains(&id);
        assert_eq!((cancelled, released), (!is_sent, u64::from(is_sent)), "round {round}");
    }

    // A cancel that is rolled back leaves the event to the next release.
    put(&world, &outbox, "key", past, 99).await;
    let mut tx = world.pool.begin().await.unwrap();
    assert!(outbox.cancel(&mut tx, "key").await.unwrap());
    assert_eq!(schedule::release_due(&database).await.unwrap(), 0, "it waits for no lock");
    tx.rollback().await.unwrap();
    assert_eq!(schedule::release_due(&database).await.unwrap(), 1);
}

#[tokio::test]
async fn a_time_or_a_key_out_of_bounds_is_refused() {
    let world = World::new("schedule bounds").await;
    let outbox = world.outbox();
    let mut tx = world.pool.begin().await.unwrap();
    let soon = Utc::now() + TimeDelta::hours(1);
    for (key, at, fault) in [
        ("", soon, "key needs 1 to 200 bytes"),
        (&"x".repeat(201), soon, "key needs 1 to 200 bytes"),
        ("key", Utc::now() + TimeDelta::days(367), "at is more than 366 days ahead"),
        ("key", DateTime::<Utc>::MAX_UTC, "at is more than 366 days ahead"),
        ("key", DateTime::<Utc>::MIN_UTC, "timestamp is before 2000"),
    ] {
        let refused = outbox.enqueue_at(&mut tx, key, at, Uuid::now_v7(), &created(1)).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, EnqueueError::Field { .. }), "{refused}");
        assert_eq!(refused.to_string(), format!("event user.created: {fault}"));
    }
    let in_a_year = Utc::now() + TimeDelta::days(365);
    let key = "x".repeat(200);
    outbox.enqueue_at(&mut tx, &key, in_a_year, Uuid::now_v7(), &created(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(depth(&world).await, 1);
}

#[tokio::test]
async fn gauges_tell_how_much_is_scheduled_and_for_how_long_the_first_is_overdue() {
    let world = World::new("schedule gauges").await;
    let outbox = world.outbox();
    put(&world, &outbox, "held", Utc::now() - TimeDelta::seconds(100), 1).await;
    put(&world, &outbox, "later", Utc::now() + TimeDelta::hours(1), 2).await;
    let mut holder = world.pool.begin().await.unwrap();
    assert!(outbox.cancel(&mut holder, "held").await.unwrap());

    let _relay = world.relay(&outbox);

    let of =
        |gauge: &str| value(&format!("messaging_scheduled_{gauge}{{service=\"user-service\"}}"));
    testkit::eventually("the gauges are set", async || {
        let is_overdue = of("overdue_seconds").is_some_and(|seconds| seconds >= 100.0);
        (of("depth") == Some(2.0) && is_overdue).then_some(())
    })
    .await;
}

async fn put(world: &World, outbox: &Outbox, key: &str, at: DateTime<Utc>, number: u128) -> Uuid {
    let event_id = Uuid::now_v7();
    let mut tx = world.pool.begin().await.unwrap();
    outbox.enqueue_at(&mut tx, key, at, event_id, &created(number)).await.unwrap();
    tx.commit().await.unwrap();
    event_id
}

async fn cancel(world: &World, outbox: &Outbox, key: &str) -> bool {
    let mut tx = world.pool.begin().await.unwrap();
    let cancelled = outbox.cancel(&mut tx, key).await.unwrap();
    tx.commit().await.unwrap();
    cancelled
}

async fn depth(world: &World) -> i64 {
    let count = sqlx::query_scalar("select count(*) from messaging_scheduled");
    count.fetch_one(&world.pool).await.unwrap()
}

async fn event_ids(world: &World) -> Vec<Uuid> {
    let ids = sqlx::query_scalar("select event_id from messaging_outbox order by id");
    ids.fetch_all(&world.pool).await.unwrap()
}
