//! Names for constructs that are not read, so that nobody has to guess why a line is refused.

use super::{Parser, Stop};
use crate::source::Span;

/// Operators that hardly any text has between two blanks.
const STRONG: [&str; 7] = ["??", "||", "&&", "==", "!=", "<=", ">="];

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
        let text = format!("expected the end of the value, found {}", self.found());
        self.error_with_help(span, text, "put the whole value into quotes if it is one text")
    }

    /// Refuses a text without quotes that looks like more than its text.
    pub(super) fn check_bareword(&mut self, start: usize, end: usize) -> Result<(), Stop> {
        let text = &self.text[start..end];
        let span = self.span_of(start, end);
        if text.starts_with("php(") || text.contains(" => ") || text.starts_with("=>") {
            let what = if text.starts_with("php(") { "php(…)" } else { "=>" };
            return Err(self.script(span, what));
        }
        if text.contains("${") || text.contains("#{") {
            let help = "put the value into double quotes";
            let text = "a text with interpolation needs quotes";
            return Err(self.error_with_help(span, text, help));
        }
        let padded = |operator: &&&str| {
            let mut found = text.match_indices(**operator);
            found.any(|(at, _)| {
                let after = at + operator.len();
                text[..at].ends_with(' ') && text[after..].starts_with(' ')
            })
        };
        let ternary = (text.contains(" ? ") && text.contains(" : ")).then_some("? :");
        if let Some(operator) = ternary.or(STRONG.iter().find(padded).copied()) {
            let text = format!("this is neither a text nor an expression with `{operator}`");
            let help = "put a text into quotes; in an expression, texts of several words too";
            return Err(self.error_with_help(span, text, help));
        }
        Ok(())
    }
}
