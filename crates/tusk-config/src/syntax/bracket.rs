//! What brackets hold, and where to go on when nothing closes one: at the next line that begins an entry
//! or a section, so that its fault is the only one and no key beyond it seems to be missing.

use super::{Parser, Stop};

/// How many brackets of a file may be found open: for each, the lines below it are read again.
const LEFT_OPEN_MAX: usize = 16;

impl Parser<'_> {
    /// Reads what stands between the bracket at `start` and `closing`. When that fails because nothing
    /// closes the bracket, the only fault is that, and the entry ends before the next one.
    pub(super) fn bracket<T>(
        &mut self,
        start: usize,
        closing: u8,
        inner: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let faults = self.faults.len();
        let result = self.nested(start, inner);
        if result.is_ok() || self.resume.is_some() || self.left_open == LEFT_OPEN_MAX {
            return result;
        }
        let Some(resume) = self.beyond(start, closing) else { return result };
        self.left_open += 1;
        self.resume = Some(resume);
        // Whatever seemed wrong was read as part of what the bracket holds.
        self.faults.truncate(faults);
        let span = self.span_of(start, start + 1);
        let text = format!("nothing closes this; expected `{}`", char::from(closing));
        Err(self.error(span, text))
    }

    /// Refuses to read the next entry of the file as part of what the bracket at `start` holds: it
    /// stands on another line than what comes `before` it, no deeper than the entry with the bracket.
    pub(super) fn not_beyond(&mut self, start: usize, before: usize) -> Result<(), Stop> {
        if !self.bytes[before..self.pos].contains(&b'\n')
            || self.indent_of(self.pos) > self.indent_of(self.entry)
            || !self.at_entry(false)
        {
            return Ok(());
        }
        let span = self.span_of(start, start + 1);
        Err(self.error(span, "nothing closes this"))
    }

    /// Where the next entry or section begins that cannot belong to the bracket at `start`, in which a
    /// fault was found here; nothing when the bracket is closed before.
    fn beyond(&mut self, start: usize, closing: u8) -> Option<usize> {
        let failed = self.pos;
        let indent = self.indent_of(self.entry);
        self.pos = start;
        let mut depth = 1_i64;
        let mut first = None;
        loop {
            let line_end = self.line_end();
            if closing == b'}' {
                // Entries are what braces hold, so only a count tells whose brace closes.
                let line = &self.text[self.pos..line_end];
                let count = |wanted: u8| line.matches(char::from(wanted)).count();
                let opened = count(b'{') - usize::from(self.pos == start);
                depth += i64::try_from(opened).unwrap_or(0);
                depth -= i64::try_from(count(closing)).unwrap_or(0);
                if depth <= 0 {
                    self.pos = failed;
                    return None;
                }
            }
            self.pos = (line_end + 1).min(self.bytes.len());
            if self.pos == self.bytes.len() {
                break;
            }
            let is_section = self.peek() == Some(b'[') && self.line_rest().contains(']');
            let own = self.run(self.pos, |byte| byte == b' ' || byte == b'\t');
            if first.is_none() && own - self.pos <= indent {
                let line = std::mem::replace(&mut self.pos, own);
                first = (is_section || self.at_entry(true)).then_some(line);
                self.pos = line;
            }
            if is_section || (first.is_some() && closing != b'}') {
                break;
            }
        }
        let resume = first.unwrap_or(self.bytes.len());
        self.pos = failed;
        let is_closed = failed < resume && self.bytes[failed..resume].contains(&closing);
        (!is_closed).then_some(resume)
    }
}
