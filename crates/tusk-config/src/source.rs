//! Source text, and places in it.

use std::fmt;
use std::sync::Arc;

/// One file: the name it is reported under, and its text.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A stretch of one source, in bytes. Small and `Copy`, because every node of a tree has one; it
/// becomes a [`Location`] when somebody is to see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Index into [`Sources`].
    pub(crate) source: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// All files of one load, in the order in which they were read.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sources(Vec<(Arc<Source>, Home)>);

/// What a file belongs to: a reference finds what is in the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// The files that are merged.
    Main,
    /// A file that keys are taken from, by its number.
    Import(usize),
}

impl Sources {
    /// The index that the spans of the next file carry.
    pub(crate) fn next(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Adds a file and gives the index that its spans carry.
    pub(crate) fn add(&mut self, source: Arc<Source>, home: Home) -> u32 {
        let id = self.next();
        self.0.push((source, home));
        id
    }

    /// The size of all files together.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|(source, _)| source.text.len()).sum()
    }

    /// What the file of `span` belongs to.
    pub(crate) fn home(&self, span: Span) -> Home {
        self.0.get(span.source as usize).map_or(Home::Main, |(_, home)| *home)
    }

    /// The text under `span`.
    pub(crate) fn slice(&self, span: Span) -> &str {
        let text = self.0.get(span.source as usize).map_or("", |(source, _)| source.text.as_str());
        text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    pub(crate) fn location(&self, span: Span) -> Option<Location> {
        let source = Arc::clone(&self.0.get(span.source as usize)?.0);
        Some(Location { source, span })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(source, _)| source.name.as_str())
    }
}

/// Where something stands: file, line and column.
#[derive(Clone)]
pub struct Location {
    pub(crate) source: Arc<Source>,
    pub(crate) span: Span,
}

impl Location {
    /// The file, as it was named to the loader.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.before().bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// The column, counted in characters from 1.
    pub fn column(&self) -> usize {
        let start = self.before().rfind('\n').map_or(0, |at| at + 1);
        let line = self.before().get(start..).unwrap_or("");
        line.trim_start_matches('\u{feff}').chars().count() + 1
    }

    /// The column after its last character on that line, counted in characters from 1.
    pub fn end_column(&self) -> usize {
        self.column() + self.width()
    }

    /// The whole line, without its end.
    pub(crate) fn source_line(&self) -> &str {
        let text = self.source.text.as_str();
        let start = self.before().rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(start..).unwrap_or("").lines().next().unwrap_or("");
        line.trim_start_matches('\u{feff}')
    }

    /// How many characters of the line the place covers; at least one.
    pub(crate) fn width(&self) -> usize {
        let start = self.span.start as usize;
        let end = self.span.end as usize;
        let text = self.source.text.get(start..end).unwrap_or("");
        text.lines().next().unwrap_or("").chars().count().max(1)
    }

    fn before(&self) -> &str {
        self.source.text.get(..self.span.start as usize).unwrap_or("")
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file(), self.line(), self.column())
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
