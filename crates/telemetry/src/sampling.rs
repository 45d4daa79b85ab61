//! Which traces are recorded: whether a request's is, is drawn before its first span is made.

use std::sync::OnceLock;

use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::TelemetrySettings;

static INSTALLED: OnceLock<TraceSampler> = OnceLock::new();

/// What a context holds whose trace is recorded, as has been drawn: the first span of such a trace
/// must not draw again, or a hundredth would be left of a tenth.
#[derive(Debug)]
pub(crate) struct Drawn;

/// Records the traces that callers record, and of new ones as many as the settings say. With tracing
/// disabled that is none, and only the flag of callers goes on.
#[derive(Debug, Clone)]
pub(crate) struct TraceSampler {
    is_enabled: bool,
    probability: f64,
}

impl TraceSampler {
    pub(crate) fn new(settings: &TelemetrySettings) -> Self {
        let is_enabled = settings.tracing.enabled;
        let share = settings.sampling.probability.clamp(0.0, 1.0);
        Self { is_enabled, probability: if is_enabled { share } else { 0.0 } }
    }

    #[cfg(test)]
    pub(crate) fn always() -> Self {
        Self { is_enabled: true, probability: 1.0 }
    }

    /// From now on this sampler decides on requests.
    pub(crate) fn install(self) {
        INSTALLED.get_or_init(|| self);
    }

    /// Whether spans are made at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    fn draw(&self, trace: TraceId) -> SamplingResult {
        let draw = Sampler::TraceIdRatioBased(self.probability);
        draw.should_sample(None, trace, "", &SpanKind::Internal, &[], &[])
    }
}

/// Whether this process makes spans.
pub(crate) fn is_enabled() -> bool {
    INSTALLED.get().is_some_and(TraceSampler::is_enabled)
}

/// Draws whether a new trace is recorded; none is before [`init`](crate::init).
pub(crate) fn draw(trace: TraceId) -> bool {
    let drawn = INSTALLED.get().map(|sampler| sampler.draw(trace).decision);
    drawn == Some(SamplingDecision::RecordAndSample)
}

impl ShouldSample for TraceSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_drawn = parent.is_some_and(|context| context.get::<Drawn>().is_some());
        let root =
            if is_drawn { Sampler::AlwaysOn } else { Sampler::TraceIdRatioBased(self.probability) };
        let sampler = Sampler::ParentBased(Box::new(root));
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}
