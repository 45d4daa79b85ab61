//! A real `PgBouncer` between service and server.

use std::sync::atomic::{AtomicU32, Ordering};

use database::{Condition, Database, DatabaseSettings, FutureExt as _, Pools};
use futures_util::future::{join_all, try_join_all};
use testkit::TestDatabase;
use testkit::native::{PgBouncer, ServerOptions};

use crate::{connect, migrations, settings};

/// Sessions of the server: fewer than there are connections to the pooler.
const SESSIONS: &str = "default_pool_size = 2";

struct World {
    settings: DatabaseSettings,
    server: TestDatabase,
    _pooler: PgBouncer,
}

impl World {
    /// With these lines in `[pgbouncer]`.
    async fn new(hint: &str, more: &str) -> Self {
        let server = testkit::database(hint).await;
        let options = ServerOptions::temporary().unwrap();
        let users = [server.credentials()];
        let pooler = PgBouncer::start(&options, server.server_port(), &users, more).unwrap();
        let url = server.url_through(([127, 0, 0, 1], pooler.port()).into());
        let settings = DatabaseSettings { transaction_pooling: true, ..settings(&url) };
        Self { settings, server, _pooler: pooler }
    }

    /// A process that starts.
    async fn replica(&self) -> Pools {
        let pools = connect(&self.settings).await;
        database::migrate(&pools.background, migrations::things()).await.unwrap();
        pools
    }
}

/// Adds a thing in a transaction of two statements; gives how many there are then.
async fn add(database: &Database, id: i64) -> Result<i64, sqlx::Error> {
    database
        .transaction(|tx| {
            async move {
                sqlx::query("insert into things values ($1)").bind(id).execute(&mut *tx).await?;
                sqlx::query_scalar("select count(*) from things where id <= $1")
                    .bind(i64::MAX)
                    .fetch_one(tx)
                    .await
            }
            .scope_boxed()
        })
        .await
}

#[tokio::test]
async fn without_the_setting_the_start_is_refused_and_says_which_one() {
    for more in ["", "ignore_startup_parameters = extra_float_digits"] {
        let mut world = World::new("unset", more).await;
        world.settings.transaction_pooling = false;

        let error = database::connect(&world.settings).await.unwrap_err().to_string();

        let setting = "set [database] transaction_pooling to true";
        assert!(error.contains(setting), "{more}: {error}");
    }
}

#[tokio::test]
async fn a_pooler_in_session_mode_is_like_the_server_itself() {
    let more = "pool_mode = session\nignore_startup_parameters = extra_float_digits";
    let mut world = World::new("session", more).await;
    world.settings.transaction_pooling = false;

    let pools = world.replica().await;

    try_join_all((0..10).map(|id| add(&pools.requests, id))).await.unwrap();
    let error = sqlx::query("select pg_sleep(60)").execute(&pools.background).await.unwrap_err();
    assert_eq!(database::kind(&error), "statement timed out");
}

#[tokio::test]
async fn two_processes_share_few_sessions_and_each_statement_has_its_own_effect() {
    let world = World::new("shared", SESSIONS).await;
    let replicas = join_all((0..2).map(|_| world.replica())).await;
    let of = |id: i64| &replicas[usize::try_from(id % 2).unwrap()];

    let added = (0..100).map(|id| add(&of(id).requests, id));
    try_join_all(added).await.unwrap();
    // Statements of other words on the same sessions at the same time, each in a transaction of its own.
    let updated = (0..100_i64).map(async |id| -> Result<i64, sqlx::Error> {
        let database = &of(id).background;
        let update = sqlx::query("update things set id = id + $2 where id = $1");
        update.bind(id).bind(1000_i64).execute(database).await?;
        let read = sqlx::query_scalar("select id - $2 from things where id = $1 + $2");
        read.bind(id).bind(1000_i64).fetch_one(database).await
    });

    assert_eq!(try_join_all(updated).await.unwrap(), (0..100).collect::<Vec<_>>());
    assert_eq!(replicas[0].probe.check().await.unwrap(), Condition::Ready);
}

