//! Names for constructs that are not read, so that nobody has to guess why a line is refused.

use super::{Parser, Stop, number};
use crate::source::Span;

/// Operators of expressions, longest first.
const OPERATORS: [&str; 15] =
    ["??", "||", "&&", "==", "!=", "<=", ">=", "=>", "<", ">", "+", "*", "/", "%", "|"];

/// Words that may stand between a key and `=` in the typed form.
const TYPES: [&str; 12] = [
    "string", "str", "int", "integer", "float", "number", "bool", "boolean", "list", "array",
    "object", "map",
];

impl Parser<'_> {
    /// `what` is part of the language but not read.
    pub(super) fn unsupported(&mut self, span: Span, what: &str, help: &str) -> Stop {
        self.error_with_help(span, format!("{what} is not supported"), help)
    }

    pub(super) fn script(&mut self, span: Span, what: &str) -> Stop {
        let text = format!("`{what}` is a script, not configuration; scripts are never run");
        self.error_with_help(span, text, "move it to the program that reads this file")
    }

    /// Something follows a value that is complete.
    pub(super) fn after_value(&mut self) -> Stop {
        let rest = self.line_rest();
        let span = self.span_of(self.pos, self.pos + rest.len());
        if rest.starts_with("=>") {
            return self.script(span, "=>");
        }
        if rest.starts_with('?') && !rest.starts_with("??") {
            return self.unsupported(span, "a ternary", "write the value itself");
        }
        let minus = rest.strip_prefix('-').filter(|rest| rest.starts_with(' ')).map(|_| "-");
        if let Some(operator) = OPERATORS.iter().find(|o| rest.starts_with(**o)).copied().or(minus)
        {
            let what = format!("an expression with `{operator}`");
            return self.unsupported(span, &what, "write the value itself");
        }
        let text = format!("expected the end of the value, found {}", self.found());
        self.error_with_help(span, text, "put the whole value into quotes if it is one text")
    }

    /// Refuses a bareword that means more than its text.
    pub(super) fn check_bareword(&mut self, text: &str, span: Span) -> Result<(), Stop> {
        let quote = "put the value into quotes if it is meant as text";
        if text.starts_with("<<") {
            self.skip_heredoc(text);
            return Err(self.unsupported(span, "a heredoc", "use a text in triple quotes"));
        }
        if text.starts_with("php(") || text.contains(" => ") || text.starts_with("=>") {
            let what = if text.starts_with("php(") { "php(…)" } else { "=>" };
            return Err(self.script(span, what));
        }
        if text.contains("${") || text.contains("#{") {
            let help = "put the value into double quotes";
            let text = "a text with interpolation needs quotes";
            return Err(self.error_with_help(span, text, help));
        }
        if text.contains(" ? ") && text.contains(" : ") {
            return Err(self.unsupported(span, "a ternary", quote));
        }
        let padded = |operator: &&&str| text.contains(&format!(" {operator} "));
        if let Some(operator) = OPERATORS[..7].iter().find(padded) {
            let what = format!("an expression with `{operator}`");
            return Err(self.unsupported(span, &what, quote));
        }
        if let Some(operator) = arithmetic(text) {
            let what = format!("an expression with `{operator}`");
            return Err(self.unsupported(span, &what, quote));
        }
        let word = text.split([' ', '=']).next().unwrap_or(text);
        if TYPES.contains(&word) && text[word.len()..].trim_start().starts_with('=') {
            let help = "write `key: value`; the type is that of the setting that reads it";
            return Err(self.unsupported(span, "a typed entry", help));
        }
        Ok(())
    }

    fn skip_heredoc(&mut self, opening: &str) {
        let tag = opening.trim_start_matches('<').trim();
        let end = if tag.is_empty() { ">>>" } else { tag };
        while self.pos < self.bytes.len() {
            self.pos = (self.line_end() + 1).min(self.bytes.len());
            if self.line_rest().trim_start() == end {
                self.pos = self.line_end();
                return;
            }
        }
    }
}

/// The operator of `60 * 5`: a number, an operator and something, with blanks between.
fn arithmetic(text: &str) -> Option<&str> {
    let (first, rest) = text.split_once(' ')?;
    let (operator, _) = rest.trim_start().split_once(' ')?;
    let arithmetic = matches!(operator, "+" | "-" | "*" | "/" | "%" | "<" | ">" | "|");
    (arithmetic && (number::parse(first).is_some() || first.starts_with('$'))).then_some(operator)
}
