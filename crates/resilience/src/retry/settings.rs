//! How often and how patiently a call is repeated.

use std::time::Duration;

use serde::Deserialize;

use super::budget::BudgetSettings;

/// Section `[retry]` of `microservices.tsk`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RetrySettings {
    /// Attempts in all, the first included; 0 counts as 1.
    pub max_attempts: u32,
    /// How much longer each delay may be than the one before; below 1 counts as 1.
    pub backoff_multiplier: f64,
    /// The longest delay, a `Retry-After` of the target included.
    pub max_backoff: Duration,
    /// The ceiling of the first delay.
    #[serde(default = "initial_backoff")]
    pub initial_backoff: Duration,
    /// Retries that each call earns for all; see [`BudgetSettings::ratio`].
    #[serde(default = "budget_ratio")]
    pub budget_ratio: f64,
    /// Retries that each second gives besides; see [`BudgetSettings::per_second`].
    #[serde(default = "budget_per_second")]
    pub budget_per_second: f64,
}

const fn initial_backoff() -> Duration {
    Duration::from_millis(100)
}

const fn budget_ratio() -> f64 {
    0.1
}

const fn budget_per_second() -> f64 {
    1.0
}

impl RetrySettings {
    /// The budget's part.
    pub fn budget(&self) -> BudgetSettings {
        BudgetSettings { ratio: self.budget_ratio, per_second: self.budget_per_second }
    }
}

impl Default for RetrySettings {
    /// Three attempts, delays up to 100 milliseconds, then 200; one retry per ten calls.
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff_multiplier: 2.0,
            max_backoff: Duration::from_secs(60),
            initial_backoff: initial_backoff(),
            budget_ratio: budget_ratio(),
            budget_per_second: budget_per_second(),
        }
    }
}
