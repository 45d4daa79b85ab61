//! The entries of a log, in its order, without more of it in memory than one of them.

use std::{io, path::Path};

use crate::{
    entry::{Entry, is_panic},
    lines::Lines,
};

/// How many bytes one entry may hold; what follows becomes another one.
const ENTRY_MAX: usize = 256 * 1024;

/// The entries of a file.
#[derive(Debug)]
pub(crate) struct Entries {
    pub(crate) lines: Lines,
    /// The entry whose further lines may follow.
    open: Option<Entry>,
    /// The bytes of its further lines.
    size: usize,
    /// The last one that is complete, for lines that come late. Its text is not kept.
    before: Option<Entry>,
}

impl Entries {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { lines: Lines::open(path)?, open: None, size: 0, before: None })
    }

    /// The next entry that is complete, since another one follows.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        while let Some(line) = self.lines.next()? {
            if let Some(complete) = self.take(&line) {
                return Ok(Some(complete));
            }
        }
        Ok(None)
    }

    /// What there is of the last entry: nothing more has been written.
    pub(crate) fn flush(&mut self) -> Option<Entry> {
        let last = self.open.take()?;
        self.before = Some(Entry { message: String::new(), more: Vec::new(), ..last.clone() });
        Some(last)
    }

    /// The same of a file that nobody writes to any more: a line without an end is one, too.
    pub(crate) fn finish(&mut self) -> Option<Entry> {
        let complete = self.lines.rest().and_then(|line| self.take(&line));
        complete.or_else(|| self.flush())
    }

    fn take(&mut self, line: &str) -> Option<Entry> {
        let begun = Entry::begin(line).or_else(|| {
            let is_full = self.size + line.len() > ENTRY_MAX;
            let is_apart = self.open.is_none() || is_full || is_panic(line);
            let before = self.open.as_ref().or(self.before.as_ref());
            is_apart.then(|| Entry::without_time(line, before))
        });
        match (begun, &mut self.open) {
            (Some(begun), open) => {
                self.size = 0;
                let mut complete = open.replace(begun)?;
                // Of a log that begins without a time it is known when the next line was written.
                complete.time = complete.time.or(self.open.as_ref()?.time);
                Some(complete)
            }
            (None, Some(open)) => {
                self.size += line.len();
                open.more.push(line.to_owned());
                None
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    fn all(text: &str) -> Vec<Entry> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, text).unwrap();
        let mut entries = Entries::open(file.path()).unwrap();
        let mut all: Vec<Entry> = std::iter::from_fn(|| entries.next().unwrap()).collect();
        all.extend(std::iter::from_fn(|| entries.finish()));
        all
    }

    #[test]
    fn a_line_without_a_time_belongs_to_the_line_before_it() {
        let text =
            "2026-01-15T12:00:00Z  INFO one trace_id=ab\n  more\n\n2026-01-15T12:00:01Z  INFO two";
        let [one, two] = &all(text)[..] else { panic!("two entries") };
        assert_eq!(one.more, ["  more", ""]);
        assert!(two.more.is_empty());
    }

    #[test]
    fn a_panic_is_an_error_of_its_own_at_the_time_before_it() {
        let text =
            "2026-01-15T12:00:00Z  INFO one\nthread 'main' panicked at src/a.rs:1:1:\nno\n  0: a\n";
        let [one, panic] = &all(text)[..] else { panic!("two entries") };
        assert_eq!(one.more, [""; 0]);
        assert_eq!((panic.time, panic.level), (one.time, Some(crate::Level::Error)));
        assert_eq!(panic.more, ["no", "  0: a"]);
    }

    #[test]
    fn a_beginning_without_a_time_has_that_of_the_first_line_with_one() {
        let [banner, first] = &all("  ##  ##\n  RabbitMQ\n2026-01-15T12:00:00Z  INFO up\n")[..]
        else {
            panic!("two entries")
        };
        assert_eq!(banner.more, ["  RabbitMQ"]);
        assert_eq!(banner.time, first.time);
    }

    #[test]
    fn an_entry_without_an_end_comes_in_parts() {
        let text = format!("2026-01-15T12:00:00Z  INFO one\n{}", "more and more\n".repeat(100_000));
        let parts = all(&text);
        assert!(parts.len() > 3 && parts.iter().all(|part| part.time == parts[0].time));
    }
}
