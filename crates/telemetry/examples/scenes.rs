//! Processes that the tests watch: one scene each, named by the first argument.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use http::HeaderMap;
use telemetry::{
    BuildInfo, Caller, LogFormat, LogSettings, RequestTrace, SamplingSettings, Telemetry,
    TelemetrySettings, TracingSettings, propagation,
};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["a_line_with_fields"] => a_line_with_fields(),
        ["a_continued_trace"] => a_continued_trace(),
        ["more_lines_than_wait"] => more_lines_than_wait(),
        ["many_lines", count] => many_lines(count.parse().unwrap()),
        ["another_filter"] => another_filter(),
        ["a_chatty_library"] => a_chatty_library(),
        ["more_spans_than_wait", endpoint] => more_spans_than_wait(endpoint).await,
        ["an_export", endpoint] => an_export(endpoint, "", "").await,
        ["an_export", endpoint, ca, headers] => an_export(endpoint, ca, headers).await,
        ["an_export_that_fails", endpoint] => an_export_that_fails(endpoint).await,
        ["an_end_without_patience", endpoint] => an_end_without_patience(endpoint).await,
        ["a_panic"] => a_panic(),
        ["sampling", endpoint, probability] => {
            sampling(endpoint, probability.parse().unwrap()).await;
        }
        ["requests", endpoint, probability] => {
            requests(endpoint, probability.parse().unwrap()).await;
        }
        ["statements", endpoint] => statements(endpoint).await,
        ref other => panic!("no scene is called {other:?}"),
    }
}

fn start(enabled: bool, endpoint: &str) -> Telemetry {
    start_with(enabled, endpoint, 1.0)
}

fn start_with(enabled: bool, endpoint: &str, probability: f64) -> Telemetry {
    start_trusting(enabled, endpoint, probability, "", "")
}

fn start_trusting(
    enabled: bool,
    endpoint: &str,
    probability: f64,
    ca: &str,
    headers: &str,
) -> Telemetry {
    let settings = TelemetrySettings {
        tracing: TracingSettings {
            enabled,
            endpoint: endpoint.to_owned(),
            tls_ca: ca.into(),
            headers: headers.to_owned().into(),
            service_name: "user-service".to_owned(),
            environment: "test".to_owned(),
            host_name: "a-pod".to_owned(),
        },
        sampling: SamplingSettings { probability },
        log: LogSettings { filter: "trace".to_owned(), format: LogFormat::Json },
    };
    telemetry::init(&settings, BuildInfo { version: "1.2.3", commit: COMMIT }).unwrap()
}

/// Sends what waits, and tells what became of all spans.
async fn end(telemetry: Telemetry) {
    tokio::task::spawn_blocking(|| telemetry.shutdown(Duration::from_secs(8))).await.unwrap();
    tracing::info!(metrics = telemetry::metrics::render(), "the end");
    assert!(telemetry::flush_logs(Duration::from_secs(5)));
}

fn a_line_with_fields() {
    let _telemetry = start(false, "http://localhost:4317");
    tracing::info!(server.port = 3001, server.tls = false, "server listening");
    let (level, target, trace_id) = ("ERROR", "somewhere", "0af7651916cd43dd8448eb211c80319c");
    let stranger = "another-service";
    tracing::info!(level, target, service = stranger, trace_id, "a field like a key");
    tracing::info!(inner = %Chatty, "a value that logs");
}

/// Logs while it is formatted.
struct Chatty;

impl std::fmt::Display for Chatty {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        tracing::info!("within a value");
        out.write_str("chatty")
    }
}

/// Ten thousand lines; then a line on standard error, after which somebody reads them.
#[allow(clippy::print_stderr, reason = "nobody reads its standard output yet")]
fn more_lines_than_wait() {
    let telemetry = start(false, "http://localhost:4317");
    for number in 0..10_000 {
        tracing::info!(number, padding = "x".repeat(100), "line");
    }
    eprintln!("written");
    telemetry.shutdown(Duration::from_secs(60));
}

/// Writes lines as fast as it can, and tells what one took on its standard error.
#[allow(clippy::print_stderr, reason = "its standard output is what it measures")]
fn many_lines(count: u32) {
    let _telemetry = start(false, "http://localhost:4317");
    let began = std::time::Instant::now();
    for number in 0..count {
        tracing::info!(http.method = "GET", http.route = "/api/users/{id}", number, "line");
    }
    let nanoseconds = began.elapsed().as_nanos() / u128::from(count);
    eprintln!("{nanoseconds} ns a line");
}

fn a_continued_trace() {
    let _telemetry = start(false, "http://localhost:4317");
    let headers = called_with("01");
    let trace = RequestTrace::begin(&headers, Caller::Trusted, || tracing::info_span!("request"));
    trace.in_scope(|| {
        tracing::info!("inside");
        tell_context();
    });
    assert!(trace.span().is_disabled());
}

/// The headers of a caller of ours with these flags.
fn called_with(flags: &str) -> HeaderMap {
    let traceparent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    [(http::HeaderName::from_static("traceparent"), traceparent.parse().unwrap())]
        .into_iter()
        .collect()
}

/// Logs what a call, a row and a message would pass on, and whether a span would be made.
fn tell_context() {
    let mut headers = HeaderMap::new();
    propagation::inject(&mut headers);
    let header = headers.get("traceparent").map(|value| value.to_str().unwrap());
    let row = propagation::current_traceparent();
    let makes_spans = !tracing::info_span!("inner").is_disabled();
    tracing::info!(header, traceparent = row, makes_spans, "passed on");
}

