//! A connection of the pool that is closed when what it was taken for does not end well: what it was
//! in the middle of is undone by the database, and one that hangs leaves the pool.

use std::future::Future;
use std::time::Duration;

use database::{Database, PooledConnection};
use tokio::time::timeout;

/// The longest that one statement of a relay may take in the database.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest wait for the database's answer: its own limit, and a little for the way.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(STATEMENT_TIMEOUT.as_secs() + 1);

/// Why the database did not do something.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    #[error("{0}")]
    Refused(#[from] sqlx::Error),
    #[error("no answer in time")]
    NoAnswer,
}

/// Takes a connection that is closed unless it is [released](PooledConnection::release).
pub(super) async fn take(database: &Database) -> Result<PooledConnection, DatabaseError> {
    let mut connection = answered(database.acquire()).await?;
    connection.close_on_drop();
    Ok(connection)
}

/// Waits for an answer of the database, but not for ever.
pub(super) async fn answered<T>(
    asking: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DatabaseError> {
    Ok(timeout(ANSWER_TIMEOUT, asking).await.map_err(|_| DatabaseError::NoAnswer)??)
}
