//! The trace of a request: whether it is recorded is known before anything of it is described.
//!
//! By the settings nine in ten traces are not recorded. Their requests have no span, which would be a
//! builder, a dozen attributes and a place in the registry for nobody, only a context with ids, which
//! their logs, calls, rows and messages repeat. No span is made within it either, as the layer of the
//! spans sees to.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::trace::{
    FutureExt, SpanContext, TraceContextExt, TraceFlags, TraceId, TraceState, WithContext,
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use tracing::instrument::Instrumented;
use tracing::{Instrument, Span};

use crate::{propagation, sampling};

/// Whether a request's headers decide on its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// One of ours: the trace goes on, and is recorded if the caller records it.
    Trusted,
    /// Anybody: a new trace begins, which is linked to the caller's if it is recorded.
    Stranger,
}

/// The trace of one request: a span if it is recorded, and bare ids if not.
#[derive(Debug, Clone)]
pub struct RequestTrace {
    span: Span,
    /// What is current around the span.
    context: Context,
}

impl RequestTrace {
    /// Continues the caller's trace or begins one. `span` makes the span of the request and is called
    /// only when the trace is recorded. Headers that are not as the standard says are ignored.
    pub fn begin(headers: &HeaderMap, caller: Caller, span: impl FnOnce() -> Span) -> Self {
        let is_trusted = caller == Caller::Trusted;
        match is_trusted.then(|| propagation::from_headers(headers)).flatten() {
            Some(remote) => Self::go_on(remote, span),
            None => Self::draw(headers, span),
        }
    }

    fn go_on(remote: SpanContext, span: impl FnOnce() -> Span) -> Self {
        if !(remote.is_sampled() && sampling::is_enabled()) {
            // A service that does not trace passes on what its caller decided.
            let trace = remote.trace_id();
            let flags = remote.trace_flags();
            return Self::unrecorded(trace, flags, remote.trace_state().clone());
        }
        let span = span();
        propagation::set_parent_context(&span, Context::new().with_remote_span_context(remote));
        Self { span, context: Context::new() }
    }

    fn draw(headers: &HeaderMap, span: impl FnOnce() -> Span) -> Self {
        let trace = RandomIdGenerator::default().new_trace_id();
        if !sampling::draw(trace) {
            return Self::unrecorded(trace, TraceFlags::NOT_SAMPLED, TraceState::NONE);
        }
        let span = span();
        propagation::set_parent_context(&span, Context::new().with_value(sampling::Drawn));
        propagation::link(&span, propagation::ids(headers));
        Self { span, context: Context::new() }
    }

    fn unrecorded(trace: TraceId, flags: TraceFlags, state: TraceState) -> Self {
        let id = RandomIdGenerator::default().new_span_id();
        let span = SpanContext::new(trace, id, flags, false, state);
        Self { span: Span::none(), context: Context::new().with_remote_span_context(span) }
    }

    /// The span of the request; a disabled one when the trace is not recorded.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Has a future run in the trace.
    pub fn run<F: Future>(&self, future: F) -> WithContext<Instrumented<F>> {
        future.instrument(self.span.clone()).with_context(self.context.clone())
    }

    /// Runs a function in the trace.
    pub fn in_scope<T>(&self, function: impl FnOnce() -> T) -> T {
        let _context = self.context.clone().attach();
        self.span.in_scope(function)
    }
}

/// Has a future run in the current trace wherever it is polled: for what is spawned.
pub fn in_current_trace<F: Future>(future: F) -> WithContext<Instrumented<F>> {
    RequestTrace { span: Span::current(), context: Context::current() }.run(future)
}
