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
pub(crate) struct Queue {
    batches: BatchSpanProcessor,
    spans: Arc<Spans>,
}

impl Queue {
    /// A queue before the exporter to `collector`, its host and port.
    pub(crate) fn new(exporter: impl SpanExporter + 'static, collector: String) -> Self {
        let spans = Arc::new(Spans::new());
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS_MAX)
            .with_max_export_batch_size(BATCH_SPANS_MAX)
            .build();
        let exporter = Counted {
            exporter,
            spans: Arc::clone(&spans),
            faults: Faults { collector, are_told: AtomicBool::new(false), failures: failures() },
        };
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        Self { batches, spans }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.let_in() {
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
struct Spans {
    waiting: AtomicUsize,
    exported: IntCounter,
    failed: IntCounter,
    dropped: IntCounter,
}

impl Spans {
    fn new() -> Self {
        let help = "Finished spans, by outcome: exported, failed (the collector did not take \
                    them) or dropped (too many were waiting for it).";
        let outcomes = metrics::counter("telemetry_spans_total", help, &["outcome"]);
        Self {
            waiting: AtomicUsize::new(0),
            exported: outcomes.with_label_values(&["exported"]),
            failed: outcomes.with_label_values(&["failed"]),
            dropped: outcomes.with_label_values(&["dropped"]),
        }
    }

    /// Takes a place in the queue, if there is one.
    fn let_in(&self) -> bool {
        let one_more = |waiting| (waiting < QUEUE_SPANS_MAX).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

/// Exports that failed, which the log tells once.
#[derive(Debug)]
struct Faults {
    collector: String,
    are_told: AtomicBool,
    failures: IntCounterVec,
}

fn failures() -> IntCounterVec {
    let help = "Exports of spans that failed, by the kind of fault.";
    let failures = metrics::counter("telemetry_export_failures_total", help, &["error_type"]);
    // A series that is there from the beginning: the first failure is an increase too.
    failures.with_label_values(&["unavailable"]);
    failures
}

impl Faults {
    fn failed(&self, error: &OTelSdkError) {
        let error_type = error_type(error);
        self.failures.with_label_values(&[error_type]).inc();
        if !self.are_told.swap(true, Ordering::Relaxed) {
            let collector = self.collector.as_str();
            tracing::warn!(collector, error.r#type = error_type, "spans are not exported");
        }
    }

    fn worked(&self) {
        if self.are_told.swap(false, Ordering::Relaxed) {
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
struct Counted<E> {
    exporter: E,
    spans: Arc<Spans>,
    faults: Faults,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let sent = self.exporter.export(batch).await;
        self.spans.waiting.fetch_sub(count, Ordering::Relaxed);
        let outcome = if sent.is_ok() { &self.spans.exported } else { &self.spans.failed };
        outcome.inc_by(count.try_into().unwrap_or(u64::MAX));
        match &sent {
            Ok(()) => self.faults.worked(),
            Err(error) => self.faults.failed(error),
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
