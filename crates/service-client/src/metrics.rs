//! What is counted of calls, by target.
//!
//! | family | tells |
//! |---|---|
//! | `service_calls_total{service, outcome}` | calls ended, all attempts of one counted once; `ok`, or the kind of fault |
//! | `service_call_retries_total{service}` | attempts after one that failed |
//! | `service_call_hedges_total{service}` | second attempts beside a first one that was late |
//! | `service_call_retries_refused_total{service}` | retries that the budget had nothing left for |
//! | `service_call_retry_budget{service}` | whole retries that could be spent now |
//! | `service_calls_in_flight{service}` | attempts in flight |
//! | `service_calls_in_flight_max{service}` | how many there may be now |
//! | `circuit_breaker_state{service}` | 0 closed, 1 half-open, 2 open |
//! | `circuit_breaker_forced{service}` | 1 while an administrator holds it in its state |
//! | `circuit_breaker_transitions_total{service, to}` | changes of that, by the state after |
//!
//! The few calls that get keys and tokens pass by the breaker, with a budget and a limit of their own:
//! the first two count them, the others do not.

use std::sync::LazyLock;

use prometheus::IntCounterVec;
use resilience::breaker::{CircuitBreaker, State, Transition};
use telemetry::metrics::{at_scrape, circuit_breaker_state, counter, gauge, whole};

use crate::Kind;
use crate::guard::SharedBounds;

static CALLS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Calls to a service, by outcome: ok, or the kind of fault.";
    counter("service_calls_total", help, &["service", "outcome"])
});

static RETRIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Attempts of calls to a service after one that failed.";
    counter("service_call_retries_total", help, &["service"])
});

static HEDGES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Attempts of calls to a service beside a first one that was late.";
    counter("service_call_hedges_total", help, &["service"])
});

static TRANSITIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Changes of the circuit breaker to a service, by the state after.";
    counter("circuit_breaker_transitions_total", help, &["service", "to"])
});

pub(crate) fn ended(service: &str, fault: Option<&Kind>) {
    CALLS.with_label_values(&[service, fault.map_or("ok", Kind::label)]).inc();
}

pub(crate) fn retried(service: &str) {
    RETRIES.with_label_values(&[service]).inc();
}

pub(crate) fn hedged(service: &str) {
    HEDGES.with_label_values(&[service]).inc();
}

/// Shows a change of the breaker's state, which the breaker itself logs.
pub(crate) fn transition(change: &Transition) {
    circuit_breaker_state().with_label_values(&[&change.name]).set(change.to as i64);
    if change.to != change.from {
        TRANSITIONS.with_label_values(&[&change.name, label(change.to)]).inc();
    }
}

/// Shows the guards around a service that were made just now.
pub(crate) fn show(service: &str, breaker: &CircuitBreaker, bounds: &SharedBounds) {
    let breaker = breaker.clone();
    let budget = bounds.budget.clone();
    let limit = bounds.limit.clone();
    // A series that is there from the beginning: the first event is an increase too.
    CALLS.with_label_values(&[service, "ok"]);
    RETRIES.with_label_values(&[service]);
    HEDGES.with_label_values(&[service]);
    for state in [State::Closed, State::HalfOpen, State::Open] {
        TRANSITIONS.with_label_values(&[service, label(state)]);
    }
    circuit_breaker_state().with_label_values(&[service]).set(0);

    let of = |name, help| gauge(name, help, &["service"]).with_label_values(&[service]);
    let help = "Attempts of calls to a service that may be in flight.";
    let in_flight_max = of("service_calls_in_flight_max", help);
    let help = "Attempts of calls to a service in flight.";
    let in_flight = of("service_calls_in_flight", help);
    let help = "Retries of calls to a service that could be spent now.";
    let left = of("service_call_retry_budget", help);
    let help = "Retries of calls to a service that the budget had nothing left for.";
    let refused = counter("service_call_retries_refused_total", help, &["service"]);
    let help = "Whether an administrator holds the circuit breaker to a service: 1 or 0.";
    let forced = of("circuit_breaker_forced", help);
    let refused = refused.with_label_values(&[service]);
    let mut counted = 0;
    at_scrape(move || {
        in_flight_max.set(whole(limit.limit()));
        in_flight.set(whole(limit.in_flight()));
        forced.set(breaker.status().is_forced.into());
        left.set(whole_retries(budget.balance()));
        let now = budget.refused();
        refused.inc_by(now - counted);
        counted = now;
    });
}

#[allow(clippy::cast_possible_truncation, reason = "rounded down; a balance has an upper bound")]
fn whole_retries(balance: f64) -> i64 {
    balance as i64
}

pub(crate) fn label(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::HalfOpen => "half_open",
        State::Open => "open",
    }
}
