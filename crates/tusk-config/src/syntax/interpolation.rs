//! What is filled into a text: `#{path}`, `${NAME:-default}`, `${path | other}`, `$global`.

use super::scan::is_key;
use super::value::Within;
use super::{Parser, Stop, number};
use crate::source::Span;
use crate::tree::{Expr, Node, Operation, Operator, Part};

const REFERENCE_HELP: &str =
    "write #{name}, #{section.name}, #{name | \"other\"} or ${NAME:-default}";

impl Parser<'_> {
    /// `#{…}` or `${…}`, ending before `limit`.
    pub(super) fn interpolation(&mut self, limit: usize) -> Result<Part, Stop> {
        let start = self.pos;
        let variable = self.starts("$");
        let Some(length) = self.text[start..limit].find('}') else {
            let span = self.span_of(start, start + 2);
            self.pos = limit;
            let text = "this interpolation does not end";
            return Err(self.error_with_help(span, text, "end it with }"));
        };
        let inner = self.text[start + 2..start + length].trim();
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name.trim(), Some(default)),
            None => (inner, None),
        };
        if variable && (is_variable(name) || default.is_some()) {
            self.pos = start + length + 1;
            return self.variable(name, default, self.span(start));
        }
        self.pos = start + 2;
        self.spaces()?;
        let first = self.nested(start, |parser| parser.operand(Within::Interpolation))?;
        let value = self.expression(first, Within::Interpolation)?;
        self.spaces()?;
        if self.eat(b'}') {
            return Ok(Part::Value(Node { span: self.span(start), ..value }));
        }
        let span = self.span_of(start, self.after_char());
        let text = "only a name, a path or an expression can be interpolated";
        Err(self.error_with_help(span, text, REFERENCE_HELP))
    }

    /// `#{path}`, `${path}`, `${NAME}` or `${NAME:-default}` in a text that needs none of them: where it
    /// leads nowhere, it stands for itself. Nothing when it is none of these.
    pub(super) fn filled_in(&mut self) -> Option<Part> {
        let start = self.pos;
        let is_variable_form = self.starts("${");
        if !is_variable_form && !self.starts("#{") {
            return None;
        }
        let inside = |byte: u8| !matches!(byte, b'}' | b'{' | b'`' | b'\n');
        let end = self.run(start + 2, inside);
        let inner = self.text[start + 2..end].trim();
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name.trim(), Some(default)),
            None => (inner, None),
        };
        let is_name = is_variable_form && is_name(name) && (default.is_some() || is_variable(name));
        if self.bytes.get(end) != Some(&b'}') || !(is_name || (default.is_none() && is_path(name)))
        {
            return None;
        }
        let span = self.span_of(start, end + 1);
        let itself = &self.text[start..=end];
        self.pos = end + 1;
        if is_name {
            let default = Some(default.unwrap_or(itself).into());
            return Some(Part::Variable { name: name.into(), default, span });
        }
        let left = Node { expr: Expr::Reference(name.into()), span };
        let right = Node { expr: Expr::Text { text: itself.into(), bare: false }, span };
        let operation = Operation::Binary { operator: Operator::Default, left, right };
        Some(Part::Value(Node { expr: Expr::Operation(Box::new(operation)), span }))
    }

    fn variable(&mut self, name: &str, default: Option<&str>, span: Span) -> Result<Part, Stop> {
        if !is_name(name) {
            let text = format!("`{}` is no name of a variable", name.escape_debug());
            return Err(self.error_with_help(span, text, REFERENCE_HELP));
        }
        Ok(Part::Variable { name: name.into(), default: default.map(Into::into), span })
    }

    /// `$name` within a text.
    pub(super) fn global_in_text(&mut self) -> Part {
        let start = self.pos;
        self.pos += 1;
        let name = self.word().into();
        Part::Global { name, span: self.span(start) }
    }

    /// A word between the braces: a number, true, false, null, or else the path to something.
    pub(super) fn name_or_number(&mut self, word: &str, span: Span) -> Result<Expr, Stop> {
        let plain = matches!(word, "true" | "false" | "null") || number::parse(word).is_some();
        if plain {
            return self.plain(word, span);
        }
        if is_path(word) {
            return Ok(Expr::Reference(word.into()));
        }
        let text = "only a name, a path or an expression can be interpolated";
        Err(self.error_with_help(span, text, REFERENCE_HELP))
    }
}

/// May be the name of a variable of the environment.
pub(crate) fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `${NAME}` is a variable when it is spelt like one; other names are paths.
fn is_variable(name: &str) -> bool {
    is_name(name) && !name.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Keys joined by dots; a leading `$` means a global.
pub(super) fn is_path(path: &str) -> bool {
    let keys = path.strip_prefix('$').unwrap_or(path);
    keys.split('.')
        .all(|key| !key.is_empty() && key.bytes().all(|byte| is_key(byte) || byte == b':'))
}
