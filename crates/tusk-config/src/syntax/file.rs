//! A file: sections and entries, and where to go on after a fault.

use super::key::Key;
use super::mark::What;
use super::value::Within;
use super::{Document, FAULTS_MAX, Parser, Stop};
use crate::fault::Fault;
use crate::tree::{Entry, Expr, Kind, Node, Table, Typed};

/// How many entries a section has room for from the start: most have no more.
const SECTION_ENTRIES: usize = 8;

/// The section that entries go to.
struct Open {
    /// `None` for a section whose header could not be read; its entries are dropped.
    header: Option<Key>,
    table: Table,
}

impl Parser<'_> {
    pub(super) fn document(&mut self) -> Document {
        let start = self.span(0);
        let mut root = Table::new(start);
        let mut globals = Table::new(start);
        let mut open: Option<Open> = None;
        while self.blank().is_ok() && self.pos < self.bytes.len() {
            if self.peek() == Some(b'[') {
                self.close(&mut root, open.take());
                let start = self.pos;
                let header = self.header().ok();
                root.broken |= header.is_none();
                let span = header.as_ref().map_or(self.span(start), Key::span);
                let table = Table::with_room(span, SECTION_ENTRIES);
                if header.is_none() {
                    self.pos = self.line_end();
                }
                open = Some(Open { header, table });
                continue;
            }
            let table = open.as_mut().map_or(&mut root, |open| &mut open.table);
            match self.entry() {
                Ok((key, value)) if key.global => self.put(&mut globals, key, value),
                Ok((key, value)) => self.put(table, key, value),
                Err(Stop) => table.broken = true,
            }
        }
        self.close(&mut root, open.take());
        let faults = std::mem::take(&mut self.faults);
        let imports = std::mem::take(&mut self.imports);
        Document { root, globals, faults, imports }
    }

    /// Puts a finished section into the file.
    fn close(&mut self, root: &mut Table, open: Option<Open>) {
        let Some(Open { header: Some(header), table }) = open else {
            return;
        };
        let span = table.span;
        self.put(root, header, Node { expr: Expr::Table(Box::new(table)), span });
    }

    /// `key: value` and the other forms of an entry, on a line of their own. After a fault the
    /// parser stands at the next entry.
    pub(super) fn entry(&mut self) -> Result<(Key, Node), Stop> {
        let begin = self.pos;
        let around = std::mem::replace(&mut self.entry, begin);
        let entry = self.entry_at(begin);
        self.entry = around;
        entry
    }

    fn entry_at(&mut self, begin: usize) -> Result<(Key, Node), Stop> {
        let Ok(key) = self.check_line().and_then(|()| self.key()) else {
            self.recover(begin);
            return Err(Stop);
        };
        self.mark(What::Key, begin);
        let start = self.pos;
        let value = self.spaces().and_then(|()| {
            let value = self.entry_value(Within::Line, &key)?;
            self.end_of_entry()?;
            Ok(value)
        });
        let value = value.unwrap_or_else(|Stop| {
            self.recover(begin);
            Node { expr: Expr::Broken, span: self.span_of(start, start) }
        });
        Ok((key, value))
    }

    /// Nothing but `;` and a comment may follow an entry on its line. A block without a closing
    /// bracket has ended the line already.
    fn end_of_entry(&mut self) -> Result<(), Stop> {
        if self.pos == self.bytes.len() || self.bytes[self.pos - 1] == b'\n' {
            return Ok(());
        }
        self.spaces()?;
        self.eat(b';');
        self.spaces()?;
        if self.at_end_of_line() { Ok(()) } else { Err(self.after_value()) }
    }

    /// Refuses a line that cannot begin with a key.
    fn check_line(&mut self) -> Result<(), Stop> {
        let what = match self.peek() {
            Some(b'-') if self.starts("- ") => "an item with a dash",
            Some(b'@') => {
                let name = self.line_rest().split(['(', ' ']).next().unwrap_or("@");
                let span = self.span_of(self.pos, self.pos + self.line_rest().len());
                return Err(self.script(span, name));
            }
            _ => return Ok(()),
        };
        let span = self.span_of(self.pos, self.pos + self.line_rest().len());
        let help = "a list with dashes follows `key:` on the lines below it";
        Err(self.error_with_help(span, format!("{what} belongs to no key"), help))
    }

    /// What follows a key: a separator and a value, or a block without one.
    pub(super) fn entry_value(&mut self, within: Within, key: &Key) -> Result<Node, Stop> {
        match self.peek() {
            Some(b'=') if self.starts("=>") => {
                let span = self.span_of(self.pos, self.pos + 2);
                Err(self.script(span, "=>"))
            }
            Some(b':' | b'=') => {
                let colon = self.eat(b':');
                self.pos += usize::from(!colon);
                self.spaces()?;
                if self.value_is_empty(within) {
                    return self.below(within, key);
                }
                match self.kind().filter(|_| colon) {
                    Some(kind) => self.typed(kind, within),
                    None => self.item(within),
                }
            }
            Some(b'{') => self.braces(),
            Some(b'[') => self.bare_list(),
            Some(b'>') => self.angle(),
            _ => {
                let here = self.span_of(self.pos, self.after_char());
                let text =
                    format!("expected `:` or `=` after `{}`, found {}", key.name(), self.found());
                Err(self.error(here, text))
            }
        }
    }

    /// The type of `key: type = value`, when one stands here with its `=`.
    fn kind(&self) -> Option<Kind> {
        if !self.peek()?.is_ascii_lowercase() {
            return None;
        }
        let end = self.run(self.pos, |byte| byte.is_ascii_lowercase());
        let equals = self.run(end, |byte| byte == b' ' || byte == b'\t');
        if self.bytes.get(equals) != Some(&b'=') || self.bytes.get(equals + 1) == Some(&b'=') {
            return None;
        }
        Some(match &self.text[self.pos..end] {
            "string" | "str" | "text" => Kind::Text,
            "int" | "integer" => Kind::Int,
            "float" => Kind::Float,
            "number" => Kind::Number,
            "bool" | "boolean" => Kind::Bool,
            "list" | "array" => Kind::List,
            "object" | "map" => Kind::Table,
            _ => return None,
        })
    }

    fn typed(&mut self, kind: Kind, within: Within) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos = self.run(start, |byte| byte.is_ascii_lowercase());
        self.mark(What::Type, start);
        self.spaces()?;
        self.pos += 1;
        self.spaces()?;
        let value = self.item(within)?;
        let span = value.span;
        Ok(Node { expr: Expr::Typed(Box::new(Typed { kind, value })), span })
    }

    fn value_is_empty(&self, within: Within) -> bool {
        let closed = within == Within::Object && matches!(self.peek(), Some(b',' | b';' | b'}'));
        closed || matches!(self.peek(), None | Some(b'\n')) || self.at_comment()
    }

    /// Puts an entry into a table, reporting what it replaces.
    pub(super) fn put(&mut self, table: &mut Table, key: Key, value: Node) {
        table.put(key.into_entry(value), &mut |old, new| self.report_replaced(old, new));
    }

    fn report_replaced(&mut self, old: &Entry, new: &Entry) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        let location = Some(self.location(new.key_span));
        let before = Some(self.location(old.key_span));
        let table = |entry: &Entry| entry.value.as_table().is_some();
        let fault = if table(old) == table(new) {
            let text = format!("`{}` is given twice; this one counts", new.key);
            Fault::warning(location, text).note(before, "the other one is here")
        } else {
            let text = format!("`{}` cannot be both a value and a group of keys", new.key);
            Fault::error(location, text).note(before, "the other one is here")
        };
        self.report(fault);
    }

    /// Goes to the next line that looks like the next entry: not deeper than the failed one, which
    /// began at `begin`, not the rest of a bracket or of a list.
    pub(super) fn recover(&mut self, begin: usize) {
        if let Some(resume) = self.resume.take() {
            self.pos = resume;
            return;
        }
        let indent = self.indent_of(begin);
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
