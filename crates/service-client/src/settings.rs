//! The settings of calls, put together from the sections that say them.

use std::time::Duration;

use resilience::breaker::CircuitBreakerSettings;
use resilience::retry::RetrySettings;

/// How calls to one service are guarded.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// `[circuit_breaker]` of `microservices.tsk`.
    pub circuit_breaker: CircuitBreakerSettings,
    /// `[retry]` of `microservices.tsk`.
    pub retry: RetrySettings,
    /// Longest time for one attempt; what is left of the call's deadline when that is shorter.
    pub attempt_timeout: Duration,
}

impl ClientSettings {
    /// The sections of `microservices.tsk`, with two seconds for an attempt.
    pub fn new(circuit_breaker: &CircuitBreakerSettings, retry: &RetrySettings) -> Self {
        Self {
            circuit_breaker: circuit_breaker.clone(),
            retry: retry.clone(),
            attempt_timeout: Duration::from_secs(2),
        }
    }
}
