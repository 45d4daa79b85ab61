//! What a fault of the database means.

use prometheus::IntCounterVec;
use sqlx::error::DatabaseError;
use telemetry::metrics::counter;

/// Whether the fault says that a statement was prepared before the schema changed: the same statement,
/// prepared anew, goes well. Told by the routine of PostgreSQL that refuses it, since messages are
/// translated and the code stands for every feature that is not there.
pub(crate) fn is_outdated(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let error = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
    error.is_some_and(|error| {
        error.code() == "0A000" && error.routine() == Some("RevalidateCachedQuery")
    })
}

/// Whether the transaction lost to another one (a deadlock, or a serialization failure) and would go
/// well the next time.
pub(crate) fn is_concurrency_failure(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| code == "40P01" || code == "40001")
}

/// An error that may be a fault of the database.
pub trait Fault: From<sqlx::Error> {
    /// The fault, if it is one.
    fn database(&self) -> Option<&sqlx::Error>;
}

impl Fault for sqlx::Error {
    fn database(&self) -> Option<&sqlx::Error> {
        Some(self)
    }
}

pub(crate) const LOCK_TIMED_OUT: &str = "lock timed out";
const STATEMENT_TIMED_OUT: &str = "statement timed out";
const IDLE: &str = "idle in transaction";
const LOST: &str = "lost a race";
const NO_CONNECTION: &str = "no connection in time";

/// Whether the fault says that the database cannot do it now, not that the request is wrong: it is
/// away, a limit of time was reached, or another transaction was first. Nothing is kept of what was
/// done, and the work can be tried again unchanged.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Class 57: the operator intervenes, or a statement took too long; 53: out of resources;
        // 40: the transaction lost a race; 08: the connection; the last two: a lock was not had in
        // time, a transaction was left idle.
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["57P", "57014", "53", "40001", "40P01", "08", "55P03", "25P03"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// The kind of a fault, fit for a label: no values, no addresses.
pub fn kind(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Io(_) => "connection",
        sqlx::Error::PoolTimedOut => NO_CONNECTION,
        sqlx::Error::PoolClosed => "pool closed",
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("57014") => STATEMENT_TIMED_OUT,
            Some("55P03") => LOCK_TIMED_OUT,
            Some("25P03") => IDLE,
            Some("40001" | "40P01") => LOST,
            // One session for several connections: see `transaction_pooling`.
            Some("26000" | "42P05") => "prepared statement of another connection",
            _ => "database",
        },
        sqlx::Error::RowNotFound => "row not found",
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => "decode",
        _ => "other",
    }
}

/// A fault's text without values.
pub fn safe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => said(&**error),
        other => kind(other).to_owned(),
    }
}

/// What the server said, without values: PostgreSQL puts those of rows into the detail, not the
/// message, but those that it could not read (class 22) into the message.
pub(crate) fn said(error: &dyn DatabaseError) -> String {
    let code = error.code().unwrap_or_default();
    let message = if code.starts_with("22") { "unfit value" } else { error.message() };
    format!("{message} (SQLSTATE {code})")
}

/// Counts a fault that says that the database could not do it now, by its kind.
pub(crate) fn count_unavailable(error: &sqlx::Error) {
    if is_unavailable(error) {
        unavailable().with_label_values(&[kind(error)]).inc();
    }
}

/// Begins to count, so that the first fault of a kind is seen as one more.
pub(crate) fn begin_to_count() {
    for kind in ["connection", NO_CONNECTION, STATEMENT_TIMED_OUT, LOCK_TIMED_OUT, IDLE, LOST] {
        unavailable().with_label_values(&[kind]).inc_by(0);
    }
}

fn unavailable() -> IntCounterVec {
    let help = "Work that the database could not do at the time, by the kind of fault.";
    counter("database_unavailable_total", help, &["error_type"])
}
