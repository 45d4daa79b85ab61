//! A relay polls a partition from a floor on. No event is committed below it, however long its
//! transaction takes: nobody would look there for a minute.
//!
//! Each test has a PostgreSQL of its own, since the numbers of transactions are the whole server's.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use testkit::native::{Postgres, ServerOptions};
use uuid::Uuid;

use crate::world::{EXCHANGE, World, created};

/// Polls in which a floor rises over all that it may rise over: it takes three.
const POLLS: usize = 8;

#[tokio::test]
async fn an_event_of_a_transaction_that_outlasts_many_polls_is_sent_once_it_is_committed() {
    let (world, _server) = on_its_own("a slow transaction").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);

    let mut tx = world.pool.begin().await.unwrap();
    outbox.enqueue(&mut tx, Uuid::now_v7(), Utc::now(), &created(1)).await.unwrap();
    polls(&world.pool).await;
    tx.commit().await.unwrap();
    outbox.wake();

    client.next(&queue).await;
}

#[tokio::test]
async fn an_event_that_is_halfway_into_its_table_for_many_polls_is_sent_once_it_is_committed() {
    let (world, _server) = on_its_own("a slow row").await;
    // It waits after the row's id was drawn, and before the row is there.
    sqlx::raw_sql(
        "create function wait_for_the_test() returns trigger language plpgsql as $$
         begin perform pg_advisory_xact_lock(42); return new; end $$;
         create trigger wait_for_the_test before insert on messaging_outbox
             for each row execute function wait_for_the_test()",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let mut test = world.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(42)").execute(&mut *test).await.unwrap();

    let event = created(1);
    let emitting = world.emit(&outbox, &event);
    let holding = async {
        testkit::eventually("the row waits", async || waits(&world.pool).await.then_some(())).await;
        polls(&world.pool).await;
        test.commit().await.unwrap();
    };
    tokio::join!(emitting, holding);

    client.next(&queue).await;
}

/// A world whose database is alone on its server.
async fn on_its_own(hint: &str) -> (World, Postgres) {
    let mut world = World::new(hint).await;
    let start = || Postgres::start(&ServerOptions::temporary().unwrap()).unwrap();
    let server = tokio::task::spawn_blocking(start).await.unwrap();
    world.pool = PgPool::connect(&server.url()).await.unwrap();
    messaging::migrate(&world.pool.clone().into()).await.unwrap();
    (world, server)
}

/// Waits for [`POLLS`] polls of the relay.
async fn polls(pool: &PgPool) {
    let begins = std::sync::Mutex::new(BTreeSet::new());
    testkit::eventually("the relay polls again and again", async || {
        let begin = "select max(query_start) from pg_stat_activity
                     where query like '%pg_snapshot_xmin%' and pid <> pg_backend_pid()";
        let begin: Option<DateTime<Utc>> = sqlx::query_scalar(begin).fetch_one(pool).await.unwrap();
        let mut begins = begins.lock().unwrap();
        begins.extend(begin);
        (begins.len() >= POLLS).then_some(())
    })
    .await;
}

async fn waits(pool: &PgPool) -> bool {
    let waits = "select exists (select from pg_stat_activity where wait_event = 'advisory')";
    sqlx::query_scalar(waits).fetch_one(pool).await.unwrap()
}
