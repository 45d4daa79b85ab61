//! The pools, which are open before there is load, and what ends a start.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use telemetry::metrics::{at_scrape, gauge, whole};
use tokio::time::{Instant, sleep, timeout};
use tracing::log::LevelFilter;

use crate::fault::begin_to_count;
use crate::pool::{Limits, PooledConnection};
use crate::session::Session;
use crate::target::{Target, cause};
use crate::{Database, DatabaseSettings, Probe, is_unavailable, kind, limit};

/// Delay between two attempts at start-up.
const START_DELAY: Duration = Duration::from_millis(500);
/// How long a new connection may take to tell its session.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// `[database] url` is no PostgreSQL address. The address itself is a secret and not shown.
    #[error("[database] url is not a PostgreSQL address (postgres://user:password@host/database)")]
    Url,
    /// It cannot be reached, signed in to or migrated.
    #[error("{target}: {why}")]
    Refused {
        /// Which database, and as whom.
        target: Target,
        /// What the server or the system said, with its SQLSTATE, and what to do about it.
        why: String,
    },
}

/// A service's connections. Requests and background work have pools of their own, so that a backlog
/// of the one never takes what the other needs.
#[derive(Debug, Clone)]
pub struct Pools {
    /// For what somebody waits for: `pool_size` connections.
    pub requests: Database,
    /// For relay, consumer, workers and sweeps: `background_pool_size` connections.
    pub background: Database,
    /// For health checks: one connection.
    pub probe: Probe,
}

/// A pool that opens nothing before it is used: for whoever has to have one to look at.
///
/// # Errors
/// A bad address.
pub fn unopened(settings: &DatabaseSettings) -> Result<Database, DatabaseError> {
    let session = Session::new(settings);
    let options = session.options(options(settings)?);
    Ok(pool(settings, &session, settings.pool_size.get(), options))
}

/// Opens both pools with all their connections, waiting up to `start_timeout` for a database that is
/// still starting or cannot be found yet.
///
/// # Errors
/// A bad address, credentials or a database that the server does not know, and settings that cannot
/// work with this server, at once; an absent database after the wait.
pub async fn connect(settings: &DatabaseSettings) -> Result<Pools, DatabaseError> {
    let session = Session::new(settings);
    let options = session.options(options(settings)?);
    let database = options.get_database().unwrap_or(options.get_username());
    telemetry::statements::set_database(options.get_host(), options.get_port(), database);
    let mut first = first(&options, settings).await?;

    let pool = |size| pool(settings, &session, size, options.clone());
    let requests = pool(settings.pool_size.get());
    let background = pool(settings.background_pool_size.get());
    begin_to_count();
    show([("requests", &requests), ("background", &background)]);
    let mut opened = open(&requests).await;
    opened.extend(open(&background).await);
    if !settings.transaction_pooling && share_sessions(&mut first, &mut opened).await {
        return Err(refused(
            &options,
            "a pooler in transaction mode stands before the server: set \
                                      [database] transaction_pooling to true",
        ));
    }
    drop(opened);
    let probe = Probe::new(options, first, [requests.clone(), background.clone()]);
    Ok(Pools { requests, background, probe })
}

fn options(settings: &DatabaseSettings) -> Result<PgConnectOptions, DatabaseError> {
    let options = settings.connect_options()?.log_statements(LevelFilter::Trace);
    Ok(options.log_slow_statements(LevelFilter::Warn, settings.slow_query))
}

fn refused(options: &PgConnectOptions, why: impl Display) -> DatabaseError {
    DatabaseError::Refused { target: options.into(), why: why.to_string() }
}

/// The first connection, to a server that has enough of them. Opened by itself, because a pool keeps
/// trying and then says only that its time is over. A connection whose other end has vanished is not
/// waited for: the next one may be well.
async fn first(
    options: &PgConnectOptions,
    settings: &DatabaseSettings,
) -> Result<PgConnection, DatabaseError> {
    let deadline = Instant::now() + settings.start_timeout;
    loop {
        let opening = async {
            let Some(mut connection) = open_writable(options).await? else { return Ok(None) };
            let checked = limit::check(&mut connection, settings, &options.into()).await;
            Ok(Some(checked.map(|()| connection)))
        };
        let why = match timeout(settings.pool_timeout, opening).await {
            Ok(Ok(Some(checked))) => return checked,
            Ok(Ok(None)) => "it is read-only, as a standby is (SQLSTATE 25006)".to_owned(),
            Ok(Err(error)) if is_lasting(&error) => return Err(refused(options, hint(&error))),
            Ok(Err(error)) => cause(&error),
            Err(_) => {
                format!("no answer within [database] pool_timeout, {:?}", settings.pool_timeout)
            }
        };
        if Instant::now() >= deadline {
            return Err(refused(options, why));
        }
        tracing::warn!(database = %Target::from(options), error = why, "waiting for the database");
        sleep(START_DELAY).await;
    }
}

