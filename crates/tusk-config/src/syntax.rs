//! From text to a tree: one pass over the bytes, linear, with a span on everything.
//!
//! The language is line-shaped (a text without quotes runs to the end of its line, or to a comma
//! inside brackets), so there is no separate stage of tokens: the parser asks the scanner for what
//! may stand at this place. What is a script, and not configuration, is named in its fault. After a
//! fault the parser goes on at the next entry, so that all of a file's faults come out together.
//!
//! | module | reads |
//! |---|---|
//! | [`file`] | sections, entries, what to do after a fault |
//! | [`key`] | keys and names of sections |
//! | [`block`] | groups of entries: braces, angle brackets, indentation; lists with dashes |
//! | [`bracket`] | what a bracket holds, and what to do when nothing closes it |
//! | [`value`] | values, lists, texts without quotes |
//! | [`expression`] | operators between values, ternaries |
//! | [`text`], [`interpolation`], [`heredoc`] | texts and what is filled into them |
//! | [`operator`] | `@env`, `@http` and the rest |
//! | [`number`] | every form of number; shared with the typed reading of text |
//! | [`construct`] | names for what is not read |
//! | [`scan`] | blanks, comments, characters |
//! | [`mark`] | the layout, for the formatter |

use std::sync::Arc;

use crate::fault::Fault;
use crate::source::{Location, Source, Span};
use crate::tree::Table;

mod block;
mod bracket;
mod construct;
mod expression;
mod file;
mod heredoc;
mod interpolation;
mod key;
pub(crate) mod mark;
pub(crate) mod number;
mod operator;
mod scan;
mod text;
mod value;

pub(crate) use interpolation::is_name;
use mark::Mark;

/// How deep lists, objects, blocks, sections, expressions and references may nest, and how many
/// operators one expression may have.
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
    /// The files that it takes keys from, with the place of each first mention.
    pub(crate) imports: Vec<(Box<str>, Span)>,
}

/// Reads one file. Never fails as a whole: what cannot be read is broken in the tree and a fault.
pub(crate) fn parse(source: &Arc<Source>, id: u32) -> Document {
    Parser::new(source, id, None).document()
}

/// Reads one file and notes how it is laid out.
pub(crate) fn parse_with_layout(source: &Arc<Source>, id: u32) -> (Document, Vec<Mark>) {
    let mut parser = Parser::new(source, id, Some(Vec::new()));
    let document = parser.document();
    (document, parser.marks.unwrap_or_default())
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
    /// Brackets and blocks that are open.
    depth: usize,
    /// Where the entry that is being read begins.
    entry: usize,
    /// Where to go on after a bracket that nothing closes.
    resume: Option<usize>,
    /// How many brackets of the file nothing closes.
    left_open: usize,
    faults: Vec<Fault>,
    imports: Vec<(Box<str>, Span)>,
    /// The layout so far, when it is wanted.
    marks: Option<Vec<Mark>>,
    /// How many values that are copied as a whole are being read.
    unmarked: usize,
}

impl<'s> Parser<'s> {
    fn new(source: &'s Arc<Source>, id: u32, marks: Option<Vec<Mark>>) -> Self {
        Self {
            source,
            text: source.text.as_str(),
            bytes: source.text.as_bytes(),
            id,
            pos: 0,
            depth: 0,
            entry: 0,
            resume: None,
            left_open: 0,
            faults: Vec::new(),
            imports: Vec::new(),
            marks,
            unmarked: 0,
        }
    }

    /// From `start` up to here.
    fn span(&self, start: usize) -> Span {
        self.span_of(start, self.pos)
    }

    fn span_of(&self, start: usize, end: usize) -> Span {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { source: self.id, start: offset(start), end: offset(end) }
    }

    fn location(&self, span: Span) -> Location {
        Location { source: Arc::clone(self.source), span }
    }

    fn report(&mut self, fault: Fault) -> Stop {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
        Stop
    }

    /// Reports an error at `span`.
    fn error(&mut self, span: Span, text: impl Into<String>) -> Stop {
        let location = self.location(span);
        self.report(Fault::error(Some(location), text))
    }

    fn error_with_help(
        &mut self,
        span: Span,
        text: impl Into<String>,
        help: impl Into<String>,
    ) -> Stop {
        let location = self.location(span);
        self.report(Fault::error(Some(location), text).help(help))
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
