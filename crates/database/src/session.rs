//! How statements and transactions reach the server, and the limits that it keeps for them: over
//! connections of our own, or through a pooler in transaction mode.
//!
//! | | own connections | through a pooler |
//! |---|---|---|
//! | a connection is | one session of the server | any session, another one for each transaction |
//! | limits | `set`, once for each connection | `set local`, in each transaction |
//! | prepared statements | kept | of one transaction |
//! | a lone statement | as it is | in a transaction of its own |
//! | migrations | a transaction each, under a lock of the session | one transaction for all |

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, SqlSafeStr, SqlStr, Transaction};

use crate::DatabaseSettings;

/// How often the server looks whether the client of a running statement is still there. A process
/// that is killed in the middle of a migration leaves its locks after that time.
const CLIENT_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The version from which on it can look.
const CLIENT_CHECK_SINCE: u32 = 140_000;

/// What is the same for all connections of a [`Database`](crate::Database).
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Behind a pooler: the statements that begin a transaction.
    begin: Option<SqlStr>,
    /// The statements that give a connection of our own its limits.
    limit: Option<SqlStr>,
    pub(crate) migration_lock_timeout: Duration,
    pub(crate) migration_wait: Duration,
}

impl Default for Session {
    /// That of a pool which somebody else has made, with whatever limits the server has for it.
    fn default() -> Self {
        Self {
            begin: None,
            limit: None,
            migration_lock_timeout: Duration::from_secs(2),
            migration_wait: Duration::from_mins(5),
        }
    }
}

impl Session {
    pub(crate) fn new(settings: &DatabaseSettings) -> Self {
        let limits = |set: &str| {
            let limits = [
                ("statement_timeout", settings.statement_timeout),
                ("lock_timeout", settings.lock_timeout),
                ("idle_in_transaction_session_timeout", settings.idle_in_transaction_timeout),
            ];
            let limits =
                limits.map(|(name, limit)| format!("{set} {name} = {}", limit.as_millis()));
            limits.join("; ")
        };
        let is_pooled = settings.transaction_pooling;
        Self {
            begin: is_pooled.then(|| pooled_begin(&limits("set local"))),
            limit: (!is_pooled).then(|| sql(limits("set"))),
            migration_lock_timeout: settings.migration_lock_timeout,
            migration_wait: settings.migration_wait,
        }
    }

    pub(crate) fn is_pooled(&self) -> bool {
        self.begin.is_some()
    }

    /// What a pooler in between lets through: it refuses parameters of the start that it does not
    /// know, and a statement that is kept is not there in the next session.
    pub(crate) fn options(&self, options: PgConnectOptions) -> PgConnectOptions {
        if self.is_pooled() {
            return options.extra_float_digits(None).statement_cache_capacity(0);
        }
        options
    }

    /// Gives a new connection its limits. By statements, since poolers in between refuse options of
    /// the start, and by simple ones, which need no prepared statement.
    pub(crate) async fn limit(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let Some(limit) = self.limit.clone() else { return Ok(()) };
        sqlx::raw_sql(limit).execute(&mut *connection).await?;
        watch_client(connection, "set").await
    }

    /// The statements that begin a transaction, with its limits.
    pub(crate) fn begin_statement(&self) -> SqlStr {
        self.begin.clone().unwrap_or_else(|| "begin".into_sql_str())
    }

    pub(crate) async fn begin<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, sqlx::Error> {
        connection.begin_with(self.begin_statement()).await
    }

    /// Begins the one transaction of all migrations, without limits of its statements.
    pub(crate) async fn begin_migrations<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, sqlx::Error> {
        let limits = format!(
            "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0; \
             set local lock_timeout = {}",
            self.migration_lock_timeout.as_millis()
        );
        let mut tx = connection.begin_with(pooled_begin(&limits)).await?;
        watch_client(&mut tx, "set local").await?;
        Ok(tx)
    }

    /// Gives a connection of our own the limits of migrations.
    pub(crate) async fn limit_migrations(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        let millis = self.migration_lock_timeout.as_millis();
        let limits = format!("set statement_timeout = 0; set lock_timeout = {millis}");
        sqlx::raw_sql(sql(limits)).execute(&mut *connection).await?;
        watch_client(connection, "set").await
    }
}

/// Has the server end what runs on a connection soon after its client is gone.
async fn watch_client(connection: &mut PgConnection, set: &str) -> Result<(), sqlx::Error> {
    if connection.server_version_num().is_none_or(|version| version < CLIENT_CHECK_SINCE) {
        return Ok(());
    }
    let millis = CLIENT_CHECK_INTERVAL.as_millis();
    let watch = format!("{set} client_connection_check_interval = {millis}");
    match sqlx::raw_sql(sql(watch)).execute(connection).await {
        // A server whose system cannot tell it (invalid_parameter_value): the limits are left.
        Err(error) if set == "set" && is_code(&error, "22023") => Ok(()),
        watched => watched.map(drop),
    }
}

fn is_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|c| c == code)
}

/// Begins a transaction on whatever session the pooler gives. sqlx names prepared statements by a
/// number of the connection, and another connection may have left its own behind in this session,
/// however its transaction ended: so they go first, in the same way to the server and back.
fn pooled_begin(limits: &str) -> SqlStr {
    sql(format!("begin; deallocate all; {limits}"))
}

/// Made of words of ours and numbers.
fn sql(text: String) -> SqlStr {
    AssertSqlSafe(text).into_sql_str()
}