/// A connection, unless nothing can be written there.
async fn open_writable(options: &PgConnectOptions) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let read_only = sqlx::raw_sql("show transaction_read_only").fetch_one(&mut connection).await?;
    let is_writable = read_only.try_get::<String, _>(0)? == "off";
    Ok(is_writable.then_some(connection))
}

/// Whether waiting does not help: the server, or the pooler before it, has understood and refuses.
fn is_lasting(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    !is_unavailable(error) || code.is_some_and(|code| code == "08P01")
}

fn hint(error: &sqlx::Error) -> String {
    let cause = cause(error);
    if cause.contains("startup parameter") {
        return format!(
            "{cause}; if a pooler in transaction mode stands before the server, set [database] \
             transaction_pooling to true"
        );
    }
    cause
}

fn pool(
    settings: &DatabaseSettings,
    session: &Session,
    size_max: u32,
    options: PgConnectOptions,
) -> Database {
    let limits = Limits {
        size_max,
        checkout_timeout: settings.checkout_timeout,
        idle_max: settings.reaping_frequency,
    };
    Database::lazy(options, session.clone(), limits)
}

/// `db_client_connections` and `db_client_connection_max`, of each pool.
fn show(pools: [(&'static str, &Database); 2]) {
    let labels = ["db_client_connection_pool_name", "db_client_connection_state"];
    let help = "Connections to the database, by pool and state: idle or used.";
    let count = gauge("db_client_connections", help, &labels);
    let help = "Connections that there may be at most, by pool.";
    let max = gauge("db_client_connection_max", help, &labels[..1]);
    for (name, pool) in pools {
        let (size_max, ..) = pool.counts();
        max.with_label_values(&[name]).set(whole(size_max));
        let pool = pool.clone();
        let count = count.clone();
        at_scrape(move || {
            let (_, open, idle) = pool.counts();
            count.with_label_values(&[name, "idle"]).set(whole(idle));
            count.with_label_values(&[name, "used"]).set(whole(open - idle));
        });
    }
}

/// Opens all connections of a pool at once, before there is load. Under load it takes seconds:
/// proving the password (SCRAM) gives way to other tasks some eight hundred times, and meanwhile the
/// request that wanted one more connection waits for just that.
async fn open(pool: &Database) -> Vec<PooledConnection> {
    let (size, ..) = pool.counts();
    let opened = join_all((0..size).map(|_| pool.acquire())).await;
    let (opened, failed): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    if let Some(error) = failed.into_iter().find_map(Result::err) {
        // Those that are there serve; the others are tried again when they are wanted.
        let there = opened.len();
        let error = cause(&error);
        tracing::warn!(there, wanted = size, error, "not all connections could be opened");
    }
    opened.into_iter().filter_map(Result::ok).collect()
}

/// Whether two connections that are open at the same time are one session of the server: then what
/// one of them sets, locks or prepares is another one's too.
async fn share_sessions(first: &mut PgConnection, opened: &mut [PooledConnection]) -> bool {
    let mut sessions = BTreeSet::from_iter(session(first).await);
    for connection in opened {
        let Some(session) = session(connection).await else { continue };
        connection.set_idle();
        if !sessions.insert(session) {
            return true;
        }
    }
    false
}

async fn session(connection: &mut PgConnection) -> Option<String> {
    let asking = sqlx::raw_sql("select pg_backend_pid()::text").fetch_one(connection);
    let silent = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    let session = timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(silent);
    let session = session.and_then(|session| session.try_get(0));
    session
        .inspect_err(|error| tracing::debug!(error.kind = kind(error), "a session is unknown"))
        .ok()
}
