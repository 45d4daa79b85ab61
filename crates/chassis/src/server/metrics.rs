//! What is counted of connections.
//!
//! | family | tells |
//! |---|---|
//! | `service_connections{service}` | connections that are open |
//! | `service_connections_max{service}` | the limit: `[server] connection_limit`, or what the open files allow |
//! | `service_connections_cut_total{service, reason}` | closed by the service: `idle`, `head`, `write` at that limit, `room` for another one |
//! | `service_accept_errors_total{service}` | times that no connection could be taken on |
//!
//! Where operators have a listener of their own, the first two are of that for callers.

use std::sync::{Arc, LazyLock};

use telemetry::metrics::{at_scrape, counter, gauge, whole};

use super::connections::Connections;
use super::state::Cut;

static CUT: LazyLock<prometheus::IntCounterVec> = LazyLock::new(|| {
    let help = "Connections that the service closed because they stalled, by the limit.";
    counter("service_connections_cut_total", help, &["service", "reason"])
});

static ACCEPT_ERRORS: LazyLock<prometheus::IntCounterVec> = LazyLock::new(|| {
    let help = "Times that no connection could be taken on.";
    counter("service_accept_errors_total", help, &["service"])
});

pub(super) fn cut(service: &str, cut: Cut) {
    CUT.with_label_values(&[service, cut.label()]).inc();
}

pub(super) fn accept_failed(service: &str) {
    ACCEPT_ERRORS.with_label_values(&[service]).inc();
}

/// Shows how many connections there are, and may be.
pub(super) fn show(service: &str, connections: &Arc<Connections>) {
    // Series that are there from the beginning: the first event is an increase too.
    for cut in Cut::ALL {
        CUT.with_label_values(&[service, cut.label()]);
    }
    ACCEPT_ERRORS.with_label_values(&[service]);
    let of = |name, help| gauge(name, help, &["service"]).with_label_values(&[service]);
    let help = "Connections that may be open.";
    of("service_connections_max", help).set(whole(connections.limit()));
    let open = of("service_connections", "Connections that are open.");
    let connections = connections.clone();
    at_scrape(move || open.set(whole(connections.open())));
}
