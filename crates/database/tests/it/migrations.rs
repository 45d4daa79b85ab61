//! Migrations while others migrate, hold locks, or end in the middle.

use database::{Database, DatabaseSettings};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{PgPool, SqlSafeStr};
use testkit::{TestDatabase, eventually};

use crate::limits::until_nothing_runs;
use crate::{connect, settings};

const THINGS: &str = "create table things (id bigint)";

/// One migration.
pub(crate) fn things() -> Migrator {
    of([(THINGS, false)])
}

/// Migrations by their statements, and whether each is to run outside of a transaction.
pub(crate) fn of<const N: usize>(statements: [(&'static str, bool); N]) -> Migrator {
    let migration = |(version, (sql, no_tx)): (i64, (&'static str, bool))| {
        let kind = MigrationType::Simple;
        Migration::new(version, "a migration".into(), kind, sql.into_sql_str(), no_tx)
    };
    Migrator::with_migrations((1..).zip(statements).map(migration).collect())
}

/// As a replica that starts.
async fn replica(server: &TestDatabase) -> Database {
    let settings = settings(server.url());
    connect(&DatabaseSettings { pool_size: 1.try_into().unwrap(), ..settings }).await.background
}

#[tokio::test]
async fn replicas_that_start_together_migrate_once_and_none_holds_up_an_index_of_another() {
    let server = testkit::database("together").await;
    let migrations = || {
        of([
            (THINGS, false),
            ("insert into things select generate_series(1, 1000)", false),
            // What a waiting statement would make wait for ever.
            ("create index concurrently on things (id)", true),
        ])
    };
    let replicas = futures_util::future::join_all((0..3).map(|_| replica(&server))).await;

    let migrated = replicas.iter().map(|replica| database::migrate(replica, migrations()));
    futures_util::future::try_join_all(migrated).await.unwrap();

    let things = sqlx::query_scalar("select count(*) from things").fetch_one(&replicas[0]);
    let things: i64 = things.await.unwrap();
    assert_eq!(things, 1000);
}

#[tokio::test]
async fn a_migration_that_waits_for_a_lock_lets_others_pass_and_is_done_once_it_is_free() {
    let server = testkit::database("lock").await;
    let replica = replica(&server).await;
    let other = server.pool().await;
    database::migrate(&replica, things()).await.unwrap();
    let mut reader = other.begin().await.unwrap();
    sqlx::query("select from things").execute(&mut *reader).await.unwrap();

    let alteration = of([(THINGS, false), ("alter table things add column name text", false)]);
    let migrating = tokio::spawn(async move { database::migrate(&replica, alteration).await });
    eventually("the migration has waited and gives the table back", async || {
        has_waited_and_waits_no_more(&other).await.then_some(())
    })
    .await;
    sqlx::query("insert into things values (1)").execute(&other).await.unwrap();
    assert!(!migrating.is_finished());
    reader.rollback().await.unwrap();

    migrating.await.unwrap().unwrap();
    sqlx::query("update things set name = 'one'").execute(&other).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_is_never_free_ends_the_start_with_the_reason() {
    let server = testkit::database("never").await;
    let other = server.pool().await;
    let mut holder = other.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(1835624306, 1)").execute(&mut *holder).await.unwrap();
    let migration_wait = std::time::Duration::from_secs(1);
    let settings = DatabaseSettings { migration_wait, ..settings(server.url()) };
    let replica = connect(&settings).await.background;

    let error = database::migrate(&replica, things()).await.unwrap_err().to_string();

    assert!(error.contains("another process migrates the database, for longer than"), "{error}");
}

#[tokio::test]
async fn a_process_that_ends_in_the_middle_of_a_migration_leaves_no_lock_and_no_half_of_it() {
    let server = testkit::database("middle").await;
    let replica = replica(&server).await;

    ends_in_the_middle(&replica, &server.pool().await).await;
}

/// Begins a migration that takes a minute, gives it up, and migrates again.
pub(crate) async fn ends_in_the_middle(replica: &Database, watcher: &PgPool) {
    let long = of([("create table things (id bigint); select pg_sleep(60)", false)]);
    let ending = replica.clone();
    let migrating = tokio::spawn(async move { database::migrate(&ending, long).await });
    eventually("the migration runs", async || {
        let running = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event = 'PgSleep'";
        let running: i64 = sqlx::query_scalar(running).fetch_one(watcher).await.unwrap();
        (running == 1).then_some(())
    })
    .await;

    // To the server that is what the end of a process is: its connection is closed.
    migrating.abort();
    until_nothing_runs(watcher).await;

    database::migrate(replica, things()).await.unwrap();
    let locks = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                 where locktype = 'advisory' and datname = current_database()";
    eventually("no lock is left", async || {
        let locks: i64 = sqlx::query_scalar(locks).fetch_one(watcher).await.unwrap();
        (locks == 0).then_some(())
    })
    .await;
}

/// Whether a migration has tried at least once and nobody waits for a lock now.
async fn has_waited_and_waits_no_more(other: &PgPool) -> bool {
    let waiting = "select count(*) filter (where not granted) from pg_locks
                   where relation = 'things'::regclass";
    let count = async || -> i64 { sqlx::query_scalar(waiting).fetch_one(other).await.unwrap() };
    eventually("it waits", async || (count().await > 0).then_some(())).await;
    eventually("it gives up", async || (count().await == 0).then_some(())).await;
    true
}