#[tokio::test]
async fn limits_go_along_with_each_statement_and_stay_with_no_session() {
    let world = World::new("limits", SESSIONS).await;
    let pools = world.replica().await;
    let database = &pools.requests;

    let error = sqlx::query("select pg_sleep(60)").execute(database).await.unwrap_err();
    assert_eq!(database::kind(&error), "statement timed out");

    let sessions = "select count(*) from pg_stat_activity where datname = current_database()";
    let sessions: i64 = sqlx::query_scalar(sessions).fetch_one(database).await.unwrap();
    assert!(sessions <= 2, "{sessions}");
    // A transaction of somebody who sets nothing, on the same sessions.
    let mut other = database.acquire().await.unwrap();
    let limit = sqlx::raw_sql("show statement_timeout").fetch_one(&mut *other).await.unwrap();
    assert_eq!(sqlx::Row::get::<String, _>(&limit, 0), "0");
}

#[tokio::test]
async fn work_that_fails_or_is_given_up_leaves_nothing_behind_for_the_next_one() {
    let world = World::new("failing", "default_pool_size = 1").await;
    let pools = world.replica().await;
    let database = &pools.requests;
    for id in 0..3 {
        let failed = sqlx::query("select 1 / $1").bind(0).execute(database).await;
        assert_eq!(database::kind(&failed.unwrap_err()), "database");
        // Given up in the middle of its transaction.
        let given_up = database.transaction(|tx| {
            async move {
                let insert = sqlx::query("insert into things values ($1)");
                insert.bind(-1_i64).execute(&mut *tx).await?;
                sqlx::query("select pg_sleep(60)").execute(tx).await
            }
            .scope_boxed()
        });
        let patience = std::time::Duration::from_millis(100);
        assert!(tokio::time::timeout(patience, given_up).await.is_err());
        assert_eq!(add(database, id).await.unwrap(), id + 1);
    }
}

#[tokio::test]
async fn statements_and_transactions_go_on_after_a_column_has_another_type() {
    let world = World::new("altered", SESSIONS).await;
    let pools = world.replica().await;
    let owner = world.server.pool().await;
    let counted = AtomicU32::new(0);
    for kind in ["int", "numeric(10)", "bigint"] {
        for id in 0..5 {
            add(&pools.requests, id).await.unwrap();
            let read = sqlx::query("select id from things limit 1").fetch_one(&pools.background);
            read.await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
        }
        let alter = format!("alter table things alter column id type {kind}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(alter)).execute(&owner).await.unwrap();
    }
    assert_eq!(counted.into_inner(), 15);
}

#[tokio::test]
async fn a_process_that_ends_in_the_middle_of_a_migration_leaves_no_lock_and_no_half_of_it() {
    let world = World::new("middle", SESSIONS).await;
    let pools = connect(&world.settings).await;

    migrations::ends_in_the_middle(&pools.background, &world.server.pool().await).await;
}

#[tokio::test]
async fn a_migration_outside_of_a_transaction_is_refused_until_it_has_been_applied_elsewhere() {
    let world = World::new("concurrently", SESSIONS).await;
    let pools = world.replica().await;
    let thing = ("create table things (id bigint)", false);
    let migrations = || migrations::of([thing, ("create index concurrently on things (id)", true)]);

    let error = database::migrate(&pools.background, migrations()).await.unwrap_err().to_string();

    assert!(error.contains("migration 2 is to run outside of a transaction"), "{error}");
    let direct = connect(&settings(world.server.url())).await;
    database::migrate(&direct.background, migrations()).await.unwrap();
    database::migrate(&pools.background, migrations()).await.unwrap();
}

#[tokio::test]
async fn a_pooler_that_allows_no_transactions_is_refused_with_what_it_said() {
    let world = World::new("statement", "pool_mode = statement").await;
    let pools = connect(&world.settings).await;

    let error = database::migrate(&pools.background, migrations::things()).await.unwrap_err();

    let error = error.to_string();
    assert!(error.contains("statement pooling mode"), "{error}");
}
