//! The settings of `database.tsk`.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use sqlx::postgres::PgSslMode;
use tusk_config::Secret;

mod check;

/// Section `[database]`, in the words that connection pools usually have for it.
#[derive(Debug, Clone, Deserialize)]
pub struct DatabaseSettings {
    /// `postgres://user:password@host:port/database`.
    pub url: Secret<String>,
    /// Whether connections are encrypted, and what of the server's certificate is checked; what the
    /// address says (`?sslmode=…`) when there is none here.
    #[serde(default, deserialize_with = "ssl_mode")]
    pub sslmode: Option<PgSslMode>,
    /// A file with the certificates (PEM) of the authorities to trust besides the public ones; empty for
    /// none, or what the address says (`?sslrootcert=…`).
    #[serde(default)]
    pub tls_ca: PathBuf,
    /// Connections for requests, opened at start.
    pub pool_size: NonZero<u32>,
    /// Connections for background work (relay, consumer, workers, sweeps), opened at start.
    pub background_pool_size: NonZero<u32>,
    /// Longest time to open a connection at start-up.
    pub pool_timeout: Duration,
    /// Longest time that start-up waits for a database that cannot be reached.
    pub start_timeout: Duration,
    /// Longest wait for a free connection.
    pub checkout_timeout: Duration,
    /// Idle time after which a connection is closed.
    pub reaping_frequency: Duration,
    /// A statement that takes as long is logged, without its values.
    pub slow_query: Duration,
    /// The server ends a statement that takes longer. 1 ms to 24 days, and so are the other limits
    /// that it keeps: it knows no limit of 0, which would be none.
    #[serde(deserialize_with = "server_limit")]
    pub statement_timeout: Duration,
    /// The server refuses a statement that waits longer for one lock.
    #[serde(deserialize_with = "server_limit")]
    pub lock_timeout: Duration,
    /// The server ends a transaction in which nothing happens for longer: its client is gone, and
    /// others wait for its locks.
    #[serde(deserialize_with = "server_limit")]
    pub idle_in_transaction_timeout: Duration,
    /// A migration that waits longer for one lock is undone and tried again, so that requests do not
    /// queue behind it.
    #[serde(deserialize_with = "server_limit")]
    pub migration_lock_timeout: Duration,
    /// Longest time that a start waits for such locks, and for another process that migrates.
    pub migration_wait: Duration,
    /// Whether a pooler in transaction mode (`PgBouncer`) stands before the server.
    pub transaction_pooling: bool,
}

impl DatabaseSettings {
    /// The connections of one process: both pools, and the one of health checks.
    pub fn connections(&self) -> u32 {
        let pools = self.pool_size.get().saturating_add(self.background_pool_size.get());
        pools.saturating_add(1)
    }
}

/// The words of libpq; empty for none.
fn ssl_mode<'de, D: Deserializer<'de>>(value: D) -> Result<Option<PgSslMode>, D::Error> {
    let word = String::deserialize(value)?;
    if word.is_empty() {
        return Ok(None);
    }
    let words = "disable, allow, prefer, require, verify-ca or verify-full is needed";
    word.parse().map(Some).map_err(|_| de::Error::custom(words))
}

/// A limit that PostgreSQL keeps in milliseconds, as an `int`.
fn server_limit<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    let limit = Duration::deserialize(value)?;
    let is_limit = (1..=i32::MAX as u128).contains(&limit.as_millis());
    is_limit.then_some(limit).ok_or_else(|| de::Error::custom("a limit is 1ms to 24 days"))
}
