//! Texts over several lines without quotes: `<<TAG` … `TAG`, `<<< … >>>`. Taken as they stand.

use super::{Parser, Stop};
use crate::tree::{Expr, Node};

impl Parser<'_> {
    pub(super) fn heredoc(&mut self) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos = self.run(start, |byte| byte == b'<');
        let arrows = self.pos - start;
        self.spaces()?;
        let quote = self.peek().filter(|byte| matches!(byte, b'"' | b'\''));
        self.pos += usize::from(quote.is_some());
        let tag = self.word();
        self.pos += usize::from(quote.is_some() && self.peek() == quote);
        let closing = if tag.is_empty() { ">>>" } else { tag };
        let opening = self.span(start);
        self.spaces()?;
        let bad = !(2..=3).contains(&arrows) || (arrows == 2 && tag.is_empty());
        if bad || !matches!(self.peek(), Some(b'\n')) {
            let help = "write <<TAG, the lines, and TAG on a line of its own; or <<< and >>>";
            return Err(self.error_with_help(opening, "this heredoc has no lines", help));
        }
        let body = self.pos + 1;
        self.pos = body;
        while self.pos < self.bytes.len() {
            let line = self.pos;
            let end = self.line_end();
            let content = self.text[line..end].trim();
            if content == closing {
                let indent = self.run(line, |byte| byte == b' ' || byte == b'\t') - line;
                self.pos = line + indent + closing.len();
                let text = lines(&self.text[body..line], indent);
                let expr = Expr::Text { text: text.into(), bare: false };
                return Ok(Node { expr, span: self.span(start) });
            }
            self.pos = (end + 1).min(self.bytes.len());
        }
        let text = format!("nothing ends this text; expected a line `{closing}`");
        Err(self.error(opening, text))
    }
}

/// The lines without the end of the last one, and without as much indentation as the closing line
/// has.
fn lines(body: &str, indent: usize) -> String {
    let mut text = String::with_capacity(body.len());
    for (index, line) in body.lines().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let blanks = line.bytes().take(indent).take_while(|byte| matches!(byte, b' ' | b'\t'));
        text.push_str(&line[blanks.count()..]);
    }
    text
}
