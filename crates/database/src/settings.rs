//! The settings of `database.tsk`.

use std::num::NonZero;
use std::time::Duration;

use serde::Deserialize;
use tusk_config::Secret;

mod check;

/// Section `[database]`, with the seed's keys (decided in ARCHITECTURE.md).
#[derive(Debug, Clone, Deserialize)]
pub struct DatabaseSettings {
    /// `postgres://user:password@host:port/database`.
    pub url: Secret<String>,
    /// Connections, opened at start.
    pub pool_size: NonZero<u32>,
    /// Longest time to open a connection at start-up.
    pub pool_timeout: Duration,
    /// Longest wait for a free connection.
    pub checkout_timeout: Duration,
    /// Idle time after which a connection is closed.
    pub reaping_frequency: Duration,
    /// A statement that takes as long is logged, without its values; half a second when left out.
    #[serde(default = "slow_query")]
    pub slow_query: Duration,
}

const fn slow_query() -> Duration {
    Duration::from_millis(500)
}
