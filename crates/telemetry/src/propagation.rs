//! W3C trace context over HTTP headers, outbox rows and message headers.
//!
//! Source of the format: <https://www.w3.org/TR/trace-context/>. It is read here, since the SDK's
//! propagator also takes what the standard says to ignore: ids that are too short, signs, a second
//! header. One who sends such a thing begins no trace of his own choice.

use std::str::FromStr;

use http::{HeaderMap, HeaderValue};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// The length of version 00, and of what later versions begin with.
const TRACEPARENT_BYTES: usize = 55;
/// A longer `tracestate` is left out; the standard asks for as much at least.
const TRACESTATE_BYTES_MAX: usize = 512;

/// Writes the current context as `traceparent` and `tracestate` headers.
pub fn inject(headers: &mut HeaderMap) {
    let current = |context: &Context| {
        let span = context.span();
        let state = span.span_context().trace_state().header();
        traceparent(span.span_context()).map(|traceparent| (traceparent, state))
    };
    let Some((traceparent, state)) = Context::map_current(current) else { return };
    for (name, value) in [(TRACEPARENT, traceparent), (TRACESTATE, state)] {
        if let Ok(value) = HeaderValue::try_from(value)
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
}

/// The current context as a `traceparent` value, for a row or a message. None outside any trace.
pub fn current_traceparent() -> Option<String> {
    Context::map_current(|context| traceparent(context.span().span_context()))
}

/// Whether the current trace is recorded: outside of such a trace there is no need to describe
/// anything.
pub fn is_sampled() -> bool {
    Context::map_current(|context| context.span().span_context().is_sampled())
}

/// Links `span` to the creator of a row or message, from its `traceparent` value: for a span that is
/// about many of them, which cannot all be its parent.
pub fn add_link_from(span: &Span, traceparent: &str) {
    link(span, parse(traceparent));
}

/// Makes the creator of a row or message the parent of `span`, from its `traceparent` value.
pub fn set_parent_from(span: &Span, traceparent: &str) {
    if let Some(context) = parse(traceparent) {
        set_parent_context(span, Context::new().with_remote_span_context(context));
    }
}

/// Makes `context` the parent of a span that has not begun.
pub(crate) fn set_parent_context(span: &Span, context: Context) {
    // Only fails where no trace layer is installed (tests), or when the span has begun already.
    let _ = span.set_parent(context);
}

pub(crate) fn link(span: &Span, context: Option<SpanContext>) {
    if let Some(context) = context {
        span.add_link(context);
    }
}

/// The caller's ids and its decision, without `tracestate`: of a stranger, that is a text of his own
/// choice.
pub(crate) fn ids(headers: &HeaderMap) -> Option<SpanContext> {
    one(headers, TRACEPARENT).and_then(parse)
}

/// The caller's context; none when its headers are not as the standard says.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<SpanContext> {
    let context = ids(headers)?;
    let lines = headers.get_all(TRACESTATE).iter().map(HeaderValue::to_str);
    let state = lines.collect::<Result<Vec<_>, _>>().unwrap_or_default().join(",");
    if state.is_empty() || state.len() > TRACESTATE_BYTES_MAX {
        return Some(context);
    }
    let state = TraceState::from_str(&state).unwrap_or_default();
    let trace = context.trace_id();
    let span = context.span_id();
    let flags = context.trace_flags();
    Some(SpanContext::new(trace, span, flags, true, state))
}

