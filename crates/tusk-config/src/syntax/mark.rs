//! The layout of a file, for the formatter: what stands where, in the order of the file.
//!
//! The tree forgets the forms that entries were written in, their order and their repetitions. The
//! parser notes them beside it, when it is asked to.

use super::Parser;
use crate::source::Span;

/// One thing that the formatter puts in its place. Everything between two of them is blanks,
/// separators and comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) what: What,
    /// Bytes of the source.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// `[name]`
    Section,
    /// A key, its value (or what it opens) next.
    Key,
    /// The type in `key: type = value`.
    Type,
    /// A value that is copied as it stands; empty for `key:` without one.
    Value,
    /// The `-` of an item of a list, the item next.
    Dash,
    /// What opens a group of entries or items, up to its `Close`.
    Open(Form),
    Close,
}

/// How a group is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `key: {…}`, or an object in a list.
    Object,
    /// `key {…}`
    Brace,
    /// `key: […]`, or a list in a list.
    List,
    /// `key […]`
    BareList,
    /// `key >` … `<`
    Angle,
    /// Entries on deeper lines; nothing opens or closes them.
    Indent,
    /// Items with dashes; nothing opens or closes them.
    Dashes,
}

impl Parser<'_> {
    /// Notes that `what` stands from `start` up to here.
    pub(super) fn mark(&mut self, what: What, start: usize) {
        let end = self.pos;
        if self.unmarked == 0
            && let Some(marks) = &mut self.marks
        {
            marks.push(Mark { what, start, end });
        }
    }

    /// Notes a place that takes no room.
    pub(super) fn mark_here(&mut self, what: What) {
        self.mark(what, self.pos);
    }

    /// Notes an empty place at `at`, which is behind the last mark.
    pub(super) fn mark_at(&mut self, what: What, at: usize) {
        self.mark_span(what, self.span_of(at, at));
    }

    pub(super) fn mark_span(&mut self, what: What, span: Span) {
        if self.unmarked == 0
            && let Some(marks) = &mut self.marks
        {
            marks.push(Mark { what, start: span.start as usize, end: span.end as usize });
        }
    }

    /// Runs `inner`, which reads part of a value that is copied as a whole.
    pub(super) fn unmarked<T>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.unmarked += 1;
        let result = inner(self);
        self.unmarked -= 1;
        result
    }
}
