//! Spans: received, kept on disk in a folder for each run, and put together to traces.
//!
//! ```text
//! <system>/runs/20260115T093000Z/run.json        when it began, and by which process it is known
//!                                spans-0001.ndjson   a span a line, in the order of arrival
//! ```
//!
//! Memory holds where the spans of each trace stand and a summary, not the spans: a trace is read when
//! it is looked at. A run keeps its last [`SEGMENTS_MAX`] files of [`SEGMENT_MAX`] bytes or
//! [`SEGMENT_SPANS_MAX`] spans, and the folder the last [`RUNS_MAX`] runs.

mod compare;
mod edges;
mod import;
mod index;
mod run;
mod runs;
mod span;
mod tree;

pub(crate) use compare::{Pair, pairs};
pub(crate) use edges::Edge;
pub(crate) use import::Import;
pub(crate) use index::{Query, Summary};
pub(crate) use run::Run;
pub(crate) use runs::{Kept, Runs};
pub(crate) use span::{Span, attributes, cut, hex, parse_hex, service, text};
pub(crate) use tree::{Row, rows, self_times};

/// Bytes of one file of spans.
const SEGMENT_MAX: u64 = 8 << 20;
/// Spans of one file: small ones would otherwise be so many that memory, which knows where each stands, is
/// not bounded by the bytes on disk.
const SEGMENT_SPANS_MAX: usize = 7_500;
/// Files of one run, the oldest of which goes when there are more: 60,000 spans at most.
const SEGMENTS_MAX: usize = 8;
/// Runs that are kept, of the system's own and of imported ones each.
const RUNS_MAX: usize = 10;
