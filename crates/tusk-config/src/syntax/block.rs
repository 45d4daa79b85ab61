//! Groups of entries: in braces, in angle brackets, by indentation; and lists with dashes.

use super::key::Key;
use super::mark::{Form, What};
use super::scan::is_key;
use super::value::Within;
use super::{Parser, Stop};
use crate::fault::Fault;
use crate::tree::{Expr, Node, Table};

impl Parser<'_> {
    /// `{a: 1, b: 2}`, over any number of lines.
    pub(super) fn object(&mut self) -> Result<Node, Stop> {
        self.group(Form::Object)
    }

    /// The block of `key { … }`.
    pub(super) fn braces(&mut self) -> Result<Node, Stop> {
        self.group(Form::Brace)
    }

    fn group(&mut self, form: Form) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos += 1;
        self.mark(What::Open(form), start);
        let mut table = Table::new(self.span(start));
        self.bracket(start, b'}', |parser| {
            loop {
                parser.blank()?;
                if parser.peek() == Some(b'}') {
                    parser.pos += 1;
                    parser.mark(What::Close, parser.pos - 1);
                    return Ok(());
                }
                parser.need_more(start, b'}')?;
                let begin = parser.pos;
                let key = parser.key()?;
                parser.mark(What::Key, begin);
                parser.spaces()?;
                let value = parser.entry_value(Within::Object, &key)?;
                parser.put(&mut table, key, value);
                parser.separator(Within::Object, b'}')?;
            }
        })?;
        table.span = self.span(start);
        Ok(Node { expr: Expr::Table(Box::new(table)), span: self.span(start) })
    }

    /// `key >`, entries on lines of their own, and `<` on the last.
    pub(super) fn angle(&mut self) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos += 1;
        self.mark(What::Open(Form::Angle), start);
        self.spaces()?;
        if !self.at_end_of_line() {
            let span = self.span_of(self.pos, self.after_char());
            let text = "a block in angle brackets begins on the next line";
            return Err(self.error_with_help(span, text, "write `key >`, entries below, then `<`"));
        }
        let mut table = Table::new(self.span(start));
        self.nested(start, |parser| {
            loop {
                parser.blank()?;
                if parser.peek() == Some(b'<') && !parser.starts("<<") {
                    parser.pos += 1;
                    parser.mark(What::Close, parser.pos - 1);
                    return Ok(());
                }
                parser.need_more(start, b'<')?;
                parser.entry_of(&mut table);
            }
        })?;
        table.span = self.span(start);
        Ok(Node { expr: Expr::Table(Box::new(table)), span: self.span(start) })
    }

    /// One entry of a block whose entries have lines of their own.
    fn entry_of(&mut self, table: &mut Table) {
        match self.entry() {
            Ok((key, value)) => self.put(table, key, value),
            Err(Stop) => table.broken = true,
        }
    }

    /// What follows `key:` when its line ends: entries or items on the lines below, or nothing.
    pub(super) fn below(&mut self, within: Within, key: &Key) -> Result<Node, Stop> {
        let at = self.pos;
        if matches!(within, Within::Line | Within::Object) {
            self.blank()?;
            let begin = self.pos;
            // Only then, so that no line is walked over for each of its keys.
            if self.text[at..begin].contains('\n') && begin < self.bytes.len() {
                let indent = self.column_of(key.span().start as usize);
                let column = self.column_of(begin);
                let deeper = column > indent && !self.at_closing();
                if self.at_dash() && (deeper || column == indent) {
                    self.mark_at(What::Open(Form::Dashes), at);
                    return self.dashes(column);
                }
                if deeper && self.bytes[begin] != b'[' {
                    self.mark_at(What::Open(Form::Indent), at);
                    return self.indented(indent, begin);
                }
            }
            self.pos = at;
        }
        let span = key.last_span();
        let text = format!("`{}` has no value", key.name());
        let fault =
            Fault::warning(Some(self.location(span)), text).help("write `null` if that is meant");
        self.report(fault);
        self.mark_here(What::Value);
        Ok(Node { expr: Expr::Null, span })
    }

    fn at_closing(&self) -> bool {
        match self.peek() {
            Some(b'<') => !self.starts("<<"),
            found => matches!(found, None | Some(b'}' | b']' | b')' | b',')),
        }
    }

    fn at_dash(&self) -> bool {
        self.peek() == Some(b'-')
            && matches!(self.peek_at(1), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
    }

    /// Entries that stand deeper than `indent`; the first begins here.
    fn indented(&mut self, indent: usize, start: usize) -> Result<Node, Stop> {
        let mut table = Table::new(self.span_of(start, start + 1));
        let end = self.nested(start, |parser| {
            loop {
                parser.entry_of(&mut table);
                let end = parser.pos;
                parser.blank()?;
                let more = !parser.at_closing() && parser.peek() != Some(b'[');
                if !more || parser.column_of(parser.pos) <= indent {
                    parser.pos = end;
                    return Ok(end);
                }
            }
        })?;
        self.mark_here(What::Close);
        let span = self.span_of(start, end);
        Ok(Node { expr: Expr::Table(Box::new(table)), span })
    }

    /// Items with their dashes at `column`; the first begins here.
    fn dashes(&mut self, column: usize) -> Result<Node, Stop> {
        let start = self.pos;
        let mut items = Vec::new();
        let end = self.nested(start, |parser| {
            loop {
                items.push(parser.dash_item(column));
                let end = parser.pos;
                parser.blank()?;
                if !parser.at_dash() || parser.column_of(parser.pos) != column {
                    parser.pos = end;
                    return Ok(end);
                }
            }
        })?;
        self.mark_here(What::Close);
        Ok(Node { expr: Expr::List(items), span: self.span_of(start, end) })
    }

    /// `- value`, `- key: value` with more entries below it, or `-` and a block below.
    fn dash_item(&mut self, column: usize) -> Node {
        let begin = self.pos;
        self.pos += 1;
        self.mark(What::Dash, begin);
        let start = self.pos;
        self.dash_value(column).unwrap_or_else(|Stop| {
            self.recover(begin);
            Node { expr: Expr::Broken, span: self.span_of(start, start) }
        })
    }

    fn dash_value(&mut self, column: usize) -> Result<Node, Stop> {
        let after = self.pos;
        self.spaces()?;
        let below = self.at_end_of_line();
        if below {
            self.blank()?;
            let deeper = self.column_of(self.pos) > column && !self.at_closing();
            if !deeper {
                self.pos = after;
                let span = self.span_of(after - 1, after);
                return Err(self.error_with_help(
                    span,
                    "this item has no value",
                    "write `- value`",
                ));
            }
        }
        let here = self.column_of(self.pos);
        if self.at_dash() {
            self.mark_at(What::Open(Form::Dashes), after);
            return self.dashes(here);
        }
        if self.at_entry(below) {
            self.mark_at(What::Open(Form::Indent), after);
            return self.indented(column, self.pos);
        }
        let value = self.item(Within::Line)?;
        self.spaces()?;
        if self.at_end_of_line() { Ok(value) } else { Err(self.after_value()) }
    }

    /// `key:` or `key =` begins here. Without quotes around it, `:` needs a blank or the end of the
    /// line after it, so that `http://x` and `10:30` are texts. On a line of its own, the key may
    /// have a block as well.
    pub(super) fn at_entry(&self, own_line: bool) -> bool {
        let end = match self.peek() {
            Some(quote @ (b'"' | b'\'')) => {
                let closing = self.run(self.pos + 1, |byte| byte != quote && byte != b'\n');
                closing + usize::from(self.bytes.get(closing) == Some(&quote))
            }
            _ => self.run(self.pos, |byte| is_key(byte) || byte == b'.'),
        };
        let separator = self.run(end, |byte| byte == b' ' || byte == b'\t');
        let after = self.bytes.get(separator + 1).is_none_or(u8::is_ascii_whitespace);
        end > self.pos
            && match self.bytes.get(separator) {
                Some(b':') if own_line => !self.bytes[separator..].starts_with(b"://"),
                Some(b':') => after && separator == end,
                Some(b'=') => after || own_line,
                Some(b'{' | b'[') => own_line,
                Some(b'>') => own_line && after,
                _ => false,
            }
    }
}
