//! A file: sections and entries, and where to go on after a fault.

use super::scan::is_word;
use super::value::Within;
use super::{DEPTH_MAX, Document, Parser, Stop};
use crate::fault::Fault;
use crate::source::Span;
use crate::tree::{Entry, Expr, Node, Table};

/// A key as written: `name`, `a.b`, `"any text"`, `$global`.
pub(super) struct Key {
    /// From the outside in; at least one.
    path: Vec<(Box<str>, Span)>,
    global: bool,
}

impl Key {
    /// The entry that puts `value` at this path, in tables as needed.
    pub(super) fn into_entry(self, value: Node) -> Entry {
        let mut path = self.path.into_iter().rev();
        let (key, key_span) = path.next().unwrap_or_else(|| ("".into(), value.span));
        let mut entry = Entry { key, key_span, value };
        for (key, key_span) in path {
            let mut table = Table::new(key_span);
            let span = entry.value.span;
            table.put(entry, &mut |_, _| {});
            entry = Entry { key, key_span, value: Node { expr: Expr::Table(table), span } };
        }
        entry
    }

    fn span(&self) -> Span {
        self.path[0].1
    }

    fn name(&self) -> String {
        let keys: Vec<_> = self.path.iter().map(|(key, _)| &**key).collect();
        keys.join(".")
    }
}

/// The section that entries go to.
struct Open {
    /// `None` for a section whose header could not be read; its entries are dropped.
    header: Option<Key>,
    table: Table,
}