/// Eight hundred requests of strangers with a span of their own each, and one of each kind of caller.
async fn requests(endpoint: &str, probability: f64) {
    let telemetry = start_with(true, endpoint, probability);
    let begin = |headers: &HeaderMap, caller, name| {
        RequestTrace::begin(headers, caller, || tracing::info_span!("request", otel.name = name))
    };
    let mut inner = 0;
    for _ in 0..800 {
        let trace = begin(&called_with("01"), Caller::Stranger, "of a stranger");
        let work = async {
            tokio::task::yield_now().await;
            let span = tracing::info_span!("inner");
            span.in_scope(|| u32::from(!span.is_disabled()))
        };
        inner += trace.run(work).await;
    }
    tracing::info!(inner, "inner spans made");
    for (flags, name) in [("01", "of a recorded caller"), ("00", "of an unrecorded caller")] {
        begin(&called_with(flags), Caller::Trusted, name).run(async { tell_context() }).await;
    }
    let trace = begin(&HeaderMap::new(), Caller::Trusted, "of nobody");
    #[allow(clippy::disallowed_methods, reason = "what is spawned within a request is the scene")]
    let spawn = || tokio::spawn(telemetry::in_current_trace(async { tell_context() }));
    trace.in_scope(spawn).await.unwrap();
    end(telemetry).await;
}

/// Each line tells the filter that it was written under.
fn another_filter() {
    let _telemetry = start(false, "http://localhost:4317");
    let filter = telemetry::log_filter().unwrap();
    for directives in ["warn", "warn,scenes=debug", "debgu", filter.configured()] {
        let outcome = filter.set(directives);
        tracing::debug!(filter = filter.current(), "debug");
        tracing::warn!(filter = filter.current(), refused = outcome.is_err(), "warn");
    }
}

fn a_chatty_library() {
    let _telemetry = start(false, "http://localhost:4317");
    telemetry::log_filter().unwrap().set("trace,lapin::channel=trace").unwrap();
    tracing::warn!(target: "lapin::channel", body = "ada@example.com", "returned");
    tracing::info!("after");
}

/// Ten times as many spans as may wait for the collector.
async fn more_spans_than_wait(endpoint: &str) {
    let telemetry = start(true, endpoint);
    let spans = async {
        for number in 0..20_000 {
            tracing::info_span!("work", number).in_scope(|| {});
        }
        tracing::info!("all spans made");
    };
    tokio::time::timeout(Duration::from_secs(20), spans).await.unwrap();
    end(telemetry).await;
}

async fn an_export(endpoint: &str, ca: &str, headers: &str) {
    let telemetry = start_trusting(true, endpoint, 1.0, ca, headers);
    tracing::info_span!("http.request", otel.name = "GET /api/users/{id}").in_scope(|| {
        tracing::error!(email = "ada@example.com", "an event");
        tracing::debug_span!("a library's", email = "ada@example.com").in_scope(|| {});
    });
    end(telemetry).await;
}

/// Batches one after the other, until some were refused and some taken; who watches starts the
/// collector meanwhile.
async fn an_export_that_fails(endpoint: &str) {
    let telemetry = start(true, endpoint);
    for outcome in ["failed", "exported"] {
        let series = format!("telemetry_spans_total{{outcome=\"{outcome}\"}}");
        let count = || telemetry::metrics::values().get(&series).copied().unwrap_or_default();
        let enough = count() + 1_500.0;
        while count() < enough {
            tracing::info_span!("work").in_scope(|| {});
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        tracing::info!(outcome, "enough");
    }
    end(telemetry).await;
}

/// An end that leaves the exporter no time.
async fn an_end_without_patience(endpoint: &str) {
    let telemetry = start(true, endpoint);
    tracing::info_span!("work").in_scope(|| {});
    let within = Duration::from_millis(100);
    tokio::task::spawn_blocking(move || telemetry.shutdown(within)).await.unwrap();
    tracing::info!(metrics = telemetry::metrics::render(), "the end");
    telemetry::flush_logs(Duration::from_secs(5));
}

fn a_panic() {
    let _telemetry = start(false, "http://localhost:4317");
    tracing::info!("before the panic");
    panic!("the last that it does");
}

/// A thousand traces of our own, and one span in a trace of each kind of caller.
async fn sampling(endpoint: &str, probability: f64) {
    let telemetry = start_with(true, endpoint, probability);
    for _ in 0..1_000 {
        tracing::info_span!("new").in_scope(|| {});
    }
    for (name, flags) in [("of a sampled caller", "01"), ("of an unsampled caller", "00")] {
        let span = tracing::info_span!("called", otel.name = name);
        let caller = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        propagation::set_parent_from(&span, &caller);
        span.in_scope(|| tracing::info_span!("below", otel.name = name).in_scope(|| {}));
    }
    end(telemetry).await;
}

/// A statement within a trace that is recorded, one within a trace that is not, one without any.
async fn statements(endpoint: &str) {
    let telemetry = start_with(true, endpoint, 0.0);
    telemetry::statements::set_database("db.example", 5432, "users");
    for flags in ["01", "00"] {
        let span = tracing::info_span!("request");
        let caller = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        propagation::set_parent_from(&span, &caller);
        span.in_scope(a_statement);
    }
    a_statement();
    end(telemetry).await;
}

/// What sqlx says when a statement took two seconds.
fn a_statement() {
    tracing::event!(
        target: "sqlx::query",
        tracing::Level::TRACE,
        summary = "select id from users …",
        db.statement = "\n\nselect id from users where email = $1\n",
        rows_affected = 1,
        rows_returned = 1,
        elapsed = ?Duration::from_secs(2),
        elapsed_secs = 2.0,
    );
}
