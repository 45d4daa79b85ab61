//! PostgreSQL: the pool, migrations at start-up, and which faults mean "away" rather than "wrong".

use std::str::FromStr;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool, Row};
use telemetry::metrics::{at_scrape, gauge, whole};
use tracing::log::LevelFilter;

use crate::{DatabaseSettings, Problem};

/// How long start-up waits for the database before it gives up.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two attempts at start-up.
const START_PAUSE: Duration = Duration::from_millis(500);
/// What a caller is told to wait when the database is away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

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

/// Opens the pool with all its connections, waiting up to a minute for a database that is still
/// starting.
///
/// # Errors
/// A bad address at once; an absent database after the wait.
pub async fn connect(settings: &DatabaseSettings) -> Result<PgPool, DatabaseError> {
    let options = PgConnectOptions::from_str(settings.url.expose())
        .map_err(|_| DatabaseError::Url)?
        .log_statements(LevelFilter::Trace)
        .log_slow_statements(LevelFilter::Warn, settings.slow_query);
    let database = options.get_database().unwrap_or(options.get_username());
    telemetry::statements::go_to(options.get_host(), options.get_port(), database);
    let pool = PgPoolOptions::new()
        .max_connections(settings.pool_size.get())
        .acquire_timeout(settings.checkout_timeout)
        .idle_timeout(settings.reaping_frequency)
        // Telemetry makes a metric of it.
        .acquire_time_level(LevelFilter::Debug)
        // A ping before each use costs a tenth of the throughput; a dead connection shows itself.
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(is_clean(connection)))
        .connect_lazy_with(options);
    show(&pool, settings.pool_size.get());
    let deadline = tokio::time::Instant::now() + START_TIMEOUT;
    let _first = loop {
        let opened = tokio::time::timeout(settings.pool_timeout, pool.acquire()).await;
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
    Ok(pool)
}

/// Whether a connection that comes back to the pool is outside of a transaction; else it is closed.
///
/// sqlx 0.9.0 forgets a `begin` that is dropped before the server has answered, as by a caller who
/// goes: the server has begun, nobody rolls back, and whatever runs on the connection next, reads
/// and writes of others, would be part of that transaction and be lost with it
/// (<https://github.com/transact-rs/sqlx/issues/4393>). To be removed with the release that mends it.
async fn is_clean(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // Within a transaction, now() is the time at which it began; outside, the statement's, which is
    // one time only where it is sent as one message and not prepared.
    let row = sqlx::raw_sql("select now() = statement_timestamp()").fetch_one(connection).await?;
    row.try_get(0)
}

/// `db_client_connection_count{db_client_connection_state}` and `db_client_connection_max`.
fn show(pool: &PgPool, size: u32) {
    let help = "Connections to the database, by state: idle or used.";
    let count = gauge("db_client_connection_count", help, &["db_client_connection_state"]);
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
pub async fn migrate(pool: &PgPool, mut migrations: Migrator) -> Result<(), MigrateError> {
    migrations.set_ignore_missing(true).run(pool).await
}

/// Whether the fault says that the database is away, not that the request is wrong: then the work
/// can be tried again unchanged.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Class 57: the operator intervenes; 53: out of resources; 40: the transaction lost a race;
        // 08: the connection. https://www.postgresql.org/docs/current/errcodes-appendix.html
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["57P", "53", "40001", "40P01", "08"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// The answer to a caller whose request met a database fault. The cause goes to the log only.
pub fn problem(error: &sqlx::Error) -> Problem {
    if is_unavailable(error) {
        tracing::warn!(error.kind = kind(error), "database unavailable");
        return Problem::unavailable("the database is away; try again", RETRY_AFTER);
    }
    tracing::error!(error.kind = kind(error), error = %safe(error), "database fault");
    Problem::internal()
}

/// The kind of a fault, fit for a label: no values, no addresses.
pub fn kind(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Io(_) => "connection",
        sqlx::Error::PoolTimedOut => "pool exhausted",
        sqlx::Error::PoolClosed => "pool closed",
        sqlx::Error::Database(_) => "database",
        sqlx::Error::RowNotFound => "row not found",
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => "decode",
        _ => "other",
    }
}

/// A fault's text without row values: PostgreSQL puts those into the detail, not the message.
fn safe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => {
            format!("{} ({})", error.message(), error.code().unwrap_or_default())
        }
        other => kind(other).to_owned(),
    }
}
