//! What becomes of a connection of the pool between two uses: nothing when it is clean, and a check
//! when it was given up.

use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use database::{Database, DatabaseSettings, FutureExt as _};
use futures_util::FutureExt as _;
use sqlx::{Connection, PgConnection};
use testkit::{Proxy, TestDatabase};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::stranded::behind_a_wire;
use crate::{connect, settings};

const READ: &str = "select $1::bigint + 1";

#[tokio::test]
async fn a_use_of_a_connection_sends_no_byte_besides_its_statement() {
    let (database, wire, server) = behind_a_wire("frugal", 1).await;
    let read = || sqlx::query_scalar::<_, i64>(READ).bind(1_i64);
    let mut alone = PgConnection::connect(&server.url_through(wire.address())).await.unwrap();
    for _ in 0..2 {
        // Prepares the statement on both connections.
        read().fetch_one(&mut alone).await.unwrap();
        read().fetch_one(&database).await.unwrap();
    }
    let before = wire.client_bytes();
    read().fetch_one(&mut alone).await.unwrap();
    let of_one_statement = wire.client_bytes() - before;

    let before = wire.client_bytes();
    for _ in 0..10 {
        assert_eq!(read().fetch_one(&database).await.unwrap(), 2);
    }

    assert_eq!(wire.client_bytes() - before, 10 * of_one_statement);
}

/// Which session of the server the pool's only connection is.
async fn session(database: &Database) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(database).await.unwrap()
}

#[tokio::test]
async fn a_transaction_that_is_given_up_is_rolled_back_at_once_and_its_connection_is_used_again() {
    let server = testkit::database("rolled_back").await;
    // Nothing but the rollback ends the transaction.
    let database = lone(&server, Duration::from_mins(10)).await;
    let mut other = PgConnection::connect(server.url()).await.unwrap();
    let table = "create table things (id bigint); insert into things values (1)";
    sqlx::raw_sql(table).execute(&mut other).await.unwrap();
    let before = session(&database).await;
    let has_lock = Notify::new();
    let work = database.transaction::<(), sqlx::Error, _>(|tx| {
        let has_lock = &has_lock;
        async move {
            sqlx::query("select from things for update").execute(tx).await?;
            has_lock.notify_one();
            std::future::pending().await
        }
        .scope_boxed()
    });
    tokio::select! {
        done = work => panic!("it goes on for ever: {done:?}"),
        () = has_lock.notified() => {}
    }

    testkit::eventually("the row is free", async || {
        let lock = sqlx::raw_sql("select from things for update nowait");
        lock.execute(&mut other).await.ok()
    })
    .await;

    assert_eq!(session(&database).await, before);
}

#[tokio::test]
async fn a_statement_that_is_given_up_does_not_answer_the_next_one_on_its_connection() {
    let server = testkit::database("given_up").await;
    let database = lone(&server, Duration::from_secs(10)).await;
    let before = session(&database).await;
    let slow = || sqlx::query_scalar::<_, i32>("select 1 from pg_sleep(0.05)");
    // Prepares it.
    slow().fetch_one(&database).await.unwrap();
    for _ in 0..5 {
        assert!(slow().fetch_one(&database).now_or_never().is_none());

        let next = sqlx::query_scalar::<_, i32>("select 2").fetch_one(&database);

        assert_eq!(next.await.unwrap(), 2);
    }
    assert_eq!(session(&database).await, before);
}

#[tokio::test]
async fn a_connection_whose_statement_goes_on_after_it_was_given_up_is_replaced_by_another_one() {
    let server = testkit::database("replaced").await;
    let settings = DatabaseSettings {
        pool_size: NonZero::<u32>::MIN,
        statement_timeout: Duration::from_mins(10),
        ..settings(server.url())
    };
    let database = connect(&settings).await.requests;
    let before = session(&database).await;
    // Asked once whether it is there: that sends the statement.
    let forever = sqlx::raw_sql("select pg_sleep(600)").execute(&database);
    assert!(forever.now_or_never().is_none());

    assert_ne!(session(&database).await, before);
}

