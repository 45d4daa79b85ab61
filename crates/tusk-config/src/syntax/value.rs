//! Values: numbers, texts without quotes, lists; and what may follow one.

use super::mark::{Form, What};
use super::number::{self, Number};
use super::scan::is_word;
use super::{Parser, Stop};
use crate::source::Span;
use crate::tree::{Expr, Node};

/// What a value stands in, which says where a text without quotes ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// An entry of a section: the rest of the line.
    Line,
    /// An entry of an object: up to `,`, `;`, `}` or the end of the line.
    Object,
    /// An item of a list: up to `,`, `]` or the end of the line.
    List,
    /// An argument of an operator, or parentheses: up to `,`, `)` or the end of the line.
    Arguments,
    /// `#{…}` and `${…}`: up to `}`; words are references.
    Interpolation,
}

impl Within {
    pub(super) fn ends_at(self, byte: u8) -> bool {
        match self {
            Self::Line => false,
            Self::Object => matches!(byte, b',' | b';' | b'}' | b']'),
            Self::List => matches!(byte, b',' | b']' | b'}'),
            Self::Arguments => matches!(byte, b',' | b')'),
            Self::Interpolation => matches!(byte, b'}' | b'|' | b'"'),
        }
    }
}

impl Parser<'_> {
    /// A value as an entry or an item has it, noted in the layout.
    pub(super) fn item(&mut self, within: Within) -> Result<Node, Stop> {
        match self.peek() {
            Some(b'[') => return self.list(Form::List),
            Some(b'{') => return self.object(),
            _ => {}
        }
        let value = self.unmarked(|parser| parser.value(within))?;
        self.mark_span(What::Value, value.span);
        Ok(value)
    }

    /// A value that begins here.
    pub(super) fn value(&mut self, within: Within) -> Result<Node, Stop> {
        let first = match self.peek() {
            Some(b'[') => return self.list(Form::List),
            Some(b'{') => return self.object(),
            Some(b'<') if self.starts("<<") => return self.heredoc(),
            Some(b'"' | b'\'' | b'`' | b'@' | b'(') => self.operand(within)?,
            Some(b'$' | b'!' | b'-') if self.at_operand(within) => self.operand(within)?,
            _ => return self.bareword(within),
        };
        self.expression(first, within)
    }

    /// The list of `key [ … ]`.
    pub(super) fn bare_list(&mut self) -> Result<Node, Stop> {
        self.list(Form::BareList)
    }

    /// `[a, b]`, over any number of lines.
    fn list(&mut self, form: Form) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos += 1;
        self.mark(What::Open(form), start);
        let mut items = Vec::new();
        self.bracket(start, b']', |parser| {
            loop {
                let before = parser.pos;
                parser.blank()?;
                parser.not_beyond(start, before)?;
                if parser.peek() == Some(b']') {
                    parser.pos += 1;
                    parser.mark(What::Close, parser.pos - 1);
                    return Ok(());
                }
                parser.need_more(start, b']')?;
                items.push(parser.item(Within::List)?);
                parser.separator(Within::List, b']')?;
            }
        })?;
        Ok(Node { expr: Expr::List(items), span: self.span(start) })
    }

    pub(super) fn need_more(&mut self, start: usize, closing: u8) -> Result<(), Stop> {
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
    pub(super) fn separator(&mut self, within: Within, closing: u8) -> Result<(), Stop> {
        self.spaces()?;
        let semicolon = within == Within::Object && self.eat(b';');
        if semicolon || self.eat(b',') || self.at_end_of_line() || self.peek() == Some(closing) {
            return Ok(());
        }
        Err(self.after_value())
    }

    /// Text without quotes, or what such a text means: a number, true, false, null; or the first
    /// word of an expression.
    fn bareword(&mut self, within: Within) -> Result<Node, Stop> {
        let start = self.pos;
        let (mut blank, mut brace) = (false, false);
        while let Some(byte) = self.peek() {
            if !is_word(byte) {
                if byte == b'\n' || within.ends_at(byte) || self.at_comment() {
                    break;
                }
                blank |= byte == b' ' || byte == b'\t';
                brace |= byte == b'{';
            }
            self.pos += 1;
        }
        let mut text = self.text[start..self.pos].trim_end_matches([' ', '\t', '\r']);
        if within == Within::Line && text.ends_with(';') {
            text = text.trim_end_matches([';', ' ', '\t']);
        }
        let end = start + text.len();
        let span = self.span_of(start, start + text.len());
        if text.is_empty() {
            let span = self.span_of(start, self.after_char());
            let text = format!("expected a value, found {}", self.found());
            return Err(self.error(span, text));
        }
        if blank || brace || text.starts_with("=>") || text.starts_with("php(") {
            if self.leads_expression(start, end) {
                self.pos = start;
                let first = self.word_operand(within)?;
                return self.expression(first, within);
            }
            self.check_bareword(start, end)?;
        }
        let expr = self.plain(&self.text[start..end], span)?;
        Ok(Node { expr, span })
    }

    /// What a text without quotes means.
    pub(super) fn plain(&mut self, text: &str, span: Span) -> Result<Expr, Stop> {
        let expr = match text {
            "true" => Expr::Bool(true),
            "false" => Expr::Bool(false),
            "null" => Expr::Null,
            _ if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+')) => {
                Expr::Text { text: text.into(), bare: true }
            }
            _ => match number::parse(text) {
                Some(Number::Int(value)) => value.into(),
                Some(Number::Float(value)) => Expr::Float(value),
                Some(Number::TooLarge) => {
                    let help = "put it into quotes if it is meant as text";
                    return Err(self.error_with_help(span, "this number is too large", help));
                }
                None => match number::range(text) {
                    Some((first, last)) => Expr::Range(first, last),
                    None => Expr::Text { text: text.into(), bare: true },
                },
            },
        };
        Ok(expr)
    }
}
