//! Migrations at start-up: by one process at a time, without holding up those that serve, and gone
//! without a trace when the process ends in the middle.

use std::future::Future;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Connection, PgConnection, Row};
use tokio::time::{Instant, sleep, timeout};

use crate::pool::PooledConnection;
use crate::session::Session;
use crate::target::{Target, cause};
use crate::{Database, DatabaseError};

/// The advisory lock of whoever migrates: the letters `migr`, and which lock it is.
const LOCK: &str = "1835624306, 1";
/// Delay between two looks whether another process has done.
const LOCK_DELAY: Duration = Duration::from_millis(500);
/// Delay after which a migration that could not lock a table tries again: what queued behind it is
/// served meanwhile.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Longest time for what is answered at once: a connection, a look at the lock.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a start that waits says so.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Why an attempt did not migrate.
enum Failure {
    /// Another process migrates.
    Locked,
    Failed(MigrateError),
    /// Behind a pooler, a migration that must not run in a transaction.
    OutsideOfTransaction(i64),
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        Self::Failed(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Applies the migrations that are missing, while other processes that start wait: an advisory lock
/// is asked for and not waited for, since a waiting statement would hold up `create index
/// concurrently`. One that has to wait too long for the lock of a table is undone and tried again.
///
/// A process that ends in the middle leaves nothing: the connection is its own, so that the server
/// ends the transaction and the advisory lock with it. Those that are applied and unknown are a newer
/// version's: where that does not serve, a deployment goes back to this one, which then has to start.
///
/// # Errors
/// A migration that fails, or one that was changed after it was applied; locks that are not free
/// within `migration_wait`; behind a pooler, a migration that must not run in a transaction.
pub async fn migrate(database: &Database, mut migrations: Migrator) -> Result<(), DatabaseError> {
    migrations.set_ignore_missing(true).set_locking(false);
    let options = database.options();
    let session = database.session();
    let target = Target::from(options);
    let fault = |why: String| DatabaseError::Refused { target: target.clone(), why };
    let begun = Instant::now();
    let mut logged: Option<Instant> = None;
    loop {
        let mut connection = match answered(PgConnection::connect_with(options)).await {
            // The server gives no more: one of the pool's own does as well, and is opened anew later.
            Err(error) if is_full(&error) => database.acquire().await.map(PooledConnection::detach),
            opened => opened,
        }
        .map_err(|error| fault(cause(&error)))?;
        let attempt = if session.is_pooled() {
            in_one_transaction(session, &mut connection, &migrations).await
        } else {
            one_by_one(session, &mut connection, &migrations).await
        };
        let _server_ends_it = connection.close().await;
        let (why, delay) = match attempt {
            Ok(()) => return Ok(()),
            Err(Failure::Locked) => ("another process migrates the database", LOCK_DELAY),
            Err(Failure::Failed(error)) if is_lock_timeout(&error) => {
                ("a migration waits for a lock that others hold", RETRY_DELAY)
            }
            Err(Failure::Failed(error)) => return Err(fault(text(&error))),
            Err(Failure::OutsideOfTransaction(version)) => {
                return Err(fault(format!(
                    "migration {version} is to run outside of a transaction, which a pooler in \
                     transaction mode cannot: apply it over an address of the server itself"
                )));
            }
        };
        if begun.elapsed() >= session.migration_wait {
            let waited = session.migration_wait;
            return Err(fault(format!(
                "{why}, for longer than [database] migration_wait, {waited:?}"
            )));
        }
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            logged = Some(Instant::now());
            tracing::info!(waited_seconds = begun.elapsed().as_secs(), "waiting: {why}");
        }
        sleep(delay).await;
    }
}

/// A transaction for each, as long as the session has the lock.
async fn one_by_one(
    session: &Session,
    connection: &mut PgConnection,
    migrations: &Migrator,
) -> Result<(), Failure> {
    session.limit_migrations(connection).await?;
    take(connection, "pg_try_advisory_lock").await?;
    Ok(migrations.run_direct(None, connection, false).await?)
}

/// One transaction for all, which has the lock.
async fn in_one_transaction(
    session: &Session,
    connection: &mut PgConnection,
    migrations: &Migrator,
) -> Result<(), Failure> {
    let mut tx = session.begin_migrations(connection).await?;
    take(&mut tx, "pg_try_advisory_xact_lock").await?;
    tx.ensure_migrations_table(&migrations.table_name).await?;
    let applied = tx.list_applied_migrations(&migrations.table_name).await?;
    let is_applied = |version| applied.iter().any(|migration| migration.version == version);
    let mut outside = migrations.iter().filter(|migration| migration.no_tx);
    if let Some(migration) = outside.find(|migration| !is_applied(migration.version)) {
        return Err(Failure::OutsideOfTransaction(migration.version));
    }
    migrations.run_direct(None, &mut *tx, false).await?;
    Ok(tx.commit().await?)
}

async fn take(connection: &mut PgConnection, function: &str) -> Result<(), Failure> {
    let asking = sqlx::AssertSqlSafe(format!("select {function}({LOCK})::text"));
    let taken = answered(sqlx::raw_sql(asking).fetch_one(connection)).await?;
    let is_taken = taken.try_get::<String, _>(0)? == "true";
    is_taken.then_some(()).ok_or(Failure::Locked)
}

/// Waits for what is answered at once, unless the other end has vanished.
async fn answered<T>(
    asking: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let silent = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(silent)
}

/// Whether server, database or role have as many connections as they may.
fn is_full(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "53300")
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    crate::kind(error) == crate::fault::LOCK_TIMED_OUT
}

fn text(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) => format!("migrating failed: {}", cause(error)),
        MigrateError::ExecuteMigration(error, version) => {
            format!("migration {version} failed: {}", cause(error))
        }
        other => other.to_string(),
    }
}
