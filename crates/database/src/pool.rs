//! The pool, which is open before there is load, and migrations at start-up.

use std::str::FromStr;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use telemetry::metrics::{at_scrape, gauge, whole};
use tokio::time::timeout;
use tracing::log::LevelFilter;

use crate::{Database, DatabaseSettings, is_unavailable, kind};

/// How long start-up waits for the database before it gives up.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two attempts at start-up.
const START_PAUSE: Duration = Duration::from_millis(500);

/// How long a connection that comes back to the pool may take to answer. One that was given up in the
/// middle of a statement may never do so, and would keep its place in the pool for good.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the server keeps a transaction in which nothing happens: its client is gone, and others
/// wait for its locks. Work in a transaction is statements and nothing else, milliseconds apart.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// `[database] url` is no PostgreSQL address. The address itself is a secret and not shown.
    #[error("[database] url is not a PostgreSQL address (postgres://user:password@host/database)")]
    Url,
    /// The server did not answer within a minute.
    #[error("the database cannot be reached: {}", kind(.0))]
    Away(sqlx::Error),
}

/// A pool that opens nothing before it is used: for whoever has to have one to look at.
///
/// # Errors
/// A bad address.
pub fn unopened(settings: &DatabaseSettings) -> Result<Database, DatabaseError> {
    Ok(PgPool::connect_lazy_with(options(settings)?).into())
}

/// Opens the pool with all its connections, waiting up to a minute for a database that is still
/// starting.
///
/// # Errors
/// A bad address at once; an absent database after the wait.
pub async fn connect(settings: &DatabaseSettings) -> Result<Database, DatabaseError> {
    let options = options(settings)?;
    let database = options.get_database().unwrap_or(options.get_username());
    telemetry::statements::set_database(options.get_host(), options.get_port(), database);
    let pool = PgPoolOptions::new()
        .max_connections(settings.pool_size.get())
        .acquire_timeout(settings.checkout_timeout)
        .idle_timeout(settings.reaping_frequency)
        // Telemetry makes a metric of it.
        .acquire_time_level(LevelFilter::Debug)
        // A ping before each use costs a tenth of the throughput; a dead connection shows itself.
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(limit_idle_transactions(connection)))
        .after_release(|connection, _| Box::pin(answers(connection)))
        .connect_lazy_with(options);
    show(&pool, settings.pool_size.get());
    let deadline = tokio::time::Instant::now() + START_TIMEOUT;
    let _first = loop {
        let opened = timeout(settings.pool_timeout, pool.acquire()).await;
        match opened.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(first) => break first,
            Err(error) if tokio::time::Instant::now() >= deadline || !is_unavailable(&error) => {
                return Err(DatabaseError::Away(error));
            }
            Err(error) => tracing::warn!(error.kind = kind(&error), "waiting for the database"),
        }
        tokio::time::sleep(START_PAUSE).await;
    };
    open(&pool, settings.pool_size.get() - 1).await;
    Ok(pool.into())
}

fn options(settings: &DatabaseSettings) -> Result<PgConnectOptions, DatabaseError> {
    let options = PgConnectOptions::from_str(settings.url.expose());
    let options = options.map_err(|_| DatabaseError::Url)?.log_statements(LevelFilter::Trace);
    Ok(options.log_slow_statements(LevelFilter::Warn, settings.slow_query))
}

/// A statement, not a parameter of the start: poolers in between refuse that.
async fn limit_idle_transactions(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let millis = IDLE_IN_TRANSACTION_TIMEOUT.as_millis().to_string();
    sqlx::query("select set_config('idle_in_transaction_session_timeout', $1, false)")
        .bind(millis)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether a connection can be used again; an error has it closed without a farewell.
async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let silent = |_| sqlx::Error::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    timeout(RELEASE_TIMEOUT, connection.ping()).await.map_err(silent)??;
    Ok(true)
}

/// `db_client_connections{db_client_connection_state}` and `db_client_connection_max`.
fn show(pool: &PgPool, size: u32) {
    let help = "Connections to the database, by state: idle or used.";
    let count = gauge("db_client_connections", help, &["db_client_connection_state"]);
    let none: &[&str] = &[];
    let max = gauge("db_client_connection_max", "Connections that there may be at most.", &[]);
    max.with_label_values(none).set(size.into());
    let pool = pool.clone();
    at_scrape(move || {
        let (all, idle) = (i64::from(pool.size()), whole(pool.num_idle()));
        count.with_label_values(&["idle"]).set(idle);
        // The two are read one after the other.
        count.with_label_values(&["used"]).set((all - idle).max(0));
    });
}

/// Opens `others` connections more at once, before there is load. Under load it takes seconds:
/// proving the password (SCRAM) gives way to other tasks some eight hundred times, and meanwhile the
/// request that wanted one more connection waits for just that.
async fn open(pool: &PgPool, others: u32) {
    let opened = join_all((0..others).map(|_| pool.acquire())).await;
    if let Some(error) = opened.into_iter().find_map(Result::err) {
        // Those that are there serve; the others are tried again when they are wanted.
        tracing::warn!(error.kind = kind(&error), "not all connections could be opened");
    }
}

/// Applies the migrations that are missing, under an advisory lock: replicas may start together.
/// Those that it does not know are a newer version's: where that does not serve, a deployment goes
/// back to this one, which then has to start.
///
/// # Errors
/// A migration that fails, or one that was changed after it was applied.
pub async fn migrate(database: &Database, mut migrations: Migrator) -> Result<(), MigrateError> {
    migrations.set_ignore_missing(true).run(database.pool()).await
}
