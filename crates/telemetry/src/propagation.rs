//! W3C trace context over HTTP headers, outbox rows and message headers.
//!
//! Source of the format: <https://www.w3.org/TR/trace-context/>.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, global};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";

pub(crate) fn install() {
    global::set_text_map_propagator(TraceContextPropagator::new());
}

/// Writes the current span's context as `traceparent` and `tracestate` headers.
pub fn inject(headers: &mut HeaderMap) {
    inject_context(&Span::current().context(), headers);
}

/// Makes the caller named by the headers the parent of `span`. Bad headers are ignored, as the
/// standard asks: the span then starts a trace of its own. Call it before the span is entered.
pub fn set_parent(span: &Span, headers: &HeaderMap) {
    let context =
        global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
    // Only fails where no trace layer is installed (tests), or when the span has begun already.
    let _ = span.set_parent(context);
}

/// The current span's context as a `traceparent` value, for a row or a message.
/// None outside any trace.
pub fn current_traceparent() -> Option<String> {
    let mut headers = HeaderMap::new();
    inject(&mut headers);
    headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Whether the current span is recorded: outside of such a trace there is no need to describe
/// anything.
pub fn is_sampled() -> bool {
    Context::map_current(|context| context.span().span_context().is_sampled())
}

/// Links `span` to the creator of a row or message, from its `traceparent` value: for a span that is
/// about many of them, which cannot all be its parent.
pub fn add_link_from(span: &Span, traceparent: &str) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(traceparent) {
        headers.insert(TRACEPARENT, value);
    }
    let context =
        global::get_text_map_propagator(|propagator| propagator.extract(&Headers(&headers)));
    let creator = context.span().span_context().clone();
    if creator.is_valid() {
        span.add_link(creator);
    }
}

/// Makes the creator of a row or message the parent of `span`, from its `traceparent` value.
pub fn set_parent_from(span: &Span, traceparent: &str) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(traceparent) {
        headers.insert(TRACEPARENT, value);
        set_parent(span, &headers);
    }
}

fn inject_context(context: &Context, headers: &mut HeaderMap) {
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(context, &mut HeadersMut(headers));
    });
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
