//! Statements over a real PostgreSQL whose schema changes under them.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they measure")]

mod budget;
mod health;
mod limits;
mod migrations;
mod pool;
mod pooler;
mod starts;
mod stranded;
mod tls;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use database::{Database, DatabaseSettings, FutureExt as _, Pools};
use futures_util::FutureExt as _;
use sqlx::PgConnection;
use sqlx::postgres::PgPoolOptions;
use testkit::TestDatabase;

/// Connections of the pool, each with prepared statements of its own.
const CONNECTIONS: u32 = 3;

/// A service's settings, with limits that a test can wait for: three connections for requests, two
/// for background work.
fn settings(url: &str) -> DatabaseSettings {
    DatabaseSettings {
        url: url.to_owned().into(),
        sslmode: None,
        tls_ca: std::path::PathBuf::new(),
        pool_size: 3.try_into().unwrap(),
        background_pool_size: 2.try_into().unwrap(),
        pool_timeout: Duration::from_secs(5),
        start_timeout: Duration::from_secs(1),
        checkout_timeout: Duration::from_secs(5),
        reaping_frequency: Duration::from_mins(10),
        slow_query: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(3),
        lock_timeout: Duration::from_millis(500),
        idle_in_transaction_timeout: Duration::from_secs(2),
        migration_lock_timeout: Duration::from_millis(300),
        migration_wait: Duration::from_mins(1),
        transaction_pooling: false,
    }
}

async fn connect(settings: &DatabaseSettings) -> Pools {
    database::connect(settings).await.unwrap()
}

struct World {
    database: Database,
    server: TestDatabase,
}

impl World {
    async fn new(hint: &str) -> Self {
        let server = testkit::database(hint).await;
        let pool =
            PgPoolOptions::new().max_connections(CONNECTIONS).connect_lazy(server.url()).unwrap();
        let world = Self { database: pool.into(), server };
        world.execute("create table things (id bigint primary key, name text not null)").await;
        world.execute("insert into things values (1, 'one')").await;
        world
    }

    /// By somebody else, on a connection of its own.
    async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.server.pool().await).await.unwrap();
    }

    /// Something on every connection of the pool at once.
    async fn on_each<T, E: std::fmt::Debug>(
        &self,
        work: impl AsyncFn(Database) -> Result<T, E>,
    ) -> Vec<T> {
        let all = (0..CONNECTIONS).map(|_| work(self.database.clone()));
        let all = futures_util::future::join_all(all).await;
        all.into_iter().map(Result::unwrap).collect()
    }
}

async fn name(database: Database) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("select name from things where id = $1 and pg_sleep(0.05) is not null")
        .bind(1_i64)
        .fetch_one(&database)
        .await
}

async fn rename(tx: &mut PgConnection, name: &str) -> Result<String, sqlx::Error> {
    let before = sqlx::query_scalar("select name from things where id = $1 for update");
    let before = before.bind(1_i64).fetch_one(&mut *tx).await?;
    sqlx::query("update things set name = $1").bind(name).execute(&mut *tx).await?;
    sqlx::query("select pg_sleep(0.05)").execute(tx).await?;
    Ok(before)
}

async fn renamed(database: Database) -> Result<String, sqlx::Error> {
    let name = "two".to_owned();
    let name = &name;
    database.transaction(|tx| async move { rename(tx, name).await }.scope_boxed()).await
}

#[tokio::test]
async fn statements_and_transactions_go_on_after_a_column_has_another_type() {
    let world = World::new("altered").await;
    for alteration in [
        "alter table things alter column name type varchar(500)",
        "alter table things alter column name type varchar(600)",
        "alter table things alter column name type text",
    ] {
        world.on_each(name).await;
        world.on_each(renamed).await;
        world.execute(alteration).await;
        world.on_each(name).await;
        world.on_each(renamed).await;
    }
    assert_eq!(world.on_each(name).await, ["two", "two", "two"]);
}

#[tokio::test]
async fn what_a_transaction_did_before_it_was_refused_is_done_once() {
    let world = World::new("once").await;
    world.execute("create table log (entry bigint generated always as identity)").await;
    let logged = async |database: Database| {
        database
            .transaction(|tx| {
                async move {
                    sqlx::query("insert into log default values").execute(&mut *tx).await?;
                    rename(tx, "two").await
                }
                .scope_boxed()
            })
            .await
    };
    world.on_each(logged).await;
    world.execute("alter table things alter column name type varchar(500)").await;
    world.on_each(logged).await;
    let entries = sqlx::query_scalar::<_, i64>("select count(*) from log");
    let entries = entries.fetch_one(&world.database).await.unwrap();
    assert_eq!(entries, i64::from(CONNECTIONS) * 2);
}

#[tokio::test]
async fn a_transaction_that_is_given_up_to_end_a_deadlock_is_done_again() {
    let world = World::new("deadlock").await;
    world.execute("insert into things values (2, 'two')").await;
    let both_have_one = tokio::sync::Barrier::new(2);
    let lock_both = async |first: i64, second: i64| {
        let attempts = AtomicU32::new(0);
        let barrier = &both_have_one;
        let attempts = &attempts;
        world
            .database
            .transaction(|tx| {
                async move {
                    let lock = || sqlx::query("select from things where id = $1 for update");
                    lock().bind(first).execute(&mut *tx).await?;
                    if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                        barrier.wait().await;
                    }
                    lock().bind(second).execute(tx).await
                }
                .scope_boxed()
            })
            .await
            .map(|_| attempts.load(Ordering::SeqCst))
    };
    let (one, other) = tokio::join!(lock_both(1, 2), lock_both(2, 1));
    // Who begins again may be at the first row before the other has woken up, and they meet once more.
    assert!(one.unwrap() + other.unwrap() >= 3, "one of them was given up");
}

#[tokio::test]
async fn other_faults_are_not_tried_again_and_roll_back() {
    let world = World::new("faults").await;
    let attempts = AtomicU32::new(0);
    let attempts = &attempts;
    let failed = world.database.transaction(|tx| {
        async move {
            attempts.fetch_add(1, Ordering::SeqCst);
            rename(tx, "two").await?;
            sqlx::query("insert into things values (1, 'again')").execute(tx).await
        }
        .scope_boxed()
    });
    assert_eq!(database::kind(&failed.await.unwrap_err()), "database");
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
    assert_eq!(name(world.database.clone()).await.unwrap(), "one");
}

#[tokio::test]
async fn work_that_is_given_up_while_its_transaction_begins_leaves_no_transaction_behind() {
    let world = World::new("begin").await;
    let settings =
        DatabaseSettings { pool_size: 1.try_into().unwrap(), ..settings(world.server.url()) };
    let database = connect(&settings).await.requests;
    let other = world.server.pool().await;
    for number in 2..=10_i64 {
        // Asked once whether it is there: that sends the statement.
        let renamed = renamed(database.clone());
        assert!(renamed.now_or_never().is_none());
        // Of its own, so that it is kept at once, for everybody.
        let insert = sqlx::query("insert into things values ($1, 'another')").bind(number);
        insert.execute(&database).await.unwrap();
        let kept = sqlx::query_scalar("select count(*) from things").fetch_one(&other);
        assert_eq!(kept.await.ok(), Some(number));
    }
}
