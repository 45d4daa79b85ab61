//! What is counted of limits: the table at the crate's head.

use std::sync::LazyLock;

use prometheus::{IntCounterVec, IntGauge};
use telemetry::metrics::{counter, gauge};

static LIMITED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Requests refused at a rate limit, by route and limit.";
    counter("rate_limited_total", help, &["service", "route", "limit"])
});

/// Shows a limit from the beginning, so that the first refusal is an increase too.
pub(crate) fn register(service: &str, route: &str, limit: &str) {
    LIMITED.with_label_values(&[service, route, limit]);
}

/// Counts a refusal.
pub(crate) fn limited(service: &str, route: &str, limit: &str) {
    LIMITED.with_label_values(&[service, route, limit]).inc();
}

/// Whether the replicas of a service count together.
pub(crate) fn shared(service: &str) -> IntGauge {
    let help = "1 while replicas count rate limits together in Redis, 0 while each counts alone.";
    gauge("rate_limits_shared", help, &["service"]).with_label_values(&[service])
}
