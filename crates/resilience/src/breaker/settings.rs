//! When a breaker opens, for how long, and what closes it.

use std::time::Duration;

use serde::Deserialize;

/// Section `[circuit_breaker]` of `microservices.tsk`.
///
/// The first three are enough. A ratio is off unless it is set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CircuitBreakerSettings {
    /// Failures in a row that open it; 0 counts as 1.
    pub failure_threshold: u32,
    /// The longest that it stays open before calls try again.
    pub timeout: Duration,
    /// Calls that try, and must all succeed to close it; 0 counts as 1, more than 65,535 as that.
    pub half_open_max_calls: u32,
    /// How long it stays open the first time: most outages are short. Each trial that fails doubles
    /// the ceiling, up to `timeout`, and the time is random in the upper half below the ceiling.
    /// Above `timeout` it counts as that: no growth.
    #[serde(default = "initial_timeout")]
    pub initial_timeout: Duration,
    /// The part of the calls of `window` whose failure opens it, above 0 up to 1; 0 is off.
    #[serde(default)]
    pub failure_ratio: f64,
    /// What the ratios look back on, in ten buckets; below 10 milliseconds counts as that.
    #[serde(default = "window")]
    pub window: Duration,
    /// Calls in `window` without which no ratio opens it; 0 counts as 1.
    #[serde(default = "minimum_calls")]
    pub minimum_calls: u32,
    /// A call that takes this long is slow.
    #[serde(default)]
    pub slow_call_duration: Duration,
    /// The part of the calls of `window` that are slow which opens it, above 0 up to 1; 0 is off.
    /// Where it is on, a slow trial call is a failed one.
    #[serde(default)]
    pub slow_call_ratio: f64,
}

const fn initial_timeout() -> Duration {
    Duration::from_secs(1)
}

const fn window() -> Duration {
    Duration::from_secs(10)
}

const fn minimum_calls() -> u32 {
    20
}

impl Default for CircuitBreakerSettings {
    /// Five failures in a row, from a second up to a minute, three trial calls; no ratios.
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            timeout: Duration::from_secs(60),
            half_open_max_calls: 3,
            initial_timeout: initial_timeout(),
            failure_ratio: 0.0,
            window: window(),
            minimum_calls: minimum_calls(),
            slow_call_duration: Duration::ZERO,
            slow_call_ratio: 0.0,
        }
    }
}
