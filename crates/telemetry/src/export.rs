//! The way out of the process: a bounded queue of finished spans that counts what becomes of each.
//!
//! The log says when exports begin to fail and when they work again, not for each that fails:
//! `telemetry_export_failures_total{error_type}` counts those.
//!
//! The SDK's batch processor drops without a count when its queue is full. Here a span is let in
//! only while there is room, which leaves the processor behind nothing to drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};
use prometheus::{IntCounter, IntCounterVec};

use crate::metrics;

/// Spans that wait for the collector at most, those of the export under way included.
const QUEUE_SPANS_MAX: usize = 2_048;
/// Spans in one export.
const BATCH_SPANS_MAX: usize = 512;

/// The gRPC codes that the exporter names in its errors, and what each is called in the metric. The
/// SDK gives no other hold on what went wrong.
const ERROR_TYPES: [(&str, &str); 9] = [
    ("Unavailable", "unavailable"),
    ("Cancelled", "timeout"),
    ("DeadlineExceeded", "timeout"),
    ("Unimplemented", "unimplemented"),
    ("Unauthenticated", "unauthenticated"),
    ("PermissionDenied", "permission_denied"),
    ("ResourceExhausted", "resource_exhausted"),
    ("InvalidArgument", "invalid_argument"),
    ("Internal", "internal"),
];

/// Hands finished spans to `exporter` in batches, on a thread of its own. Never blocks.
#[derive(Debug)]
pub(crate) struct SpanQueue {
    batches: BatchSpanProcessor,
    spans: Arc<SpanCounts>,
}

impl SpanQueue {
    /// A queue before the exporter to `collector`, its host and port.
    pub(crate) fn new(exporter: impl SpanExporter + 'static, collector: String) -> Self {
        let spans = Arc::new(SpanCounts::new());
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS_MAX)
            .with_max_export_batch_size(BATCH_SPANS_MAX)
            .build();
        let exporter = CountingExporter {
            exporter,
            spans: Arc::clone(&spans),
            failures: ExportFailures {
                collector,
                is_logged: AtomicBool::new(false),
                failures: failures(),
            },
        };
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        Self { batches, spans }
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_reserve() {
            self.batches.on_end(span);
        } else {
            self.spans.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Spans between their end and the collector, and what became of those before.
#[derive(Debug)]
struct SpanCounts {
    queued: AtomicUsize,
    exported: IntCounter,
    failed: IntCounter,
    dropped: IntCounter,
}

impl SpanCounts {
    fn new() -> Self {
        let help = "Finished spans, by outcome: exported, failed (the collector did not take \
                    them) or dropped (too many were queued for it).";
        let outcomes = metrics::counter("telemetry_spans_total", help, &["outcome"]);
        Self {
            queued: AtomicUsize::new(0),
            exported: outcomes.with_label_values(&["exported"]),
            failed: outcomes.with_label_values(&["failed"]),
            dropped: outcomes.with_label_values(&["dropped"]),
        }
    }

    /// Takes a place in the queue, if there is one.
    fn try_reserve(&self) -> bool {
        let one_more = |queued| (queued < QUEUE_SPANS_MAX).then_some(queued + 1);
        self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

/// Exports that failed, which the log tells once.
#[derive(Debug)]
struct ExportFailures {
    collector: String,
    is_logged: AtomicBool,
    failures: IntCounterVec,
}

fn failures() -> IntCounterVec {
    let help = "Exports of spans that failed, by the kind of fault.";
    let failures = metrics::counter("telemetry_export_failures_total", help, &["error_type"]);
    // A series that is there from the beginning: the first failure is an increase too.
    failures.with_label_values(&["unavailable"]);
    failures
}

impl ExportFailures {
    fn record_failure(&self, error: &OTelSdkError) {
        let error_type = error_type(error);
        self.failures.with_label_values(&[error_type]).inc();
        if !self.is_logged.swap(true, Ordering::Relaxed) {
            let collector = self.collector.as_str();
            tracing::warn!(collector, error.r#type = error_type, "spans are not exported");
        }
    }

    fn record_success(&self) {
        if self.is_logged.swap(false, Ordering::Relaxed) {
            tracing::info!(collector = self.collector, "spans are exported again");
        }
    }
}

/// What went wrong, of a closed set.
fn error_type(error: &OTelSdkError) -> &'static str {
    let OTelSdkError::InternalFailure(text) = error else {
        return if matches!(error, OTelSdkError::Timeout(_)) { "timeout" } else { "shutdown" };
    };
    let code = text.split_once("gRPC code: ").map_or("", |(_, code)| code);
    let code = code.split(|sign: char| !sign.is_ascii_alphabetic()).next().unwrap_or_default();
    ERROR_TYPES.iter().find(|(name, _)| *name == code).map_or("other", |(_, kind)| kind)
}

/// An exporter that counts, and gives the places of a batch back once it is known what became of it.
#[derive(Debug)]
struct CountingExporter<E> {
    exporter: E,
    spans: Arc<SpanCounts>,
    failures: ExportFailures,
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let sent = self.exporter.export(batch).await;
        self.spans.queued.fetch_sub(count, Ordering::Relaxed);
        let outcome = if sent.is_ok() { &self.spans.exported } else { &self.spans.failed };
        outcome.inc_by(count.try_into().unwrap_or(u64::MAX));
        match &sent {
            Ok(()) => self.failures.record_success(),
            Err(error) => self.failures.record_failure(error),
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
