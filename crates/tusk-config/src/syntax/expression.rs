//! Expressions: values with operators between them, ternaries, parentheses.
//!
//! A line of text may hold the same characters, so only this makes an expression:
//!
//! - it begins with something that is no plain text: quotes, `@operator`, `$global`, `(`, `!$x`;
//! - or with one word, followed by `==`, `!=`, `<=`, `>=`, `&&`, `||`, `??` or `? … :` in blanks;
//! - or with a number, followed by any operator in blanks and something that can be reckoned with.
//!
//! Within an expression a text without quotes is one word.

use super::number;
use super::scan::is_word;
use super::value::Within;
use super::{DEPTH_MAX, Parser, Stop};
use crate::tree::{Expr, Node, Operation, Operator};

/// Operators, longer ones before those that they begin with; and how tightly each binds.
const OPERATORS: [(&str, Operator, u8); 15] = [
    ("??", Operator::Default, 1),
    ("||", Operator::Or, 1),
    ("|", Operator::Default, 1),
    ("&&", Operator::And, 2),
    ("==", Operator::Equal, 3),
    ("!=", Operator::Unequal, 3),
    ("<=", Operator::LessOrEqual, 4),
    (">=", Operator::GreaterOrEqual, 4),
    ("<", Operator::Less, 4),
    (">", Operator::Greater, 4),
    ("+", Operator::Plus, 5),
    ("-", Operator::Minus, 5),
    ("*", Operator::Times, 6),
    ("/", Operator::Divided, 6),
    ("%", Operator::Remainder, 6),
];

