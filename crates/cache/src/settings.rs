//! The settings of `[cache]` in `cache.tsk`.

use std::time::Duration;

use serde::Deserialize;
use tusk_config::Secret;

mod check;

/// Section `[cache]`.
#[derive(Debug, Clone, Deserialize)]
pub struct CacheSettings {
    /// `redis://:password@host:port/database`.
    pub url: Secret<String>,
    /// How long a value is kept when the caller does not say.
    pub ttl: Duration,
}
