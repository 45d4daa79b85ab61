//! Statements that take too long, wait too long or are left alone: the server ends each of them.

use std::time::Duration;

use database::{Database, FutureExt as _};
use sqlx::PgPool;
use testkit::eventually;
use tokio::time::timeout;

use crate::{connect, settings};

/// Whoever gives up a statement.
const PATIENCE: Duration = Duration::from_millis(100);
/// What runs on the server besides the one who asks.
const RUNNING: &str = "
    select count(*) from pg_stat_activity
    where datname = current_database() and state = 'active' and pid <> pg_backend_pid()";

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_and_told_as_such() {
    let server = testkit::database("statement").await;
    let database = connect(&settings(server.url())).await.requests;

    let error = sqlx::query("select pg_sleep(60)").execute(&database).await.unwrap_err();

    assert!(database::is_unavailable(&error), "{error}");
    assert_eq!(database::kind(&error), "statement timed out");
    let counted = "database_unavailable_total{error_type=\"statement timed out\"} 1";
    assert!(telemetry::metrics::render().lines().any(|line| line == counted));
}

#[tokio::test]
async fn statements_that_nobody_waits_for_any_more_end_by_themselves() {
    let server = testkit::database("given_up").await;
    let database = connect(&settings(server.url())).await.requests;
    for _ in 0..3 {
        let sleep = sqlx::query("select pg_sleep(60)").execute(&database);
        assert!(timeout(PATIENCE, sleep).await.is_err());
    }
    let watcher = server.pool().await;
    until_nothing_runs(&watcher).await;

    sqlx::query("select 1").execute(&database).await.unwrap();
}

#[tokio::test]
async fn who_waits_too_long_for_a_row_is_told_that_it_is_locked() {
    let server = testkit::database("locked").await;
    let database = connect(&settings(server.url())).await.requests;
    let other = server.pool().await;
    sqlx::raw_sql("create table things (id int); insert into things values (1)")
        .execute(&other)
        .await
        .unwrap();
    let mut holder = other.begin().await.unwrap();
    sqlx::raw_sql("select from things for update").execute(&mut *holder).await.unwrap();

    let alone = sqlx::query("update things set id = 2").execute(&database).await.unwrap_err();
    let inside = update(&database).await.unwrap_err();

    for error in [alone, inside] {
        assert!(database::is_unavailable(&error), "{error}");
        assert_eq!(database::kind(&error), "lock timed out");
    }
    holder.rollback().await.unwrap();
    update(&database).await.unwrap();
}

#[tokio::test]
async fn a_transaction_in_which_nothing_happens_is_ended_and_told_as_such() {
    let server = testkit::database("idle").await;
    let database = connect(&settings(server.url())).await.requests;

    let error = database
        .transaction(|tx| {
            async move {
                sqlx::query("select 1").execute(&mut *tx).await?;
                tokio::time::sleep(Duration::from_secs(3)).await;
                sqlx::query("select 2").execute(tx).await
            }
            .scope_boxed()
        })
        .await
        .unwrap_err();

    assert!(database::is_unavailable(&error), "{error}");
    sqlx::query("select 1").execute(&database).await.unwrap();
}

#[tokio::test]
async fn background_work_that_takes_all_its_connections_leaves_those_of_requests() {
    let server = testkit::database("shares").await;
    let pools = connect(&settings(server.url())).await;
    let background = pools.background.clone();
    let hoard = async |database: &Database, size| {
        let taken = (0..size).map(|_| database.acquire());
        futures_util::future::try_join_all(taken).await.unwrap()
    };
    let all = hoard(&background, 2).await;

    timeout(Duration::from_secs(2), sqlx::query("select 1").execute(&pools.requests))
        .await
        .unwrap()
        .unwrap();

    drop(all);
    let _all = hoard(&pools.requests, 3).await;
    timeout(Duration::from_secs(2), sqlx::query("select 1").execute(&background))
        .await
        .unwrap()
        .unwrap();
}

async fn update(database: &Database) -> Result<(), sqlx::Error> {
    database
        .transaction(|tx| {
            async move { sqlx::query("update things set id = 2").execute(tx).await.map(drop) }
                .scope_boxed()
        })
        .await
}

/// Waits until the server is at rest.
pub(crate) async fn until_nothing_runs(watcher: &PgPool) {
    eventually("nothing runs any more", async || {
        let running: i64 = sqlx::query_scalar(RUNNING).fetch_one(watcher).await.unwrap();
        (running == 0).then_some(())
    })
    .await;
}
