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
//! | `charge`, `payment_gateway.charge`, `notify`, `send mail` | internal, client | the services' workers |
//!
//! A span holds names, templates of routes, ids and outcomes; never what people wrote. Events are
//! logged and not exported.
//!
//! With `[tracing] enabled: false` nothing is exported and unsampled work records nothing; the
//! context still flows, so that logs of one story share one trace id. A collector that is away costs
//! a bounded queue and never an answer: `telemetry_spans_total{outcome}` counts the spans that were
//! `exported`, those of exports that `failed`, and those `dropped` because the queue was full.
//!
//! ```
//! let requests = telemetry::metrics::counter("doc_requests_total", "Requests seen.", &["service"]);
//! requests.with_label_values(&["user-service"]).inc();
//! assert!(telemetry::metrics::render().contains("doc_requests_total"));
//! ```

mod export;
mod logs;
pub mod metrics;
mod pool;
pub mod propagation;
mod settings;
mod sql;
pub mod statements;
mod traces;

pub use logs::{FilterError, LogFilter, log_filter};
pub use settings::{LogFormat, LogSettings, SamplingSettings, TelemetrySettings, TracingSettings};

use opentelemetry_sdk::trace::SdkTracerProvider;
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
    /// A subscriber was installed before: [`init`] is called once a process.
    #[error("telemetry was already set up in this process")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Keeps the exporter alive; [`Telemetry::shutdown`] sends what is still queued.
#[must_use = "spans that are still queued are lost unless it is shut down"]
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

/// Installs logs, traces and the W3C propagator for the whole process.
///
/// Must be called within a tokio runtime: the gRPC exporter connects lazily on it, and its metrics
/// are shown.
///
/// # Errors
/// A bad filter, a bad endpoint, or a second call.
pub fn init(settings: &TelemetrySettings, version: &str) -> Result<Telemetry, TelemetryError> {
    let service = &settings.tracing.service_name;
    let logs = logs::layer(&settings.log, service)?;
    let provider = traces::provider(settings, version)?;
    let tracer = traces::tracer(&provider);
    let (spans, statements) = (traces::layer(tracer.clone()), statements::layer(tracer));
    Registry::default().with(spans).with(statements).with(logs).with(pool::layer()).try_init()?;
    propagation::install();
    metrics::build_info(service, version);
    metrics::runtime();
    Ok(Telemetry { provider })
}

impl Telemetry {
    /// Sends the spans that are still queued; waits five seconds at most.
    pub fn shutdown(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::debug!(error = %error, "spans were lost at shutdown");
        }
    }
}
