//! The settings of calls: sections of `microservices.tsk`.

use std::time::Duration;

use resilience::breaker::CircuitBreakerSettings;
use resilience::retry::RetrySettings;
use serde::Deserialize;

mod check;

/// How calls to a service are guarded.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ClientSettings {
    /// `[circuit_breaker]`: when a service, or one instance of it, is left alone.
    pub circuit_breaker: CircuitBreakerSettings,
    /// `[retry]`: how a call is repeated, and how much of the load that may be.
    pub retry: RetrySettings,
    /// `[client]`: the bounds of a call.
    #[serde(default)]
    pub client: Bounds,
}

/// Section `[client]`: the bounds of a call.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// Longest time for one attempt; what is left of the call's deadline when that is shorter.
    pub attempt_timeout: Duration,
    /// Attempts of calls to one service in flight at most; more fail at once. It bounds connections
    /// too.
    pub concurrency_limit: usize,
    /// Whether fewer may be in flight, down to a sixteenth, while they take longer than usual.
    pub adaptive_concurrency: bool,
    /// Whether a `GET` that is not answered as soon as nineteen in twenty are is asked of a second
    /// instance as well. The budget of retries pays for it.
    pub hedging: bool,
    /// Longest time to connect to an instance.
    pub connect_timeout: Duration,
    /// Idle connections kept to one instance.
    pub idle_connections_max: usize,
    /// How long an idle connection is kept; less than servers and balancers keep it.
    pub idle_timeout: Duration,
    /// Largest answer that is read, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(2),
            concurrency_limit: 256,
            adaptive_concurrency: true,
            hedging: true,
            connect_timeout: Duration::from_secs(1),
            idle_connections_max: 32,
            idle_timeout: Duration::from_secs(30),
            answer_bytes_max: 1024 * 1024,
        }
    }
}
