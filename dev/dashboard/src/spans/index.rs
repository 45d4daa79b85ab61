//! Which traces there are, and where their spans stand.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::span::{Kind, Span, TraceId};

/// Spans of one trace that are kept; a loop that never ends would fill the run with one trace.
const SPANS_OF_TRACE_MAX: usize = 5_000;
/// Links that lead to a trace and are remembered.
const LINKS_MAX: usize = 64;
/// Names that are kept once for all traces that have them.
const NAMES_MAX: usize = 10_000;
/// Services of one trace that are told.
const SERVICES_MAX: usize = 32;

/// Where a span stands: its file, and the bytes in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanLocation {
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// A trace in a line.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) trace: TraceId,
    /// Of the span that began it: without a parent, else the earliest.
    pub(crate) name: Arc<str>,
    pub(crate) service: Arc<str>,
    /// The services that have spans in it, in the order of their arrival.
    pub(crate) services: Vec<Arc<str>>,
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
    places: Vec<SpanLocation>,
    /// Traces that have a link to this one, or to which this one has.
    linked: BTreeSet<TraceId>,
}

/// The traces of a run, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Index {
    traces: HashMap<TraceId, Trace>,
    order: VecDeque<TraceId>,
    /// Links that came before the trace that they lead to.
    early: HashMap<TraceId, BTreeSet<TraceId>>,
    names: Names,
    services: BTreeSet<Arc<str>>,
    spans: usize,
}

/// Texts that thousands of traces share, each of them once in memory.
#[derive(Debug, Default)]
struct Names(HashSet<Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        if self.0.len() < NAMES_MAX {
            self.0.insert(Arc::clone(&name));
        }
        name
    }
}

/// Which traces are asked for: those that answer all of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    /// Has spans of this service.
    pub(crate) service: Option<String>,
    /// Its name holds this, which is in lower case, in any case of letters.
    pub(crate) name: Option<String>,
    /// Took so many nanoseconds at least.
    pub(crate) took_min: Option<u64>,
    /// Has a span that failed.
    pub(crate) has_errors: bool,
    /// Began at this time or later, in nanoseconds since 1970.
    pub(crate) since: Option<u64>,
    /// Began before this time.
    pub(crate) until: Option<u64>,
}

impl Query {
    fn admits(&self, summary: &Summary) -> bool {
        let Self { service, name, took_min, has_errors, since, until } = self;
        let is_of = |service: &String| summary.services.iter().any(|it| **it == **service);
        service.as_ref().is_none_or(is_of)
            && took_min.is_none_or(|least| summary.took() >= least)
            && since.is_none_or(|since| summary.began >= since)
            && until.is_none_or(|until| summary.began < until)
            && (!has_errors || summary.errors > 0)
            && name.as_ref().is_none_or(|name| summary.name.to_lowercase().contains(name))
    }
}

impl Index {
    pub(super) fn add(&mut self, span: &Span, place: SpanLocation) {
        let early = &mut self.early;
        let service = self.names.get(&span.service);
        if self.services.len() < NAMES_MAX {
            self.services.insert(Arc::clone(&service));
        }
        let trace = self.traces.entry(span.trace).or_insert_with(|| {
            self.order.push_back(span.trace);
            Trace {
                summary: Summary {
                    trace: span.trace,
                    name: Arc::clone(&service),
                    service: Arc::clone(&service),
                    services: Vec::new(),
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
        if !summary.has_root && (is_root || span.began < summary.began) {
            (summary.name, summary.service) = (self.names.get(&span.name), Arc::clone(&service));
            summary.has_root |= is_root;
        }
        if summary.services.len() < SERVICES_MAX && !summary.services.contains(&service) {
            summary.services.push(service);
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

    pub(super) fn places(&self, trace: &TraceId) -> &[SpanLocation] {
        self.traces.get(trace).map_or(&[], |trace| &trace.places)
    }

    /// The trace whose id begins like that, when there is one alone.
    pub(super) fn named(&self, prefix: &str) -> Option<TraceId> {
        if let Some(whole) = super::parse_hex(prefix) {
            return self.traces.contains_key(&whole).then_some(whole);
        }
        let digits: Vec<u8> = prefix
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()?;
        let begins = |trace: &TraceId| {
            digits.iter().enumerate().all(|(place, digit)| {
                let byte = trace.get(place / 2).copied().unwrap_or_default();
                *digit == if place % 2 == 0 { byte >> 4 } else { byte & 0xf }
            })
        };
        if digits.is_empty() || digits.len() > 32 {
            return None;
        }
        let mut found = self.order.iter().filter(|trace| begins(trace));
        found.next().copied().filter(|_| found.next().is_none())
    }

    /// The trace and those that are linked with it, and with those; the nearest first, up to a bound.
    pub(super) fn family(&self, trace: TraceId, traces_max: usize) -> Vec<TraceId> {
        let mut family = vec![trace];
        let mut place = 0;
        while let Some(next) = family.get(place).copied() {
            place += 1;
            let linked = self.traces.get(&next).into_iter().flat_map(|trace| &trace.linked);
            for other in linked {
                if family.len() >= traces_max {
                    return family;
                }
                if self.traces.contains_key(other) && !family.contains(other) {
                    family.push(*other);
                }
            }
        }
        family
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
        // They come in the order in which services export, some seconds apart.
        found.sort_by_key(|summary| std::cmp::Reverse(summary.began));
        (found, count)
    }

    /// Traces and spans.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.traces.len(), self.spans)
    }

    /// The services that have sent spans.
    pub(super) fn services(&self) -> Vec<Arc<str>> {
        self.services.iter().cloned().collect()
    }
}
