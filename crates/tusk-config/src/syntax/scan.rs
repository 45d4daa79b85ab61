//! Blanks, comments and characters.

use super::{Parser, Stop};

/// Comments that the scripting dialect gives a meaning.
const SCRIPTS: [&str; 3] = ["#web", "#cron", "#api"];

impl<'s> Parser<'s> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    pub(super) fn peek_at(&self, offset: usize) -> Option<u8> {
        self.bytes.get(self.pos + offset).copied()
    }

    pub(super) fn starts(&self, prefix: &str) -> bool {
        self.bytes[self.pos..].starts_with(prefix.as_bytes())
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.pos += usize::from(found);
        found
    }

    /// Where the run of bytes that `belongs` likes ends, from `start`.
    pub(super) fn run(&self, start: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let rest = &self.bytes[start..];
        start + rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len())
    }

    /// Letters, digits and `_`.
    pub(super) fn word(&mut self) -> &'s str {
        let start = self.pos;
        self.pos = self.run(start, is_word);
        &self.text[start..self.pos]
    }

    /// The character here, for messages.
    pub(super) fn found(&self) -> String {
        match self.text[self.pos..].chars().next() {
            None => "the end of the file".to_owned(),
            Some('\n' | '\r') => "the end of the line".to_owned(),
            Some(c) => format!("`{}`", c.escape_debug()),
        }
    }

    /// The end of the character here, so that a span never cuts one.
    pub(super) fn after_char(&self) -> usize {
        self.pos + self.text[self.pos..].chars().next().map_or(0, char::len_utf8)
    }

    /// The byte offset of the end of this line.
    pub(super) fn line_end(&self) -> usize {
        self.run(self.pos, |byte| byte != b'\n')
    }

    /// The rest of this line, without blanks at its end.
    pub(super) fn line_rest(&self) -> &'s str {
        self.text[self.pos..self.line_end()].trim_end()
    }

    /// How far the line of `at` is indented, in characters.
    pub(super) fn indent_of(&self, at: usize) -> usize {
        let start = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = self.text[start..].trim_start_matches('\u{feff}').bytes();
        line.take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    }

    /// How far `at` is from the start of its line, in bytes.
    pub(super) fn column_of(&self, at: usize) -> usize {
        let mark = if self.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        at - self.text[..at].rfind('\n').map_or(mark, |end| end + 1)
    }

    /// Skips blanks and block comments within the line.
    pub(super) fn spaces(&mut self) -> Result<(), Stop> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => self.pos += 1,
                Some(b'/') if self.starts("/*") => self.block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    /// Skips blanks, line ends and comments.
    pub(super) fn blank(&mut self) -> Result<(), Stop> {
        if self.pos == 0 && self.starts("\u{feff}") {
            self.pos += '\u{feff}'.len_utf8();
        }
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.pos += 1,
                Some(b'#') => self.line_comment(),
                Some(b'/') if self.starts("//") => self.pos = self.line_end(),
                Some(b'/') if self.starts("/*") => self.block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    /// A comment begins here. It does so at the start of a line and after white space only, so that
    /// `a#b` and `http://x` are texts.
    pub(super) fn at_comment(&self) -> bool {
        let after_blank = match self.pos.checked_sub(1).map(|before| self.bytes[before]) {
            None => true,
            Some(before) => before.is_ascii_whitespace(),
        };
        after_blank && (self.starts("#") || self.starts("//") || self.starts("/*"))
    }

    /// Nothing but a comment is left of this line. To be asked after a value that ends by itself.
    pub(super) fn at_end_of_line(&self) -> bool {
        matches!(self.peek(), None | Some(b'\n' | b'#')) || self.starts("//")
    }

    fn line_comment(&mut self) {
        let start = self.pos;
        let end = self.line_end();
        self.pos = end;
        // Only these may be scripts; most comments have a blank here.
        if !matches!(self.bytes.get(start + 1), Some(b'!' | b'w' | b'c' | b'a')) {
            return;
        }
        let line = self.text[start..end].trim_end();
        let shebang = start == 0 && line.starts_with("#!/");
        let word = line.split([' ', '{']).next().unwrap_or(line);
        let script = SCRIPTS.contains(&word) && (word == line || line.ends_with('{'));
        if script || (line.starts_with("#!") && !shebang) {
            let span = self.span_of(start, start + line.len());
            self.script(span, word);
        }
    }

    fn block_comment(&mut self) -> Result<(), Stop> {
        let start = self.pos;
        if let Some(length) = self.text[start + 2..].find("*/") {
            self.pos = start + 2 + length + 2;
            return Ok(());
        }
        self.pos = self.bytes.len();
        let span = self.span_of(start, start + 2);
        Err(self.error_with_help(span, "this comment does not end", "end it with */"))
    }
}

/// What a byte may be part of; a table, because every byte of a file is asked.
const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let plain = (byte as u8).is_ascii_alphanumeric() || byte == b'_' as usize;
        table[byte] = plain || byte >= 0x80;
        byte += 1;
    }
    table
};

/// Bytes of a key, a name of an operator or of a global. Everything beyond ASCII is taken as a
/// letter.
pub(super) fn is_word(byte: u8) -> bool {
    WORD[byte as usize]
}

/// Bytes of a key.
pub(super) fn is_key(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}
