//! Processes that the tests watch: one scene each, named by the first argument.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use http::HeaderMap;
use telemetry::{
    LogFormat, LogSettings, SamplingSettings, Telemetry, TelemetrySettings, TracingSettings,
    propagation,
};

#[tokio::main]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("a_line_with_fields") => a_line_with_fields(),
        Some("a_continued_trace") => a_continued_trace(),
        Some("a_chatty_library") => a_chatty_library(),
        Some("an_absent_collector") => an_absent_collector().await,
        Some("an_export") => an_export(&std::env::args().nth(2).unwrap()).await,
        other => panic!("no scene is called {other:?}"),
    }
}

fn start(enabled: bool, endpoint: &str) -> Telemetry {
    let settings = TelemetrySettings {
        tracing: TracingSettings {
            enabled,
            endpoint: endpoint.to_owned(),
            service_name: "user-service".to_owned(),
            environment: "test".to_owned(),
        },
        sampling: SamplingSettings { probability: 1.0 },
        log: LogSettings { filter: "trace".to_owned(), format: LogFormat::Json },
    };
    telemetry::init(&settings, "1.0.0").unwrap()
}

fn a_line_with_fields() {
    let _telemetry = start(false, "http://localhost:4317");
    tracing::info!(server.port = 3001, server.tls = false, "server listening");
}

fn a_continued_trace() {
    let _telemetry = start(false, "http://localhost:4317");
    let mut headers = HeaderMap::new();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", traceparent.parse().unwrap());
    let span = tracing::info_span!("request");
    propagation::set_parent(&span, &headers);
    span.in_scope(|| {
        tracing::info!("inside");
        let passed_on = propagation::current_traceparent();
        tracing::info!(traceparent = passed_on, "passed on");
    });
}

fn a_chatty_library() {
    let _telemetry = start(false, "http://localhost:4317");
    tracing::warn!(target: "lapin::channel", body = "ada@example.com", "returned");
    tracing::info!("after");
}

/// Ten times as many spans as the exporter's queue holds, towards a port where nobody listens.
async fn an_absent_collector() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let telemetry = start(true, &endpoint);
    let spans = async {
        for number in 0..20_000 {
            tracing::info_span!("work", number).in_scope(|| {});
        }
        tracing::info!("all spans made");
    };
    tokio::time::timeout(Duration::from_secs(20), spans).await.unwrap();
    tokio::task::spawn_blocking(|| telemetry.shutdown()).await.unwrap();
}

async fn an_export(endpoint: &str) {
    let telemetry = start(true, endpoint);
    tracing::info_span!("http.request", otel.name = "GET /api/users/{id}").in_scope(|| {});
    tokio::task::spawn_blocking(|| telemetry.shutdown()).await.unwrap();
}
