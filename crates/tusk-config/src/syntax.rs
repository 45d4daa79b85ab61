//! From text to a tree: one pass over the bytes, linear, with a span on everything.
//!
//! The language is line-shaped (a bareword runs to the end of its line, or to a comma inside
//! brackets), so there is no separate stage of tokens: the parser asks the scanner for what may
//! stand at this place. A construct that nothing here reads yet is named in its fault. After a fault
//! the parser goes on at the next entry, so that all of a file's faults come out together.
//!
//! | module | reads |
//! |---|---|
//! | [`file`] | sections, entries, what to do after a fault |
//! | [`value`] | values, lists, objects, barewords |
//! | [`text`] | quoted strings and what is interpolated in them |
//! | [`operator`] | `@env`, `@http` and the rest |
//! | [`number`] | every form of number; shared with the typed reading of text |
//! | [`construct`] | names for what is not read |
//! | [`scan`] | blanks, comments, characters |

use std::sync::Arc;

use crate::fault::Fault;
use crate::source::{Place, Source, Span};
use crate::tree::Table;

mod construct;
mod file;
pub(crate) mod number;
mod operator;
mod scan;
mod text;
mod value;

/// How deep lists, objects, sections and references may nest.
pub(crate) const DEPTH_MAX: usize = 64;

/// How many faults of one file are reported.
const FAULTS_MAX: usize = 100;

/// What one file says.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) root: Table,
    /// `$name` entries; not part of the output.
    pub(crate) globals: Table,
    /// Errors and warnings, in no particular order.
    pub(crate) faults: Vec<Fault>,
}

/// Reads one file. Never fails as a whole: what cannot be read is broken in the tree and a fault.
pub(crate) fn parse(source: &Arc<Source>, id: u32) -> Document {
    let mut parser = Parser {
        source,
        text: source.text.as_str(),
        bytes: source.text.as_bytes(),
        id,
        pos: 0,
        depth: 0,
        faults: Vec::new(),
    };
    parser.document()
}

/// A fault is on the list; whoever gets this goes back to where reading can go on.
#[derive(Debug)]
struct Stop;

struct Parser<'s> {
    source: &'s Arc<Source>,
    text: &'s str,
    bytes: &'s [u8],
    id: u32,
    pos: usize,
    /// Brackets that are open.
    depth: usize,
    faults: Vec<Fault>,
}

impl Parser<'_> {
    /// From `start` up to here.
    fn span(&self, start: usize) -> Span {
        self.span_of(start, self.pos)
    }

    fn span_of(&self, start: usize, end: usize) -> Span {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { source: self.id, start: offset(start), end: offset(end) }
    }

    fn place(&self, span: Span) -> Place {
        Place { source: Arc::clone(self.source), span }
    }

    fn report(&mut self, fault: Fault) -> Stop {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
        Stop
    }

    /// Reports an error at `span`.
    fn error(&mut self, span: Span, text: impl Into<String>) -> Stop {
        let place = self.place(span);
        self.report(Fault::error(Some(place), text))
    }

    fn error_with_help(
        &mut self,
        span: Span,
        text: impl Into<String>,
        help: impl Into<String>,
    ) -> Stop {
        let place = self.place(span);
        self.report(Fault::error(Some(place), text).help(help))
    }

    /// Runs `inner` one level deeper.
    fn nested<T>(
        &mut self,
        start: usize,
        inner: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        if self.depth == DEPTH_MAX {
            let span = self.span_of(start, start + 1);
            return Err(self.error(span, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
}

#[cfg(test)]
mod tests;