impl Parser<'_> {
    pub(super) fn document(&mut self) -> Document {
        let start = self.span(0);
        let (mut root, mut globals) = (Table::new(start), Table::new(start));
        let mut open: Option<Open> = None;
        while self.blank().is_ok() && self.pos < self.bytes.len() {
            let indent = self.indent_of(self.pos);
            if self.peek() == Some(b'[') {
                self.close(&mut root, open.take());
                let start = self.pos;
                let header = self.header().ok();
                root.broken |= header.is_none();
                let table = Table::new(header.as_ref().map_or(self.span(start), Key::span));
                if header.is_none() {
                    self.pos = self.line_end();
                }
                open = Some(Open { header, table });
                continue;
            }
            let table = open.as_mut().map_or(&mut root, |open| &mut open.table);
            match self.entry(indent) {
                Ok((key, value)) if key.global => self.put(&mut globals, key, value),
                Ok((key, value)) => self.put(table, key, value),
                Err(Stop) => {
                    table.broken = true;
                    self.recover(indent);
                }
            }
        }
        self.close(&mut root, open.take());
        Document { root, globals, faults: std::mem::take(&mut self.faults) }
    }

    /// Puts a finished section into the file.
    fn close(&mut self, root: &mut Table, open: Option<Open>) {
        let Some(Open { header: Some(header), table }) = open else {
            return;
        };
        let span = table.span;
        self.put(root, header, Node { expr: Expr::Table(table), span });
    }

    /// `[name]`, `[a.b]`, `[kind:name]`, `["any text"]`, alone on its line.
    fn header(&mut self) -> Result<Key, Stop> {
        let start = self.pos;
        if self.starts("[[") {
            let span = self.span_of(start, start + 2);
            let help = "write a list of objects: `name: [{…}, {…}]`";
            return Err(self.unsupported(span, "a list of sections `[[…]]`", help));
        }
        let line = self.line_rest();
        let span = self.span_of(start, start + line.len());
        let Some(length) = line.find(']') else {
            return Err(self.error_with_help(
                span,
                "expected `]` after the name of the section",
                "write [name]",
            ));
        };
        let name = line[1..length].trim();
        self.pos = start + length + 1;
        let span = self.span(start);
        let path = section_path(name).ok_or(());
        let Ok(path) = path else {
            let text = format!("`{}` is no name of a section", name.escape_debug());
            let help = "use letters, digits, `_` and `-`; `.` between nested names; `kind:name`";
            return Err(self.error_with_help(span, text, help));
        };
        if path.len() > DEPTH_MAX {
            return Err(self.error(span, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.spaces()?;
        if !self.at_end_of_line() {
            let text = "a section header stands alone on its line";
            let rest = self.span_of(self.pos, start + line.len());
            return Err(self.error(rest, text));
        }
        Ok(Key { path: path.into_iter().map(|key| (key, span)).collect(), global: false })
    }

    /// `key: value` and the other forms of an entry, on a line of their own.
    fn entry(&mut self, indent: usize) -> Result<(Key, Node), Stop> {
        self.check_line()?;
        let key = self.key()?;
        let start = self.pos;
        let value = self.spaces().and_then(|()| {
            let value = self.entry_value(Within::Line, &key)?;
            self.spaces()?;
            self.eat(b';');
            self.spaces()?;
            if self.at_end_of_line() { Ok(value) } else { Err(self.after_value()) }
        });
        let value = value.unwrap_or_else(|Stop| {
            self.recover(indent);
            Node { expr: Expr::Broken, span: self.span_of(start, start) }
        });
        Ok((key, value))
    }

    /// Refuses a line that cannot begin with a key.
    fn check_line(&mut self) -> Result<(), Stop> {
        let span = self.span_of(self.pos, self.pos + self.line_rest().len());
        match self.peek() {
            Some(b'-') if self.starts("- ") => {
                let help = "write the list in brackets: `key: [a, b]`";
                Err(self.unsupported(span, "a list with dashes", help))
            }
            Some(b'@') => {
                let name = self.line_rest().split(['(', ' ']).next().unwrap_or("@").to_owned();
                Err(self.script(span, &name))
            }
            _ => Ok(()),
        }
    }

    /// What follows a key: a separator and a value, or a block without one.
    pub(super) fn entry_value(&mut self, within: Within, key: &Key) -> Result<Node, Stop> {
        let here = self.span_of(self.pos, self.after_char());
        match self.peek() {
            Some(b'=') if self.starts("=>") => {
                let span = self.span_of(self.pos, self.pos + 2);
                Err(self.script(span, "=>"))
            }
            Some(b':' | b'=') => {
                self.pos += 1;
                self.spaces()?;
                if self.value_is_empty(within) {
                    self.empty(within, key)
                } else {
                    self.value(within)
                }
            }
            Some(b'{') => self.object(),
            Some(b'[') => self.list(),
            Some(b'>') => {
                let help = "write the block in braces: `key { … }`";
                Err(self.unsupported(here, "a block in angle brackets", help))
            }
            _ => {
                let text =
                    format!("expected `:` or `=` after `{}`, found {}", key.name(), self.found());
                Err(self.error(here, text))
            }
        }
    }

    fn value_is_empty(&self, within: Within) -> bool {
        let closed = within == Within::Object && matches!(self.peek(), Some(b',' | b';' | b'}'));
        closed || matches!(self.peek(), None | Some(b'\n')) || self.at_comment()
    }

    /// `key:` and nothing: null, unless the lines below are a block of a kind that is not read.
    fn empty(&mut self, within: Within, key: &Key) -> Result<Node, Stop> {
        let at = self.pos;
        let span = key.path.last().map_or(self.span_of(at, at), |(_, span)| *span);
        if within == Within::Line {
            let indent = self.indent_of(at);
            self.blank()?;
            let dash = self.starts("- ") && self.indent_of(self.pos) >= indent;
            let deeper = self.pos < self.bytes.len() && self.indent_of(self.pos) > indent;
            let same_line = !self.text[at..self.pos].contains('\n');
            self.pos = at;
            if dash {
                let help = "write the list in brackets: `key: [a, b]`";
                return Err(self.unsupported(span, "a list with dashes", help));
            }
            if deeper && !same_line {
                let help = "write the block in braces: `key { … }`, or as a section";
                return Err(self.unsupported(span, "a block by indentation", help));
            }
        }
        let text = format!("`{}` has no value", key.name());
        let fault =
            Fault::warning(Some(self.place(span)), text).help("write `null` if that is meant");
        self.report(fault);
        Ok(Node { expr: Expr::Null, span })
    }

    pub(super) fn key(&mut self) -> Result<Key, Stop> {
        let start = self.pos;
        if matches!(self.peek(), Some(b'"' | b'\'')) {
            let node = self.quoted()?;
            let Expr::Text { text, .. } = node.expr else {
                return Err(self.error(node.span, "a key cannot have interpolation"));
            };
            return Ok(Key { path: vec![(text, node.span)], global: false });
        }
        let global = self.eat(b'$');
        let mut path = Vec::new();
        loop {
            let first = self.pos;
            let word = |byte: &&u8| is_word(**byte) || **byte == b'-';
            self.pos += self.bytes[first..].iter().take_while(word).count();
            if self.pos == first {
                let span = self.span_of(first, self.after_char());
                let text = format!("expected a key, found {}", self.found());
                return Err(self.error(span, text));
            }
            path.push((self.text[first..self.pos].into(), self.span(first)));
            if !self.eat(b'.') {
                break;
            }
        }
        if path.len() > DEPTH_MAX {
            let span = self.span(start);
            return Err(self.error(span, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Key { path, global })
    }

    /// Goes to the next line that looks like the next entry: not deeper than the failed one, not the
    /// rest of a bracket or of a list.
    fn recover(&mut self, indent: usize) {
        loop {
            self.pos = (self.line_end() + 1).min(self.bytes.len());
            let line = self.line_rest();
            let content = line.trim_start();
            let deeper = line.len() - content.len() > indent;
            let rest =
                content.starts_with([']', '}', ')', '<', '>', ',']) || content.starts_with("- ");
            let blank = content.is_empty();
            if self.pos == self.bytes.len() || !(deeper || rest || blank) {
                return;
            }
        }
    }
}

/// The path that a section header names. A name with a colon is one literal key, as the seed's
/// lookups want it; otherwise dots separate nested names.
fn section_path(name: &str) -> Option<Vec<Box<str>>> {
    let quoted = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(literal) = quoted('"').or_else(|| quoted('\'')) {
        return (!literal.is_empty() && !literal.contains(['"', '\'', '\\']))
            .then(|| vec![literal.into()]);
    }
    let ok = |byte: u8| is_word(byte) || matches!(byte, b'-' | b'.' | b':' | b'/');
    if name.is_empty() || !name.bytes().all(ok) {
        return None;
    }
    if name.contains(':') {
        return Some(vec![name.into()]);
    }
    name.split('.').map(|key| (!key.is_empty()).then(|| key.into())).collect()
}
