//! What in `[circuit_breaker]`, `[retry]` and `[client]` cannot work, or would quietly count as
//! something else.

use std::time::Duration;

use resilience::breaker::CircuitBreakerSettings;
use resilience::retry::RetrySettings;
use tusk_config::ValidationError;

use super::{Bounds, ClientSettings};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);
/// The most calls, connections or attempts of a setting.
const COUNT_MAX: usize = 65_535;

impl ClientSettings {
    /// What cannot work. Opens nothing.
    pub fn check(&self) -> Vec<ValidationError> {
        let parts = [breaker(&self.circuit_breaker), retry(&self.retry), client(&self.client)];
        parts.into_iter().flatten().collect()
    }
}

fn breaker(breaker: &CircuitBreakerSettings) -> Vec<ValidationError> {
    let at = |key: &str| format!("circuit_breaker.{key}");
    let count = |key, value| ValidationError::outside(at(key), value, 1..=1_000_000);
    let share = |key, value| ValidationError::outside(at(key), value, 0.0..=1.0);
    let is_slow_watched = breaker.slow_call_ratio > 0.0;
    let all = [
        count("failure_threshold", breaker.failure_threshold),
        ValidationError::outside(
            at("half_open_max_calls"),
            breaker.half_open_max_calls,
            1..=65_535,
        ),
        count("minimum_calls", breaker.minimum_calls),
        share("failure_ratio", breaker.failure_ratio),
        share("slow_call_ratio", breaker.slow_call_ratio),
        ValidationError::outside(at("timeout"), breaker.timeout, MILLISECOND..=24 * HOUR),
        ValidationError::outside(at("window"), breaker.window, 10 * MILLISECOND..=HOUR),
        ValidationError::outside(
            at("initial_timeout"),
            breaker.initial_timeout,
            MILLISECOND..=24 * HOUR,
        ),
        ValidationError::unless(
            !is_slow_watched || !breaker.slow_call_duration.is_zero(),
            at("slow_call_duration"),
            "every call would be slow, and slow_call_ratio is on",
        ),
    ];
    all.into_iter().flatten().collect()
}

fn retry(retry: &RetrySettings) -> Vec<ValidationError> {
    let at = |key: &str| format!("retry.{key}");
    let all = [
        ValidationError::outside(at("max_attempts"), retry.max_attempts, 1..=100),
        ValidationError::outside(at("backoff_multiplier"), retry.backoff_multiplier, 1.0..=100.0),
        ValidationError::outside(at("max_backoff"), retry.max_backoff, MILLISECOND..=HOUR),
        ValidationError::outside(at("initial_backoff"), retry.initial_backoff, MILLISECOND..=HOUR),
        ValidationError::unless(
            retry.initial_backoff <= retry.max_backoff,
            at("initial_backoff"),
            "it is longer than max_backoff, which bounds every delay",
        ),
        ValidationError::outside(at("budget_ratio"), retry.budget_ratio, 0.0..=1.0),
        ValidationError::outside(at("budget_per_second"), retry.budget_per_second, 0.0..=1_000.0),
    ];
    all.into_iter().flatten().collect()
}

fn client(client: &Bounds) -> Vec<ValidationError> {
    let at = |key: &str| format!("client.{key}");
    let all = [
        ValidationError::outside(at("attempt_timeout"), client.attempt_timeout, MILLISECOND..=HOUR),
        ValidationError::outside(at("concurrency_limit"), client.concurrency_limit, 1..=COUNT_MAX),
        ValidationError::outside(at("connect_timeout"), client.connect_timeout, MILLISECOND..=HOUR),
        ValidationError::outside(
            at("idle_connections_max"),
            client.idle_connections_max,
            0..=COUNT_MAX,
        ),
        ValidationError::outside(at("idle_timeout"), client.idle_timeout, MILLISECOND..=HOUR),
        ValidationError::outside(at("answer_bytes_max"), client.answer_bytes_max, 1_024..=1 << 30),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use tusk_config::{Loader, Vars};

    use super::*;

    /// The keys that are told when `path` has this value in the shipped file.
    fn reported(path: &str, value: &str) -> Vec<String> {
        let text = include_str!("../../../../config/microservices.tsk");
        let loader = Loader::new("").text("microservices.tsk", text).vars(Vars::empty());
        let settings: ClientSettings = loader.set(path, value).load().unwrap();
        settings.check().iter().map(|error| error.path().to_owned()).collect()
    }

    #[test]
    fn a_value_that_cannot_work_is_reported_at_its_key() {
        for (path, value) in [
            ("circuit_breaker.failure_threshold", "0"),
            ("circuit_breaker.timeout", "\"0s\""),
            ("circuit_breaker.half_open_max_calls", "0"),
            ("circuit_breaker.half_open_max_calls", "65536"),
            ("circuit_breaker.initial_timeout", "\"0s\""),
            ("circuit_breaker.failure_ratio", "1.5"),
            ("circuit_breaker.failure_ratio", "-0.1"),
            ("circuit_breaker.window", "\"9ms\""),
            ("circuit_breaker.minimum_calls", "0"),
            ("circuit_breaker.slow_call_ratio", "2"),
            ("retry.max_attempts", "0"),
            ("retry.backoff_multiplier", "0.5"),
            ("retry.backoff_multiplier", "-1"),
            ("retry.max_backoff", "\"50ms\""),
            ("retry.initial_backoff", "\"0s\""),
            ("retry.budget_ratio", "-1"),
            ("retry.budget_ratio", "10"),
            ("retry.budget_per_second", "-1"),
            ("client.attempt_timeout", "\"0s\""),
            ("client.concurrency_limit", "0"),
            ("client.concurrency_limit", "65536"),
            ("client.connect_timeout", "\"0s\""),
            ("client.idle_connections_max", "65536"),
            ("client.idle_timeout", "\"0s\""),
            ("client.answer_bytes_max", "0"),
        ] {
            // A ceiling below the first delay is told where the first delay stands.
            let place = if path == "retry.max_backoff" { "retry.initial_backoff" } else { path };
            assert_eq!(reported(path, value), [place], "{path}: {value}");
        }
    }

    #[test]
    fn a_ratio_of_slow_calls_needs_a_time_from_which_on_a_call_is_slow() {
        let text = include_str!("../../../../config/microservices.tsk");
        let loader = Loader::new("").text("microservices.tsk", text).vars(Vars::empty());
        let loader = loader.set("circuit_breaker.slow_call_duration", "0");
        let settings: ClientSettings =
            loader.set("circuit_breaker.slow_call_ratio", "0.5").load().unwrap();
        let paths: Vec<_> = settings.check();
        assert_eq!(
            paths.first().map(ValidationError::path),
            Some("circuit_breaker.slow_call_duration")
        );
    }

    #[test]
    fn the_shipped_values_and_a_switch_that_is_off_are_not_reported() {
        for (path, value) in [
            ("circuit_breaker.failure_ratio", "0"),
            ("retry.budget_per_second", "0"),
            ("client.idle_connections_max", "0"),
        ] {
            assert!(reported(path, value).is_empty(), "{path}: {value}");
        }
    }
}
