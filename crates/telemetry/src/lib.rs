//! Telemetry: what an operator sees of a service, and the context that joins what it did.
//!
//! ```text
//!   tracing events ─▶ logs         one line each, human or JSON, with trace_id and span_id
//!   tracing spans  ─▶ traces       OTLP over gRPC to `[tracing] endpoint`, sampled by `[sampling]`
//!   sqlx's events  ─▶ statements   a span for each statement of a trace that is recorded
//!   counters       ─▶ metrics      the Prometheus text format, served by the chassis at /metrics
//!   headers, rows  ◀▶ propagation  W3C trace context over HTTP, outbox rows and AMQP headers
//! ```
//!
//! Who makes which span, all by OpenTelemetry's conventions:
//!
//! | span | kind | made by |
//! |---|---|---|
//! | `GET /api/users/{id}` | server | chassis |
//! | `service_call.user-service.get_user`, below it an attempt each: `GET` | internal, client | service-client |
//! | `select users` | client | [`statements`], from what sqlx tells |
//! | `GET 0` (command, number of the database) | client | cache |
//! | `create user.events`, `send user.events`, `process payment-service.events` | producer, client, consumer | messaging |
//! | `POST`, to the payment provider or an external issuer | client | the services, by [`client_span`] |
//! | `charge`, `payment_gateway.charge`, `notify`, `send mail` | internal, client | the services' workers |
//!
//! A span holds names, templates of routes, ids and outcomes; never what people wrote. Events are
//! logged and not exported.
//!
//! Log lines go out by a thread of their own: whoever reads standard output can stop neither a request
//! nor the end of the process. `telemetry_log_lines_dropped_total` counts the lines that found no
//! room meanwhile, and the log says how many once it flows again.
//!
//! Whether a request's trace is recorded is known before its first span ([`RequestTrace`]): one that
//! is not has a context and no spans. With `[tracing] enabled: false` that is every request. The
//! context still flows, so that the logs of one request share one trace id across services. A collector that is away costs
//! a bounded queue and never an answer: `telemetry_spans_total{outcome}` counts the spans that were
//! `exported`, those of exports that `failed`, and those `dropped` because the queue was full. The log
//! says once that exports fail, and once that they work again.
//!
//! ```
//! let requests = telemetry::metrics::counter("doc_requests_total", "Requests seen.", &["service"]);
//! requests.with_label_values(&["user-service"]).inc();
//! assert!(telemetry::metrics::render().contains("doc_requests_total"));
//! ```

mod build_info;
mod client_span;
mod export;
mod logs;
pub mod metrics;
pub mod propagation;
mod request_trace;
mod sampling;
mod settings;
mod sql;
pub mod statements;
mod traces;

pub use build_info::{BuildInfo, build_info};
pub use client_span::client_span;
#[doc(hidden)]
pub use git_commit::commit;
pub use logs::{FilterError, LogFilter, flush_logs, log_filter};
pub use request_trace::{Caller, RequestTrace, in_current_trace};
pub use settings::{LogFormat, LogSettings, SamplingSettings, TelemetrySettings, TracingSettings};

use std::time::{Duration, Instant};

use opentelemetry_sdk::trace::SdkTracerProvider;
use sampling::TraceSampler;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `[log] filter` is no filter of the `tracing` kind, such as `info,sqlx=warn`.
    #[error("[log] filter is not valid: {0}")]
    Filter(#[from] FilterError),
    /// `[tracing] endpoint` cannot be used.
    #[error("[tracing] endpoint is not valid: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// `[tracing] headers` cannot be read. They are secret and not shown.
    #[error("[tracing] headers are written name=value,name=value")]
    Headers,
    /// The file of `[tracing] tls_ca` cannot be read.
    #[error("the file of [tracing] tls_ca cannot be read: {0}")]
    Authorities(std::io::Error),
    /// The system has no thread left for the log.
    #[error("no thread can be had for the log: {0}")]
    Thread(#[from] std::io::Error),
    /// A subscriber was installed before: [`init`] is called once a process.
    #[error("telemetry was already set up in this process")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// How long a [`Telemetry`] that is dropped may take, as in a panic.
const DROP_WITHIN: Duration = Duration::from_secs(1);

/// Keeps the exporter alive; [`Telemetry::shutdown`] sends what is still queued. Dropping it does the
/// same, within a second.
#[must_use = "what is still queued is sent when it is dropped, and nothing after that"]
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
    is_over: bool,
}

/// Installs logs and traces for the whole process.
///
/// Must be called within a tokio runtime: the gRPC exporter connects lazily on it, and its metrics
/// are shown.
///
/// # Errors
/// A bad filter, a bad endpoint, or a second call.
pub fn init(settings: &TelemetrySettings, build: BuildInfo) -> Result<Telemetry, TelemetryError> {
    let service = &settings.tracing.service_name;
    let logs = logs::layer(&settings.log, service)?;
    let sampler = TraceSampler::new(settings);
    let provider = traces::provider(settings, build, sampler.clone())?;
    let tracer = traces::tracer(&provider);
    let spans = traces::layer(tracer.clone(), sampler.is_enabled());
    let statements = sampler.is_enabled().then(|| statements::layer(tracer));
    // The spans' layer is asked first, since it refuses most.
    Registry::default().with(logs).with(statements).with(spans).try_init()?;
    sampler.install();
    build_info::set(build);
    metrics::build_info(service, build);
    metrics::runtime();
    Ok(Telemetry { provider, is_over: false })
}

impl Telemetry {
    /// Sends the spans that are still queued and writes the log lines that wait; takes `within` at
    /// most, whether a collector and a reader of the log are there or not. Blocks its thread.
    pub fn shutdown(mut self, within: Duration) {
        self.end(within);
    }

    fn end(&mut self, within: Duration) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let deadline = Instant::now() + within;
        // The last quarter is the log's: it tells what became of the spans, too.
        if let Err(error) = self.provider.shutdown_with_timeout(within * 3 / 4) {
            tracing::debug!(error = %error, "spans were lost at shutdown");
        }
        flush_logs(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.end(DROP_WITHIN);
    }
}
