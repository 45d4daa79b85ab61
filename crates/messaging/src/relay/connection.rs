//! A connection of the pool that is closed when what it was taken for does not end well: what it was
//! in the middle of is undone by the database, and one that hangs leaves the pool.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use database::Database;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
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

/// A connection, until [`Connection::release`] gives it back.
pub(super) struct Connection {
    connection: PoolConnection<Postgres>,
    is_released: bool,
}

impl Connection {
    pub(super) async fn take(database: &Database) -> Result<Self, DatabaseError> {
        let connection = answered(database.pool().acquire()).await?;
        Ok(Self { connection, is_released: false })
    }

    /// Gives the connection back to the pool: it is idle, and in no transaction.
    pub(super) fn release(mut self) {
        self.is_released = true;
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.is_released {
            self.connection.close_on_drop();
        }
    }
}

/// Waits for an answer of the database, but not for ever.
pub(super) async fn answered<T>(
    asking: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DatabaseError> {
    Ok(timeout(ANSWER_TIMEOUT, asking).await.map_err(|_| DatabaseError::NoAnswer)??)
}
