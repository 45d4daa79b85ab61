//! Values: texts, numbers, barewords, lists and objects.

use super::file::Key;
use super::number::{self, Number};
use super::scan::is_word;
use super::{Parser, Stop};
use crate::fault::Fault;
use crate::tree::{Entry, Expr, Node, Table};

/// What a value stands in, which says where a bareword ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// An entry of a section: the rest of the line.
    Line,
    /// An entry of an object: up to `,`, `;`, `}` or the end of the line.
    Object,
    /// An item of a list: up to `,`, `]` or the end of the line.
    List,
    /// An argument of an operator: up to `,`, `)` or the end of the line.
    Arguments,
}

impl Within {
    fn ends_at(self, byte: u8) -> bool {
        match self {
            Self::Line => false,
            Self::Object => matches!(byte, b',' | b';' | b'}' | b']'),
            Self::List => matches!(byte, b',' | b']' | b'}'),
            Self::Arguments => matches!(byte, b',' | b')'),
        }
    }
}

impl Parser<'_> {
    /// A value that begins here.
    pub(super) fn value(&mut self, within: Within) -> Result<Node, Stop> {
        match self.peek() {
            Some(b'"' | b'\'') => self.quoted(),
            Some(b'[') => self.list(),
            Some(b'{') => self.object(),
            Some(b'@') => self.operator(),
            Some(b'$') if self.starts("${") => {
                let start = self.pos;
                let limit = self.line_end();
                let part = self.interpolation(limit)?;
                Ok(Node { expr: Expr::Template(vec![part]), span: self.span(start) })
            }
            Some(b'$') if self.global_ends(within) => {
                let start = self.pos;
                self.pos += 1;
                let name = self.word().into();
                Ok(Node { expr: Expr::Global(name), span: self.span(start) })
            }
            _ => self.bareword(within),
        }
    }

    /// `[a, b]`, over any number of lines.
    pub(super) fn list(&mut self) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos += 1;
        let mut items = Vec::new();
        self.nested(start, |parser| {
            loop {
                parser.blank()?;
                if parser.eat(b']') {
                    return Ok(());
                }
                parser.need_more(start, b']')?;
                items.push(parser.value(Within::List)?);
                parser.separator(Within::List, b']')?;
            }
        })?;
        Ok(Node { expr: Expr::List(items), span: self.span(start) })
    }

    /// `{a: 1, b: 2}`, over any number of lines; also the block of `key { … }`.
    pub(super) fn object(&mut self) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos += 1;
        let mut table = Table::new(self.span(start));
        self.nested(start, |parser| {
            loop {
                parser.blank()?;
                if parser.eat(b'}') {
                    return Ok(());
                }
                parser.need_more(start, b'}')?;
                let key = parser.key()?;
                parser.spaces()?;
                let value = parser.entry_value(Within::Object, &key)?;
                parser.put(&mut table, key, value);
                parser.separator(Within::Object, b'}')?;
            }
        })?;
        table.span = self.span(start);
        Ok(Node { expr: Expr::Table(table), span: self.span(start) })
    }

    fn need_more(&mut self, start: usize, closing: u8) -> Result<(), Stop> {
        let closing = char::from(closing);
        if self.pos == self.bytes.len() {
            let span = self.span_of(start, start + 1);
            let text = format!("nothing closes this; expected `{closing}`");
            return Err(self.error(span, text));
        }
        if matches!(self.peek(), Some(b',' | b';' | b']' | b'}' | b')')) {
            let span = self.span_of(self.pos, self.pos + 1);
            let text = format!("expected an entry or `{closing}`, found {}", self.found());
            return Err(self.error(span, text));
        }
        Ok(())
    }

    /// What may follow an item: a comma, the end of the line, or the closing bracket (not eaten).
    fn separator(&mut self, within: Within, closing: u8) -> Result<(), Stop> {
        self.spaces()?;
        let semicolon = within == Within::Object && self.eat(b';');
        if semicolon || self.eat(b',') || self.at_end_of_line() || self.peek() == Some(closing) {
            return Ok(());
        }
        Err(self.after_value())
    }

    /// A global is the whole value here: `$name` and not `$5.00`.
    fn global_ends(&self, within: Within) -> bool {
        let name = self.bytes[self.pos + 1..].iter().take_while(|byte| is_word(**byte)).count();
        let first = self.bytes.get(self.pos + 1).copied().unwrap_or(b' ');
        let after = self.bytes.get(self.pos + 1 + name).copied();
        let ends = after
            .is_none_or(|byte| byte.is_ascii_whitespace() || byte == b';' || within.ends_at(byte));
        name > 0 && !first.is_ascii_digit() && ends
    }

    /// Letters, digits and `_`.
    pub(super) fn word(&mut self) -> &str {
        let start = self.pos;
        self.pos += self.bytes[start..].iter().take_while(|byte| is_word(**byte)).count();
        &self.text[start..self.pos]
    }

    /// Text without quotes, or what such a text means: a number, true, false, null.
    fn bareword(&mut self, within: Within) -> Result<Node, Stop> {
        let start = self.pos;
        while let Some(byte) = self.peek() {
            if byte == b'\n' || within.ends_at(byte) || self.at_comment() {
                break;
            }
            self.pos += 1;
        }
        let mut text = self.text[start..self.pos].trim_end_matches([' ', '\t', '\r']);
        if within == Within::Line {
            text = text.trim_end_matches(';').trim_end_matches([' ', '\t']);
        }
        let (text, span) = (text.to_owned(), self.span_of(start, start + text.len()));
        if text.is_empty() {
            let span = self.span_of(start, self.after_char());
            let text = format!("expected a value, found {}", self.found());
            return Err(self.error(span, text));
        }
        self.check_bareword(&text, span)?;
        let expr = match text.as_str() {
            "true" => Expr::Bool(true),
            "false" => Expr::Bool(false),
            "null" => Expr::Null,
            _ => match number::parse(&text) {
                Some(Number::Int(value)) => Expr::Int(value),
                Some(Number::Float(value)) => Expr::Float(value),
                Some(Number::TooLarge) => {
                    let help = "put it into quotes if it is meant as text";
                    return Err(self.error_with_help(span, "this number is too large", help));
                }
                None => Expr::Text { text: text.into(), bare: true },
            },
        };
        Ok(Node { expr, span })
    }

    /// Puts an entry into a table, reporting what it replaces.
    pub(super) fn put(&mut self, table: &mut Table, key: Key, value: Node) {
        let mut replaced = Vec::new();
        table.put(key.into_entry(value), &mut |old, new| replaced.push((old.clone(), new.clone())));
        self.report_replaced(replaced);
    }

    pub(super) fn report_replaced(&mut self, replaced: Vec<(Entry, Entry)>) {
        for (old, new) in replaced {
            let place = Some(self.place(new.key_span));
            let before = Some(self.place(old.key_span));
            let table = |entry: &Entry| entry.value.as_table().is_some();
            let fault = if table(&old) == table(&new) {
                let text = format!("`{}` is given twice; this one counts", new.key);
                Fault::warning(place, text).note(before, "the other one is here")
            } else {
                let text = format!("`{}` cannot be both a value and a group of keys", new.key);
                Fault::error(place, text).note(before, "the other one is here")
            };
            self.report(fault);
        }
    }
}