impl Parser<'_> {
    /// What follows `first`: nothing, or the rest of an expression.
    pub(super) fn expression(&mut self, first: Node, within: Within) -> Result<Node, Stop> {
        if matches!(self.peek(), None | Some(b'\n' | b',' | b')' | b'}' | b']')) {
            return Ok(first);
        }
        let mut operators = 0;
        self.unmarked(|parser| {
            let condition = parser.operators(first, within, 1, &mut operators)?;
            parser.choice(condition, within)
        })
    }

    /// Operators that bind at least as tightly as `least`, each with its right side.
    fn operators(
        &mut self,
        mut left: Node,
        within: Within,
        least: u8,
        count: &mut usize,
    ) -> Result<Node, Stop> {
        loop {
            let end = self.pos;
            self.spaces()?;
            let Some((text, operator, level)) = self.operator_here(within) else {
                self.pos = end;
                return Ok(left);
            };
            if level < least {
                self.pos = end;
                return Ok(left);
            }
            *count += 1;
            if *count > DEPTH_MAX {
                let span = self.span_of(self.pos, self.pos + text.len());
                let text = format!("more than {DEPTH_MAX} operators in one expression");
                return Err(self.error(span, text));
            }
            self.pos += text.len();
            self.spaces()?;
            let right = self.operand(within)?;
            let right = self.operators(right, within, level + 1, count)?;
            let start = left.span.start as usize;
            let end = right.span.end as usize;
            let operation = Operation::Binary { operator, left, right };
            let expr = Expr::Operation(Box::new(operation));
            left = Node { expr, span: self.span_of(start, end) };
        }
    }

    /// `condition ? yes : no`
    fn choice(&mut self, condition: Node, within: Within) -> Result<Node, Stop> {
        let end = self.pos;
        self.spaces()?;
        if self.peek() != Some(b'?') || self.starts("??") {
            self.pos = end;
            return Ok(condition);
        }
        let at = self.pos;
        self.pos += 1;
        let (yes, no) = self.nested(at, |parser| {
            let yes = parser.branch(within)?;
            parser.spaces()?;
            if !parser.eat(b':') {
                let span = parser.span_of(at, at + 1);
                let text = "this `?` has no `:`";
                let help = "write `condition ? value : other`; texts of several words in quotes";
                return Err(parser.error_with_help(span, text, help));
            }
            Ok((yes, parser.branch(within)?))
        })?;
        let start = condition.span.start as usize;
        let end = no.span.end as usize;
        let expr = Expr::Operation(Box::new(Operation::Choice { condition, yes, no }));
        Ok(Node { expr, span: self.span_of(start, end) })
    }

    fn branch(&mut self, within: Within) -> Result<Node, Stop> {
        self.spaces()?;
        let first = self.operand(within)?;
        self.expression(first, within)
    }

    /// The operator that stands here. Those of one character need a blank after them, so that
    /// `a/b` and `-5` are what they seem.
    fn operator_here(&self, within: Within) -> Option<(&'static str, Operator, u8)> {
        if !self.peek()?.is_ascii_punctuation() || self.at_comment() {
            return None;
        }
        let found = *OPERATORS.iter().find(|(text, ..)| self.starts(text))?;
        let tight = found.0.len() > 1 || within == Within::Interpolation;
        let blank = matches!(self.peek_at(1), Some(b' ' | b'\t'));
        (tight || blank).then_some(found)
    }

    /// One value of an expression.
    pub(super) fn operand(&mut self, within: Within) -> Result<Node, Stop> {
        let start = self.pos;
        match self.peek() {
            Some(b'"' | b'\'') => self.quoted(),
            Some(b'`') => self.back_ticks(),
            Some(b'@') => self.operator(),
            Some(b'(') => self.parenthesis(),
            Some(b'[' | b'{') => self.value(within),
            Some(b'$') if self.starts("${") => {
                let limit = self.line_end();
                let part = self.interpolation(limit)?;
                Ok(Node { expr: Expr::Template([part].into()), span: self.span(start) })
            }
            Some(b'$') if self.at_operand(within) => {
                self.pos = self.run(start + 1, |byte| is_word(byte) || byte == b'.');
                let path = self.text[start..self.pos].into();
                Ok(Node { expr: Expr::Reference(path), span: self.span(start) })
            }
            Some(byte @ (b'!' | b'-')) if self.at_operand(within) => {
                self.pos += 1;
                let inner = self.nested(start, |parser| parser.operand(within))?;
                let operation = if byte == b'!' { Operation::Not } else { Operation::Negative };
                let expr = Expr::Operation(Box::new(operation(inner)));
                Ok(Node { expr, span: self.span(start) })
            }
            _ => self.word_operand(within),
        }
    }

    /// `$name`, `!` and `-` here are parts of an expression, and not the start of a text such as
    /// `$5.00`, `$HOME/bin`, `!important`, `-v`.
    pub(super) fn at_operand(&self, within: Within) -> bool {
        match self.peek() {
            Some(b'$') if self.starts("${") => true,
            Some(b'$') => {
                let first = self.peek_at(1).unwrap_or(b' ');
                let end = self.run(self.pos + 1, |byte| is_word(byte) || byte == b'.');
                let ends = self.bytes.get(end).is_none_or(|byte| {
                    byte.is_ascii_whitespace()
                        || matches!(byte, b';' | b')')
                        || within.ends_at(*byte)
                });
                is_word(first) && !first.is_ascii_digit() && ends && self.bytes[end - 1] != b'.'
            }
            Some(b'!') => {
                let word = ["!true", "!false"].iter().any(|word| self.starts(word));
                word || matches!(self.peek_at(1), Some(b'$' | b'@' | b'(' | b'!'))
            }
            Some(b'-') => matches!(self.peek_at(1), Some(b'$' | b'@' | b'(')),
            _ => false,
        }
    }

    fn parenthesis(&mut self) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos += 1;
        let inner = self.nested(start, |parser| {
            parser.spaces()?;
            let first = parser.operand(Within::Arguments)?;
            let inner = parser.expression(first, Within::Arguments)?;
            parser.spaces()?;
            if parser.eat(b')') {
                return Ok(inner);
            }
            let span = parser.span_of(start, start + 1);
            let help = "put the whole value into quotes if it is one text";
            Err(parser.error_with_help(span, "nothing closes this; expected `)`", help))
        })?;
        Ok(Node { expr: inner.expr, span: self.span(start) })
    }

    /// One word; in an interpolation the name of something.
    pub(super) fn word_operand(&mut self, within: Within) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos = self.run(start, |byte| {
            !byte.is_ascii_whitespace() && !within.ends_at(byte) && !matches!(byte, b')' | b';')
        });
        let text = &self.text[start..self.pos];
        let span = self.span(start);
        if text.is_empty() {
            let span = self.span_of(start, self.after_char());
            let text = format!("expected a value, found {}", self.found());
            return Err(self.error(span, text));
        }
        let expr = match within {
            Within::Interpolation => self.name_or_number(text, span)?,
            _ => self.plain(text, span)?,
        };
        Ok(Node { expr, span })
    }

    /// Whether the text without quotes from `start` to `end` is the beginning of an expression.
    pub(super) fn leads_expression(&self, start: usize, end: usize) -> bool {
        let text = &self.text[start..end];
        let Some((word, rest)) = text.split_once([' ', '\t']) else {
            return false;
        };
        let rest = rest.trim_start();
        let (operator, after) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let after = after.trim_start();
        match operator {
            "??" | "||" | "&&" | "==" | "!=" | "<=" | ">=" => !after.is_empty(),
            "?" => after.contains(" : "),
            "+" | "-" | "*" | "/" | "%" | "<" | ">" | "|" => {
                let operand = |byte: u8| {
                    byte.is_ascii_digit() || matches!(byte, b'"' | b'\'' | b'$' | b'@' | b'(')
                };
                let first = after.strip_prefix('-').unwrap_or(after).bytes().next();
                number::parse(word).is_some() && first.is_some_and(operand)
            }
            _ => false,
        }
    }
}