/// The value of a header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// A `traceparent` to the letter: `00-<32 hex>-<16 hex>-<2 hex>`, all lower case, no id of zeros.
/// What a later version adds is behind another hyphen; there is no version ff.
fn parse(text: &str) -> Option<SpanContext> {
    let (head, more) = text.split_at_checked(TRACEPARENT_BYTES)?;
    let [version, trace, span, flags] = head.split('-').collect::<Vec<_>>().try_into().ok()?;
    let version = u8::try_from(hex(version, 2)?).ok()?;
    if version == u8::MAX || !(more.is_empty() || version > 0 && more.starts_with('-')) {
        return None;
    }
    let trace = TraceId::from(hex(trace, 32)?);
    let span = SpanId::from(u64::try_from(hex(span, 16)?).ok()?);
    let flags = TraceFlags::new(u8::try_from(hex(flags, 2)?).ok()?) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

/// A number of exactly so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == digits && text.bytes().all(is_digit);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

fn traceparent(context: &SpanContext) -> Option<String> {
    let trace = context.trace_id();
    let span = context.span_id();
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    context.is_valid().then(|| format!("00-{trace}-{span}-{flags:02x}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{self, IdGenerator, SdkTracerProvider, SpanData, SpanProcessor};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::{Caller, RequestTrace};

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Begins all new traces with the same id.
    #[derive(Debug)]
    struct New;

    impl IdGenerator for New {
        fn new_trace_id(&self) -> TraceId {
            TraceId::from(7_u128)
        }

        fn new_span_id(&self) -> SpanId {
            SpanId::from(7_u64)
        }
    }

    /// Hands over the spans that have ended.
    #[derive(Debug)]
    struct Ended(Sender<SpanData>);

    impl SpanProcessor for Ended {
        fn on_start(&self, _: &mut trace::Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.send(span).unwrap();
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    /// Whether the current trace is that of the header.
    fn is_continued() -> bool {
        current_traceparent().is_some_and(|traceparent| traceparent.contains(TRACE))
    }

    /// Whether a request goes on with the trace of its headers.
    fn request_goes_on(headers: &HeaderMap) -> bool {
        let trace = RequestTrace::begin(headers, Caller::Trusted, Span::none);
        trace.in_scope(is_continued)
    }

    fn headers(traceparents: &[&str]) -> HeaderMap {
        let value = |text: &&str| HeaderValue::from_str(text).unwrap();
        let lines = traceparents.iter().map(value);
        lines.map(|value| (HeaderName::from_static(TRACEPARENT), value)).collect()
    }

    /// Whether the trace of this header goes on, and that of a row or a message with it.
    fn goes_on(traceparent: &str) -> [bool; 2] {
        let provider = SdkTracerProvider::builder().with_id_generator(New).build();
        let layer = crate::traces::layer(crate::traces::tracer(&provider), true);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("message");
            set_parent_from(&span, traceparent);
            [request_goes_on(&headers(&[traceparent])), span.in_scope(is_continued)]
        })
    }

    #[test]
    fn a_trace_goes_on_when_its_header_is_as_the_standard_says() {
        for good in [
            GOOD.to_owned(),
            GOOD.replace("-01", "-00"),
            GOOD.replace("-01", "-ff"),
            GOOD.replacen("00-", "01-", 1),
            // What a later version adds is behind another hyphen.
            GOOD.replacen("00-", "fe-", 1) + "-more",
        ] {
            assert_eq!(goes_on(&good), [true; 2], "{good}");
        }
    }

    #[test]
    fn a_header_that_is_not_as_the_standard_says_begins_a_new_trace() {
        let bad = [
            String::new(),
            "00-1-1-01".to_owned(),
            GOOD.replace("-01", "-1"),
            GOOD.replace("-01", ""),
            GOOD.replace("-01", "-0g"),
            GOOD.replace("-01", "-+1"),
            GOOD.replace("-01", "-0A"),
            format!("{GOOD}-"),
            format!("{GOOD}-more"),
            format!("{GOOD}0"),
            format!("{GOOD},{GOOD}"),
            GOOD.replace("0af7", "+af7"),
            GOOD.replace("0af7", "0AF7"),
            GOOD.replace("0af7", "0ag7"),
            GOOD.replace("0af7", "af7"),
            GOOD.replace("0af7", "00af7"),
            GOOD.replace("-b7ad", "-+7ad"),
            GOOD.replace("-b7ad", "-B7ad"),
            GOOD.replace("-b7ad", "-7ad"),
            GOOD.replace("-b7ad", "-0b7ad"),
            GOOD.replace(TRACE, &"0".repeat(32)),
            GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            GOOD.replacen("00-", "ff-", 1),
            GOOD.replacen("00-", "0-", 1),
            GOOD.replacen("00-", "+0-", 1),
            GOOD.replacen("00-", "000-", 1),
            GOOD.replacen("00-", "0A-", 1),
            GOOD.replacen("00-", "01-", 1) + "more",
            GOOD.replacen("00-", "01-", 1).replace("-01", ""),
            GOOD.replace('-', "_"),
            format!(" {GOOD}"),
        ];
        let taken: Vec<_> = bad.iter().filter(|bad| goes_on(bad) != [false; 2]).collect();
        assert!(taken.is_empty(), "{taken:#?}");
    }

    #[test]
    fn a_stranger_is_linked_and_what_he_writes_beside_his_trace_is_left_out() {
        let (sender, ended) = channel();
        let provider = SdkTracerProvider::builder().with_id_generator(New);
        let provider = provider.with_span_processor(Ended(sender)).build();
        let layer = crate::traces::layer(crate::traces::tracer(&provider), true);
        crate::sampling::TraceSampler::always().install();
        let mut headers = headers(&[GOOD]);
        headers.insert(TRACESTATE, HeaderValue::from_static("card=4242424242424242"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let make_span = || tracing::info_span!("request");
            RequestTrace::begin(&headers, Caller::Stranger, make_span).in_scope(|| {});
        });
        let span = ended.recv().unwrap();
        assert_eq!(span.span_context.trace_id(), New.new_trace_id());
        let [link] = &span.links[..] else { panic!("{:?}", span.links) };
        assert_eq!(link.span_context.trace_id().to_string(), TRACE);
        assert_eq!(link.span_context.trace_state().header(), "");
    }

    #[test]
    fn a_trace_state_goes_on_with_its_trace_unless_it_is_too_long_or_none() {
        let longest = format!("{}={}", "k".repeat(255), "v".repeat(256));
        for (lines, expected) in [
            (&["a=1,b=2", "c=3"][..], "a=1,b=2,c=3"),
            (&["nonsense"], ""),
            (&[&longest], &longest),
            (&[&longest, "a=1"], ""),
        ] {
            let mut headers = headers(&[GOOD]);
            for line in lines {
                headers.append(TRACESTATE, HeaderValue::from_str(line).unwrap());
            }
            let found = from_headers(&headers).unwrap().trace_state().header();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn no_header_and_several_begin_a_new_trace() {
        for several in [&[][..], &[GOOD, GOOD], &[GOOD, "nonsense"]] {
            assert!(!request_goes_on(&headers(several)), "{several:?}");
        }
    }
}
