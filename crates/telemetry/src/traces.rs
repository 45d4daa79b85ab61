//! Traces: the tracer provider, its sampler, its resource, and which `tracing` spans it gets.

use std::path::Path;
use std::time::Duration;

use http::Uri;
use opentelemetry::trace::{TraceContextExt, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, layer};

use crate::export::SpanQueue;
use crate::sampling::TraceSampler;
use crate::{BuildInfo, TelemetryError, TelemetrySettings, TracingSettings};

/// The longest that one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// What the services are called together.
const NAMESPACE: &str = "tusk";

/// The provider: with an exporter when tracing is enabled, without one when not.
pub(crate) fn provider(
    settings: &TelemetrySettings,
    build: BuildInfo,
    sampler: TraceSampler,
) -> Result<SdkTracerProvider, TelemetryError> {
    let builder = SdkTracerProvider::builder().with_resource(resource(settings, build));
    if !settings.tracing.enabled {
        return Ok(builder.with_sampler(sampler).build());
    }
    let exporter = exporter(&settings.tracing)?;
    let queue = SpanQueue::new(exporter, host_and_port(&settings.tracing.endpoint));
    Ok(builder.with_sampler(sampler).with_span_processor(queue).build())
}

fn exporter(settings: &TracingSettings) -> Result<SpanExporter, TelemetryError> {
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&settings.endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .with_metadata(MetadataMap::from_headers(
            settings.headers().ok_or(TelemetryError::Headers)?,
        ));
    if settings.endpoint.starts_with("https://") {
        exporter = exporter.with_tls_config(trust(&settings.tls_ca)?);
    }
    Ok(exporter.build()?)
}

/// Whom the exporter trusts: the public authorities, and those of this file.
fn trust(file: &Path) -> Result<ClientTlsConfig, TelemetryError> {
    let config = ClientTlsConfig::new().with_webpki_roots();
    if file.as_os_str().is_empty() {
        return Ok(config);
    }
    let pem = std::fs::read(file).map_err(TelemetryError::Authorities)?;
    Ok(config.ca_certificate(Certificate::from_pem(pem)))
}

/// Where an endpoint is, without what an address may hold besides: a password.
fn host_and_port(endpoint: &str) -> String {
    let uri = endpoint.parse::<Uri>().ok();
    let authority = uri.as_ref().and_then(Uri::authority);
    authority.map_or_else(String::new, |at| match at.port_u16() {
        Some(port) => format!("{}:{port}", at.host()),
        None => at.host().to_owned(),
    })
}

pub(crate) fn tracer(provider: &SdkTracerProvider) -> SdkTracer {
    provider.tracer("tusk-microservices")
}

/// The layer that turns `tracing` spans into OpenTelemetry spans. It gets no events: what is logged
/// has the ids of its span, and once is enough. Finer spans are those of libraries, which nobody
/// has looked through for what they hold.
///
/// No span is made within a trace that is not recorded, nor, unless `is_enabled`, within any: the
/// context that is there already is enough for what has to be passed on.
pub(crate) fn layer<S>(tracer: SdkTracer, is_enabled: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let is_one = |metadata: &Metadata<'_>| metadata.is_span() && *metadata.level() <= Level::INFO;
    let filter = dynamic_filter_fn(move |metadata, _: &layer::Context<'_, S>| is_one(metadata));
    // The gate is asked of each span anew, and of no event.
    let filter =
        filter.with_max_level_hint(LevelFilter::INFO).with_callsite_filter(move |metadata| {
            if is_one(metadata) { Interest::sometimes() } else { Interest::never() }
        });
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    Gate { is_enabled }.and_then(spans).with_filter(filter)
}

/// Lets a span begin outside of all traces, or in one that is recorded. It refuses for all layers: a
/// span that one filter alone refuses gets its place in the registry all the same.
struct Gate {
    is_enabled: bool,
}

impl<S: Subscriber> Layer<S> for Gate {
    fn enabled(&self, _: &Metadata<'_>, _: layer::Context<'_, S>) -> bool {
        Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            !span.is_valid() || self.is_enabled && span.is_sampled()
        })
    }
}

/// Who exports: <https://opentelemetry.io/docs/specs/semconv/resource/service/>, and of which commit:
/// <https://opentelemetry.io/docs/specs/semconv/registry/attributes/vcs/>.
fn resource(settings: &TelemetrySettings, build: BuildInfo) -> Resource {
    let tracing = &settings.tracing;
    let random = RandomIdGenerator::default().new_trace_id().to_bytes();
    let instance = uuid::Builder::from_random_bytes(random).into_uuid();
    let mut attributes = vec![
        KeyValue::new("service.namespace", NAMESPACE),
        KeyValue::new("service.version", build.version),
        KeyValue::new("vcs.ref.head.revision", build.commit),
        KeyValue::new("service.instance.id", instance.to_string()),
        KeyValue::new("deployment.environment.name", tracing.environment.clone()),
    ];
    if !tracing.host_name.is_empty() {
        attributes.push(KeyValue::new("host.name", tracing.host_name.clone()));
    }
    Resource::builder()
        .with_service_name(tracing.service_name.clone())
        .with_attributes(attributes)
        .build()
}
