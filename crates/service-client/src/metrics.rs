//! What is counted of calls, by target.

use std::sync::LazyLock;

use prometheus::IntCounterVec;
use resilience::breaker::Transition;
use telemetry::metrics;

use crate::Kind;

/// `service_calls_total{service, outcome}`: calls ended, all attempts of one counted once.
static CALLS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Calls to a service, by outcome: ok, or the kind of fault.";
    metrics::counter("service_calls_total", help, &["service", "outcome"])
});

/// `service_call_retries_total{service}`: attempts beyond the first.
static RETRIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Attempts of calls to a service beyond the first one.";
    metrics::counter("service_call_retries_total", help, &["service"])
});

pub(crate) fn ended(service: &str, fault: Option<&Kind>) {
    CALLS.with_label_values(&[service, fault.map_or("ok", Kind::label)]).inc();
}

pub(crate) fn repeated(service: &str) {
    RETRIES.with_label_values(&[service]).inc();
}

/// Shows a breaker that was made just now.
pub(crate) fn closed(service: &str) {
    metrics::circuit_breaker_state().with_label_values(&[service]).set(0);
}

/// Shows a change of the breaker's state, which the breaker itself logs.
pub(crate) fn transition(change: &Transition) {
    let gauge = metrics::circuit_breaker_state().with_label_values(&[&change.name]);
    gauge.set(change.to as i64);
}