#[tokio::test]
async fn those_who_wait_for_a_connection_have_it_in_the_order_in_which_they_came() {
    let server = testkit::database("in_order").await;
    let database = lone(&server, Duration::from_secs(10)).await;
    let held = database.acquire().await.unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = JoinSet::new();
    for number in 0..5 {
        let database = database.clone();
        let served = Arc::clone(&served);
        waiting.spawn(async move {
            let mut connection = database.acquire().await.unwrap();
            served.lock().unwrap().push(number);
            sqlx::query("select 1").execute(&mut *connection).await.unwrap();
            connection.release();
        });
        // On this runtime of one thread, the task runs until it waits.
        tokio::task::yield_now().await;
    }

    held.release();

    waiting.join_all().await;
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn who_waits_for_a_connection_longer_than_the_checkout_timeout_is_told_that_there_is_none() {
    let server = testkit::database("timed_out").await;
    let settings = DatabaseSettings {
        pool_size: NonZero::<u32>::MIN,
        checkout_timeout: Duration::from_secs(1),
        ..settings(server.url())
    };
    let database = connect(&settings).await.requests;
    let held = database.acquire().await.unwrap();

    let error = sqlx::query("select 1").execute(&database).await.unwrap_err();

    assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error}");
    held.release();
    sqlx::query("select 1").execute(&database).await.unwrap();
}

#[tokio::test]
async fn connections_that_are_idle_for_too_long_are_closed_and_opened_again_when_they_are_wanted() {
    let server = testkit::database("idle_closed").await;
    let wire = Proxy::start(server.server()).await;
    let url = server.url_through(wire.address());
    let reaping_frequency = Duration::from_millis(100);
    let pools = connect(&DatabaseSettings { reaping_frequency, ..settings(&url) }).await;

    testkit::eventually("the connection of health checks is left", async || {
        (wire.connections() == 1).then_some(())
    })
    .await;

    sqlx::query("select 1").execute(&pools.requests).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_half_an_hour_old_is_replaced_though_it_is_in_use_again_and_again() {
    let server = testkit::database("aged").await;
    let pool_size = NonZero::<u32>::MIN;
    let reaping_frequency = Duration::from_hours(10);
    let settings = DatabaseSettings { pool_size, reaping_frequency, ..settings(server.url()) };
    let database = connect(&settings).await.requests;
    let before = session(&database).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(31)).await;
    tokio::time::resume();

    testkit::eventually("another connection is there", async || {
        (session(&database).await != before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_that_a_trickle_of_statements_does_not_need_are_closed() {
    let server = testkit::database("trickle").await;
    let wire = Proxy::start(server.server()).await;
    let url = server.url_through(wire.address());
    let reaping_frequency = Duration::from_secs(1);
    let pools = connect(&DatabaseSettings { reaping_frequency, ..settings(&url) }).await;

    testkit::eventually("one connection is left beside that of health checks", async || {
        sqlx::query("select 1").execute(&pools.requests).await.unwrap();
        (wire.connections() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_that_the_server_has_ended_fail_once_each_at_most_and_are_replaced() {
    let server = testkit::database("ended").await;
    let pools = connect(&settings(server.url())).await;
    let end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::query(end).execute(&server.pool().await).await.unwrap();

    let mut failures = 0;
    for _ in 0..20 {
        if let Err(error) = sqlx::query("select 1").execute(&pools.requests).await {
            assert!(database::is_unavailable(&error), "{error}");
            failures += 1;
        }
    }

    assert!((1..=3).contains(&failures), "{failures} of three connections");
}

#[tokio::test]
async fn statements_wait_for_a_server_that_comes_back_within_the_checkout_timeout() {
    let (database, wire, _server) = behind_a_wire("comes_back", 1).await;
    wire.cut().await;
    // The connection that is open shows itself.
    sqlx::query("select 1").execute(&database).await.unwrap_err();

    let waiting = sqlx::query("select 1").execute(&database);
    let (waited, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        wire.restore().await;
    });

    waited.unwrap();
}

#[tokio::test]
async fn every_wait_for_a_connection_is_measured() {
    let server = testkit::database("measured").await;
    let database = lone(&server, Duration::from_secs(10)).await;
    let waits = || {
        let metrics = telemetry::metrics::render();
        let count = "db_client_connection_wait_time_seconds_count ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(count).map(str::to_owned));
        count.unwrap().parse::<u32>().unwrap()
    };
    let before = waits();

    for _ in 0..3 {
        sqlx::query("select 1").execute(&database).await.unwrap();
    }

    assert_eq!(waits() - before, 3);
}

#[tokio::test]
async fn the_debug_text_of_pools_names_the_database_and_not_the_password() {
    let server = testkit::database("debug").await;
    let credentials = server.url().split(['/', '@']).nth(2).unwrap();
    let (_, password) = credentials.split_once(':').unwrap();

    let text = format!("{:?}", connect(&settings(server.url())).await);

    assert!(text.contains(server.name()), "{text}");
    assert!(!text.contains(password), "{text}");
}

/// A pool of one connection.
async fn lone(server: &TestDatabase, idle_in_transaction_timeout: Duration) -> Database {
    let pool_size = NonZero::<u32>::MIN;
    let settings =
        DatabaseSettings { pool_size, idle_in_transaction_timeout, ..settings(server.url()) };
    connect(&settings).await.requests
}
