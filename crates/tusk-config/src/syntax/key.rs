//! Keys: `name`, `a.b`, `"any text"`, `$global`; and the names of sections.

use super::mark::What;
use super::scan::{is_key, is_word};
use super::{DEPTH_MAX, Parser, Stop};
use crate::source::Span;
use crate::tree::{Entry, Expr, Node, Table};

/// A key as written.
pub(super) struct Key {
    name: Box<str>,
    span: Span,
    /// What follows the first name of a dotted key, from the outside in.
    inner: Vec<(Box<str>, Span)>,
    pub(super) global: bool,
}

impl Key {
    fn plain(name: Box<str>, span: Span) -> Self {
        Self { name, span, inner: Vec::new(), global: false }
    }

    /// The entry that puts `value` at this path, in tables as needed.
    pub(super) fn into_entry(self, value: Node) -> Entry {
        if self.inner.is_empty() {
            return Entry::new(self.name, self.span, value);
        }
        let inside = self.inner.into_iter().rev().fold(value, |value, (key, key_span)| {
            let span = value.span;
            let mut table = Table::new(key_span);
            table.put(Entry::new(key, key_span, value), &mut |_, _| {});
            Node { expr: Expr::Table(Box::new(table)), span }
        });
        Entry::new(self.name, self.span, inside)
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// The last of its names: what an entry is called in messages.
    pub(super) fn last_span(&self) -> Span {
        self.inner.last().map_or(self.span, |(_, span)| *span)
    }

    pub(super) fn name(&self) -> String {
        let inner = self.inner.iter().map(|(key, _)| &**key);
        std::iter::once(&*self.name).chain(inner).collect::<Vec<_>>().join(".")
    }
}

impl Parser<'_> {
    pub(super) fn key(&mut self) -> Result<Key, Stop> {
        let start = self.pos;
        if matches!(self.peek(), Some(b'"' | b'\'')) {
            let node = self.quoted()?;
            let Expr::Text { text, .. } = node.expr else {
                return Err(self.error(node.span, "a key cannot have interpolation"));
            };
            return Ok(Key::plain(text, node.span));
        }
        let global = self.eat(b'$');
        let (name, _) = self.key_name()?;
        let mut key = Key { global, ..Key::plain(name, self.span(start)) };
        while self.eat(b'.') {
            let name = self.key_name()?;
            key.inner.push(name);
        }
        if key.inner.len() >= DEPTH_MAX {
            let span = self.span(start);
            return Err(self.error(span, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(key)
    }

    fn key_name(&mut self) -> Result<(Box<str>, Span), Stop> {
        let start = self.pos;
        self.pos = self.run(start, is_key);
        // A dash begins an item, and a byte order mark a file.
        if self.text[start..self.pos].starts_with(['-', '\u{feff}']) {
            self.pos = start;
        }
        if self.pos == start {
            let span = self.span_of(start, self.after_char());
            let text = format!("expected a key, found {}", self.found());
            return Err(self.error(span, text));
        }
        Ok((self.text[start..self.pos].into(), self.span(start)))
    }

    /// `[name]`, `[a.b]`, `[kind:name]`, `["any text"]`, alone on its line.
    pub(super) fn header(&mut self) -> Result<Key, Stop> {
        let start = self.pos;
        if self.starts("[[") {
            let span = self.span_of(start, start + 2);
            let help = "write a list of objects: `name: [{…}, {…}]`";
            return Err(self.unsupported(span, "a list of sections `[[…]]`", help));
        }
        let line = self.line_rest();
        let span = self.span_of(start, start + line.len());
        let Some(length) = line.find(']') else {
            let text = "expected `]` after the name of the section";
            return Err(self.error_with_help(span, text, "write [name]"));
        };
        let name = line[1..length].trim();
        self.pos = start + length + 1;
        let span = self.span(start);
        let Some(path) = section_path(name) else {
            let text = format!("`{}` is no name of a section", name.escape_debug());
            let help = "use letters, digits, `_` and `-`; `.` between nested names; `kind:name`";
            return Err(self.error_with_help(span, text, help));
        };
        if path.len() > DEPTH_MAX {
            return Err(self.error(span, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.mark(What::Section, start);
        self.spaces()?;
        if !self.at_end_of_line() {
            let text = "a section header stands alone on its line";
            let rest = self.span_of(self.pos, start + line.len());
            return Err(self.error(rest, text));
        }
        let mut path = path.into_iter();
        let mut key = Key::plain(path.next().unwrap_or_default().into(), span);
        key.inner = path.map(|name| (name.into(), span)).collect();
        Ok(key)
    }
}

/// The path that a section header names. A name with a colon is one literal key, such as
/// `service:user-service`; otherwise dots separate nested names.
fn section_path(name: &str) -> Option<Vec<&str>> {
    let quoted = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(literal) = quoted('"').or_else(|| quoted('\'')) {
        return (!literal.is_empty() && !literal.contains(['"', '\'', '\\']))
            .then(|| vec![literal]);
    }
    let ok = |byte: u8| is_word(byte) || matches!(byte, b'-' | b'.' | b':' | b'/');
    if name.is_empty() || !name.bytes().all(ok) {
        return None;
    }
    if name.contains(':') {
        return Some(vec![name]);
    }
    name.split('.').map(|key| (!key.is_empty()).then_some(key)).collect()
}
