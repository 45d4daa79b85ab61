//! Which traces there are, and where their spans stand.

use std::collections::{BTreeSet, HashMap};

use super::span::{Kind, Span, TraceId};

/// Spans of one trace that are kept; a loop that never ends would fill the run with one trace.
const SPANS_OF_TRACE_MAX: usize = 5_000;
/// Links that lead to a trace and are remembered.
const LINKS_MAX: usize = 64;

/// Where a span stands: its file, and the bytes in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// A trace in a line.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) trace: TraceId,
    /// Of the span that began it: without a parent, else the earliest.
    pub(crate) name: String,
    pub(crate) service: String,
    /// The services that have spans in it.
    pub(crate) services: BTreeSet<String>,
    /// Nanoseconds since 1970.
    pub(crate) began: u64,
    /// Nanoseconds since 1970.
    pub(crate) ended: u64,
    pub(crate) spans: usize,
    /// Spans whose status is an error.
    pub(crate) errors: usize,
    /// Whether the span that began it is there.
    has_root: bool,
}

impl Summary {
    /// Nanoseconds from its first to its last moment.
    pub(crate) fn took(&self) -> u64 {
        self.ended.saturating_sub(self.began)
    }
}

#[derive(Debug)]
struct Trace {
    summary: Summary,
    places: Vec<Place>,
    /// Traces that have a link to this one, or to which this one has.
    linked: BTreeSet<TraceId>,
}

/// The traces of a run, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Index {
    traces: HashMap<TraceId, Trace>,
    order: std::collections::VecDeque<TraceId>,
    /// Links that came before the trace that they lead to.
    early: HashMap<TraceId, BTreeSet<TraceId>>,
    spans: usize,
}

/// Which traces are asked for: those that answer all of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    /// Has spans of this service.
    pub(crate) service: Option<String>,
    /// Its name holds this, in any case of letters.
    pub(crate) name: Option<String>,
    /// Took so many nanoseconds at least.
    pub(crate) took_min: Option<u64>,
    /// Has a span that failed.
    pub(crate) has_errors: bool,
    /// Began at this time or later, in nanoseconds since 1970.
    pub(crate) since: Option<u64>,
}

impl Query {
    fn admits(&self, summary: &Summary) -> bool {
        self.service.as_ref().is_none_or(|service| summary.services.contains(service))
            && self
                .name
                .as_ref()
                .is_none_or(|name| summary.name.to_lowercase().contains(&name.to_lowercase()))
            && self.took_min.is_none_or(|least| summary.took() >= least)
            && self.since.is_none_or(|since| summary.began >= since)
            && (!self.has_errors || summary.errors > 0)
    }
}

impl Index {
    pub(super) fn add(&mut self, span: &Span, place: Place) {
        let early = &mut self.early;
        let trace = self.traces.entry(span.trace).or_insert_with(|| {
            self.order.push_back(span.trace);
            Trace {
                summary: Summary {
                    trace: span.trace,
                    name: String::new(),
                    service: String::new(),
                    services: BTreeSet::new(),
                    began: u64::MAX,
                    ended: 0,
                    spans: 0,
                    errors: 0,
                    has_root: false,
                },
                places: Vec::new(),
                linked: early.remove(&span.trace).unwrap_or_default(),
            }
        });
        if trace.places.len() >= SPANS_OF_TRACE_MAX {
            return;
        }
        trace.places.push(place);
        self.spans += 1;
        let summary = &mut trace.summary;
        let is_root = span.parent.is_none() && span.kind != Kind::Consumer;
        if (is_root && !summary.has_root) || (!summary.has_root && span.began < summary.began) {
            (summary.name, summary.service) = (span.name.clone(), span.service.clone());
            summary.has_root |= is_root;
        }
        if !summary.services.contains(&span.service) {
            summary.services.insert(span.service.clone());
        }
        summary.began = summary.began.min(span.began);
        summary.ended = summary.ended.max(span.ended());
        summary.spans += 1;
        summary.errors += usize::from(span.error.is_some());
        for link in span.links.iter().filter(|link| link.trace != span.trace) {
            self.link(span.trace, link.trace);
        }
    }

    fn link(&mut self, from: TraceId, to: TraceId) {
        for (one, other) in [(from, to), (to, from)] {
            let linked = match self.traces.get_mut(&one) {
                Some(trace) => &mut trace.linked,
                None if self.early.len() < 10_000 => self.early.entry(one).or_default(),
                None => continue,
            };
            if linked.len() < LINKS_MAX {
                linked.insert(other);
            }
        }
    }

    /// Forgets what stands in this file.
    pub(super) fn drop_segment(&mut self, segment: u32) {
        let spans = &mut self.spans;
        self.traces.retain(|_, trace| {
            let before = trace.places.len();
            trace.places.retain(|place| place.segment != segment);
            *spans -= before - trace.places.len();
            !trace.places.is_empty()
        });
        let traces = &self.traces;
        self.order.retain(|trace| traces.contains_key(trace));
    }

    pub(super) fn places(&self, trace: &TraceId) -> &[Place] {
        self.traces.get(trace).map_or(&[], |trace| &trace.places)
    }

    pub(super) fn linked(&self, trace: &TraceId) -> Vec<TraceId> {
        self.traces
            .get(trace)
            .map(|trace| trace.linked.iter().copied().collect())
            .unwrap_or_default()
    }

    pub(super) fn summary(&self, trace: &TraceId) -> Option<Summary> {
        self.traces.get(trace).map(|trace| trace.summary.clone())
    }

    /// The trace whose id begins like that, when there is one alone.
    pub(super) fn named(&self, prefix: &str) -> Option<TraceId> {
        let mut found =
            self.order.iter().filter(|trace| super::hex(&trace[..]).starts_with(prefix));
        found.next().copied().filter(|_| found.next().is_none())
    }

    /// The last traces that answer the question, the newest first, and how many there are in all.
    pub(super) fn find(&self, query: &Query, limit: usize) -> (Vec<Summary>, usize) {
        let newest = self.order.iter().rev().filter_map(|trace| self.traces.get(trace));
        let mut found = Vec::new();
        let mut count = 0;
        for trace in newest.filter(|trace| query.admits(&trace.summary)) {
            count += 1;
            if found.len() < limit {
                found.push(trace.summary.clone());
            }
        }
        (found, count)
    }

    /// Traces and spans.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.traces.len(), self.spans)
    }

    /// The services that have sent spans.
    pub(super) fn services(&self) -> BTreeSet<String> {
        self.traces.values().flat_map(|trace| trace.summary.services.iter().cloned()).collect()
    }
}
