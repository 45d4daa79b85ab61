//! The charts that are always there.

use super::Question;
use super::chart::{Chart, Unit};
use crate::app::App;
use crate::metrics::{Lines, Measure, Series, label};

const REQUESTS: &str = "http_server_request_duration_seconds";

/// All of them, in the order in which somebody looks for a fault.
pub(super) fn all(app: &App, question: &Question) -> Vec<Chart> {
    let metrics = &app.metrics;
    let rounds = question.rounds();
    let of_service = |series: &Series| question.is_of(series).then(|| series.service.clone());
    let by = |name: &'static str| {
        move |series: &Series| {
            let of_it = label(&series.labels, name);
            question.is_of(series).then(|| format!("{}: {of_it}", series.service))
        }
    };
    let rate = |name: &str, key: &dyn Fn(&Series) -> Option<String>| {
        metrics.sums(name, rounds, Measure::Rate, key)
    };
    let value = |name: &str, key: &dyn Fn(&Series) -> Option<String>| {
        metrics.sums(name, rounds, Measure::Value, key)
    };
    let percentile = |quantile: f64, name: &'static str| {
        metrics.quantile(REQUESTS, rounds, quantile, |series| {
            question.is_of(series).then(|| name.to_owned())
        })
    };
    let failed = |series: &Series| {
        let status = label(&series.labels, "http_response_status_code");
        of_service(series).filter(|_| status.starts_with('5'))
    };
    let used = |series: &Series| {
        let is_used = label(&series.labels, "db_client_connection_state") == "used";
        of_service(series).filter(|_| is_used)
    };
    let limit = |series: &Series| of_service(series).map(|service| format!("{service}: at most"));
    let count = format!("{REQUESTS}_count");
    let percentiles =
        percentile(0.5, "p50").and(percentile(0.95, "p95")).and(percentile(0.99, "p99"));
    let by_service = metrics.quantile(REQUESTS, rounds, 0.95, of_service);
    let pool = value("db_client_connections", &used).and(value("db_client_connection_max", &limit));
    let chart =
        |id, title: &str, unit, lines: Lines| Chart { id, title: title.to_owned(), unit, lines };
    vec![
        chart("requests", "Requests a second", Unit::Number, rate(&count, &of_service)),
        chart("errors", "Answers 5xx a second", Unit::Number, rate(&count, &failed)),
        chart("durations", "Durations of requests", Unit::Seconds, percentiles),
        chart("p95", "p95 of requests, by service", Unit::Seconds, by_service),
        chart("pool", "Database connections in use", Unit::Number, pool),
        chart(
            "outbox-age",
            "Age of the oldest event that waits",
            Unit::Seconds,
            value("messaging_outbox_age_seconds", &of_service),
        ),
        chart(
            "outbox",
            "Events that wait in the outbox",
            Unit::Number,
            value("messaging_outbox_depth", &of_service),
        ),
        chart(
            "queues",
            "Messages that wait in queues",
            Unit::Number,
            value("messaging_queue_depth", &by("queue")),
        ),
        chart("dead", "Dead letters", Unit::Number, value("messaging_dead_letters", &by("queue"))),
        chart(
            "breakers",
            "Breakers: 0 closed, 1 half-open, 2 open",
            Unit::Number,
            value("circuit_breaker_state", &by("service")),
        ),
        chart(
            "retries",
            "Retries a second",
            Unit::Number,
            rate("service_call_retries_total", &by("service")),
        ),
        chart("memory", "Memory", Unit::Bytes, value("process_resident_memory_bytes", &of_service)),
    ]
}
