//! What is counted of requests.
//!
//! | family | tells |
//! |---|---|
//! | `service_requests_total{service, method, status}` | requests answered |
//! | `service_request_duration_seconds{service, method}` | how long that took |
//! | `http_server_request_duration_seconds{http_request_method, http_route, http_response_status_code}` | the same by route, by OpenTelemetry's conventions |
//! | `service_requests_in_flight{service}` | requests inside of the limit |
//! | `service_requests_in_flight_max{service}` | the limit now: `[server] concurrency_limit`, or less |
//! | `service_requests_shed_total{service}` | requests refused at the limit |
//! | `service_requests_timed_out_total{service}` | requests whose time was up |
//!
//! The first two keep the names and labels that they have always had, so that what is written for
//! them goes on to work. Which route is slow or fails is told by the third, whose labels are bounded: a route is its
//! template, and `unmatched` stands for all other paths.

use std::sync::LazyLock;
use std::time::Duration;

use axum::http::StatusCode;
use resilience::limit::Limit;
use telemetry::metrics::{at_scrape, counter, gauge, histogram, whole};
use telemetry::metrics::{service_request_duration_seconds, service_requests_total};

static BY_ROUTE: LazyLock<prometheus::HistogramVec> = LazyLock::new(|| {
    let help = "Time from the request's head to the answer's head, by route, in seconds.";
    let labels = ["http_request_method", "http_route", "http_response_status_code"];
    histogram("http_server_request_duration_seconds", help, &labels)
});

static SHED: LazyLock<prometheus::IntCounterVec> = LazyLock::new(|| {
    let help = "Requests refused because too many were in flight.";
    counter("service_requests_shed_total", help, &["service"])
});

static TIMED_OUT: LazyLock<prometheus::IntCounterVec> = LazyLock::new(|| {
    let help = "Requests that ended because their time was up.";
    counter("service_requests_timed_out_total", help, &["service"])
});

/// Counts an answer.
pub(super) fn answered(
    service: &str,
    method: &str,
    route: &str,
    status: StatusCode,
    took: Duration,
) {
    let seconds = took.as_secs_f64();
    service_requests_total().with_label_values(&[service, method, status.as_str()]).inc();
    service_request_duration_seconds().with_label_values(&[service, method]).observe(seconds);
    BY_ROUTE.with_label_values(&[method, route, status.as_str()]).observe(seconds);
}

/// Counts a refusal at the limit.
pub(super) fn shed(service: &str) {
    SHED.with_label_values(&[service]).inc();
}

/// Counts a request whose time was up.
pub(super) fn timed_out(service: &str) {
    TIMED_OUT.with_label_values(&[service]).inc();
}

/// Shows the limit of a service, and how much of it is taken.
pub(super) fn show(service: &str, limit: Limit) {
    // Series that are there from the beginning: the first event is an increase too.
    SHED.with_label_values(&[service]);
    TIMED_OUT.with_label_values(&[service]);
    let of = |name, help| gauge(name, help, &["service"]).with_label_values(&[service]);
    let help = "Requests that may be in flight.";
    let in_flight_max = of("service_requests_in_flight_max", help);
    let in_flight = of("service_requests_in_flight", "Requests in flight.");
    at_scrape(move || {
        in_flight_max.set(whole(limit.limit()));
        in_flight.set(whole(limit.in_flight()));
    });
}
