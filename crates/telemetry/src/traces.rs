//! Traces: the tracer provider, its sampler and its bounded exporter.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

use crate::{TelemetryError, TelemetrySettings};

/// Spans that wait for the collector at most; more are dropped.
const QUEUE_SPANS_MAX: usize = 2_048;
/// Spans in one export.
const BATCH_SPANS_MAX: usize = 512;
/// The longest that one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The provider: with an exporter when tracing is enabled, without one when not.
pub(crate) fn provider(
    settings: &TelemetrySettings,
    version: &str,
) -> Result<SdkTracerProvider, TelemetryError> {
    let builder = SdkTracerProvider::builder().with_resource(resource(settings, version));
    if !settings.tracing.enabled {
        // A caller's sampled trace keeps its ids here, so that logs and later services share them.
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        return Ok(builder.with_sampler(sampler).build());
    }
    let probability = settings.sampling.probability.clamp(0.0, 1.0);
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(probability)));
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&settings.tracing.endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS_MAX)
        .with_max_export_batch_size(BATCH_SPANS_MAX)
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    Ok(builder.with_sampler(sampler).with_span_processor(processor).build())
}

/// The layer that turns `tracing` spans into OpenTelemetry spans.
pub(crate) fn layer<S>(provider: &SdkTracerProvider) -> OpenTelemetryLayer<S, SdkTracer>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("tusk-microservices"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
}

fn resource(settings: &TelemetrySettings, version: &str) -> Resource {
    Resource::builder()
        .with_service_name(settings.tracing.service_name.clone())
        .with_attribute(KeyValue::new("service.version", version.to_owned()))
        .with_attribute(KeyValue::new(
            "deployment.environment.name",
            settings.tracing.environment.clone(),
        ))
        .build()
}
