//! Quoted texts and their escapes.

use super::scan::is_word;
use super::{Parser, Stop};
use crate::tree::{Expr, Node, Part};

/// The pieces of a text so far.
#[derive(Default)]
struct Pieces {
    parts: Vec<Part>,
    text: String,
}

impl Pieces {
    fn push(&mut self, part: Part) {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.text).into()));
        }
        self.parts.push(part);
    }

    fn finish(mut self) -> Expr {
        if self.parts.is_empty() {
            return Expr::Text { text: self.text.into(), bare: false };
        }
        if !self.text.is_empty() {
            self.parts.push(Part::Text(self.text.into()));
        }
        Expr::Template(self.parts.into())
    }
}

impl Parser<'_> {
    /// A text in quotes of either kind, single or triple.
    pub(super) fn quoted(&mut self) -> Result<Node, Stop> {
        let start = self.pos;
        let double = self.peek() == Some(b'"');
        let (quote, triple) = if double { ("\"", "\"\"\"") } else { ("'", "'''") };
        let closing = if self.starts(triple) { triple } else { quote };
        self.pos += closing.len();
        let expr = match (self.simple(closing), double) {
            (Some(text), _) => text,
            (None, true) => self.template(start, closing)?,
            (None, false) => self.raw(start, closing)?,
        };
        Ok(Node { expr, span: self.span(start) })
    }

    /// The usual case: a text on one line with nothing special in it.
    fn simple(&mut self, closing: &str) -> Option<Expr> {
        let [quote] = closing.as_bytes() else { return None };
        let special = |byte: u8| matches!(byte, b'\\' | b'#' | b'$' | b'\r' | b'\n');
        let end = self.run(self.pos, |byte| byte != *quote && !special(byte));
        (self.bytes.get(end) == Some(quote)).then(|| {
            let text = self.text[self.pos..end].into();
            self.pos = end + 1;
            Expr::Text { text, bare: false }
        })
    }

    /// Everything up to the closing quote, as it stands.
    fn raw(&mut self, start: usize, closing: &str) -> Result<Expr, Stop> {
        let limit = if closing.len() == 1 { self.line_end() } else { self.bytes.len() };
        let Some(length) = self.text[self.pos..limit].find(closing) else {
            return Err(self.unterminated(start, closing, limit));
        };
        let text = &self.text[self.pos..self.pos + length];
        self.pos += length + closing.len();
        let text = if closing.len() == 1 { text.to_owned() } else { lines(text) };
        Ok(Expr::Text { text: text.into(), bare: false })
    }

    fn template(&mut self, start: usize, closing: &str) -> Result<Expr, Stop> {
        let multiline = closing.len() > 1;
        let limit = if multiline { self.bytes.len() } else { self.line_end() };
        let mut pieces = Pieces::default();
        if multiline {
            self.pos += usize::from(self.starts("\r\n"));
            self.eat(b'\n');
        }
        loop {
            let special = |byte: u8| matches!(byte, b'"' | b'\\' | b'#' | b'$' | b'\r');
            let end = self.run(self.pos, |byte| !special(byte)).min(limit);
            pieces.text.push_str(&self.text[self.pos..end]);
            self.pos = end;
            if end == limit {
                return Err(self.unterminated(start, closing, limit));
            }
            if self.starts(closing) {
                self.pos += closing.len();
                return Ok(pieces.finish());
            }
            match self.bytes[end] {
                b'\\' => self.escape(limit, &mut pieces.text)?,
                b'#' if self.starts("#{") => pieces.push(self.interpolation(limit)?),
                b'$' if self.starts("${") => pieces.push(self.interpolation(limit)?),
                b'$' if self.bytes.get(end + 1).is_some_and(|byte| is_word(*byte)) => {
                    pieces.push(self.global_in_text());
                }
                b'\r' if multiline && self.starts("\r\n") => self.pos += 1,
                byte => {
                    pieces.text.push(char::from(byte));
                    self.pos += 1;
                }
            }
        }
    }

    /// A text in back ticks, over any number of lines, as it stands but for what is filled in: a path or
    /// a variable that leads somewhere. It may be code of another language, so that what looks like a
    /// reference and leads nowhere is part of the text.
    pub(super) fn back_ticks(&mut self) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos += 1;
        let limit = self.bytes.len();
        let mut pieces = Pieces::default();
        loop {
            let special = |byte: u8| matches!(byte, b'`' | b'\\' | b'#' | b'$' | b'\r');
            let end = self.run(self.pos, |byte| !special(byte));
            pieces.text.push_str(&self.text[self.pos..end]);
            self.pos = end;
            if end == limit {
                // What follows its line is no part of it.
                self.pos = start;
                let span = self.span_of(start, start + 1);
                return Err(self.error(span, "this text has no closing `"));
            }
            match self.bytes[end] {
                b'`' => break,
                b'\\' if self.starts("\\`") => {
                    pieces.text.push('`');
                    self.pos += 2;
                }
                b'\r' if self.starts("\r\n") => self.pos += 1,
                byte => {
                    if let Some(part) = self.filled_in() {
                        pieces.push(part);
                    } else {
                        pieces.text.push(char::from(byte));
                        self.pos += 1;
                    }
                }
            }
        }
        self.pos += 1;
        Ok(Node { expr: pieces.finish(), span: self.span(start) })
    }

    fn unterminated(&mut self, start: usize, closing: &str, limit: usize) -> Stop {
        self.pos = limit;
        let span = self.span_of(start, start + closing.len());
        let text = format!("this text has no closing {closing}");
        if closing.len() > 1 {
            return self.error(span, text);
        }
        let help = format!("a text of several lines stands in {}", closing.repeat(3));
        self.error_with_help(span, text, help)
    }

    fn escape(&mut self, limit: usize, text: &mut String) -> Result<(), Stop> {
        let start = self.pos;
        self.pos += 1;
        let simple = match self.bytes[self.pos..limit].first() {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'0') => '\0',
            Some(byte @ (b'\\' | b'"' | b'\'' | b'$' | b'#')) => char::from(*byte),
            Some(b'x') => return self.code(start, 2, limit, text),
            Some(b'u') if self.starts("u{") => return self.braced_code(start, limit, text),
            Some(b'u') => return self.code(start, 4, limit, text),
            _ => {
                let end = if self.pos < limit { self.after_char() } else { self.pos };
                let span = self.span_of(start, end);
                let help = r#"use \n \t \r \0 \\ \" \' \$ \# \xHH \uHHHH \u{H…}"#;
                return Err(self.error_with_help(span, "unknown escape", help));
            }
        };
        text.push(simple);
        self.pos += 1;
        Ok(())
    }

    /// `\xHH` and `\uHHHH`.
    fn code(
        &mut self,
        at: usize,
        digits: usize,
        limit: usize,
        text: &mut String,
    ) -> Result<(), Stop> {
        let start = self.pos + 1;
        let end = (self.pos + 1 + digits).min(limit);
        let code = self.text.get(start..end).filter(|code| code.len() == digits);
        self.push_code(at, code.map(str::to_owned).as_deref(), end, text)
    }

    fn braced_code(&mut self, at: usize, limit: usize, text: &mut String) -> Result<(), Stop> {
        let start = self.pos + 2;
        let end = self.text[start..limit].find('}').map(|length| start + length);
        let code = end.map(|end| self.text[start..end].to_owned());
        self.push_code(at, code.as_deref(), end.map_or(start, |end| end + 1), text)
    }

    fn push_code(
        &mut self,
        at: usize,
        code: Option<&str>,
        end: usize,
        text: &mut String,
    ) -> Result<(), Stop> {
        let hex = code.filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let character = hex.and_then(|hex| char::from_u32(u32::from_str_radix(hex, 16).ok()?));
        let Some(character) = character else {
            let span = self.span_of(at, at + 2);
            let help = "write the number of a character: \\xHH, \\uHHHH or \\u{H…}";
            return Err(self.error_with_help(span, "no character has this number", help));
        };
        text.push(character);
        self.pos = end;
        Ok(())
    }
}

/// A text of several lines is the same whatever ends its lines, and does not begin with the end of
/// the line of its opening quotes.
fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.strip_prefix('\n').map_or(text.clone(), str::to_owned)
}
