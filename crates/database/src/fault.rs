//! What a fault of the database means.

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
pub(crate) fn has_lost_a_race(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
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
pub fn safe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => {
            format!("{} ({})", error.message(), error.code().unwrap_or_default())
        }
        other => kind(other).to_owned(),
    }
}
