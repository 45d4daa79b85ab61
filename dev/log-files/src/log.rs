//! One process' log: its file, and what was in it before it became too large.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{entries::Entries, entry::Entry, merge::Source};

/// How many entries are taken before the other logs have their turn.
const ROUND: usize = 4096;
/// How many files are read at once: one whose name has changed is written to until its process ends.
const FILES: usize = 2;

/// A log, and how far it was read.
#[derive(Debug)]
pub struct Log {
    /// The process that writes it.
    pub name: String,
    path: PathBuf,
    /// The oldest first.
    files: VecDeque<Entries>,
    /// Whether more may come.
    follows: bool,
    /// How many entries may still be taken in this round.
    left: usize,
}

impl Log {
    /// What is written to `path`, and before it to `path` with `.1` behind it. A log that is not
    /// there yet may come.
    pub fn open(name: String, path: &Path, follows: bool) -> io::Result<Self> {
        let mut before = path.as_os_str().to_owned();
        before.push(".1");
        let mut files = VecDeque::new();
        for path in [Path::new(&before), path] {
            match Entries::open(path) {
                Ok(entries) => files.push_back(entries),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let left = if follows { ROUND } else { usize::MAX };
        Ok(Self { name, path: path.to_owned(), files, follows, left })
    }

    /// Leaves out what cannot be among the last `count` entries.
    pub fn skip_to_last(&mut self, count: usize) -> io::Result<()> {
        self.files.iter_mut().try_for_each(|entries| entries.lines.skip_to_last(count))
    }

    /// Leaves out what stands before the last `bytes` of each of its files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn skip_to_last_bytes(&mut self, bytes: u64) -> io::Result<()> {
        self.files.iter_mut().try_for_each(|entries| entries.lines.skip_to_last_bytes(bytes))
    }

    /// Begins the next round: finds out whether the file was cut short, or is another one by now.
    pub fn look_again(&mut self) -> io::Result<()> {
        self.left = ROUND;
        let Some(last) = self.files.back_mut() else {
            self.files.extend(Entries::open(&self.path).ok());
            return Ok(());
        };
        last.lines.begin_if_truncated()?;
        let there = fs::metadata(&self.path).map(|data| (data.dev(), data.ino()));
        let read = last.lines.file().metadata().map(|data| (data.dev(), data.ino()))?;
        if there.is_ok_and(|there| there != read) {
            self.files.extend(Entries::open(&self.path).ok());
            if self.files.len() > FILES {
                self.files.pop_front();
            }
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<Option<Entry>> {
        let count = self.files.len();
        for (place, entries) in self.files.iter_mut().enumerate() {
            if let Some(entry) = entries.next()? {
                return Ok(Some(entry));
            }
            let may_grow = self.follows && place + 1 == count;
            let last = if may_grow { entries.flush() } else { entries.finish() };
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }
}

impl Source for Log {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        let entry = self.read()?;
        self.left = left;
        Ok(entry)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn line(said: &str) -> String {
        format!("2026-01-15T12:00:00Z  INFO {said}\n")
    }

    fn said(log: &mut Log) -> Vec<String> {
        log.look_again().unwrap();
        let entries = std::iter::from_fn(|| log.next().unwrap());
        entries.map(|entry| entry.message).collect()
    }

    #[test]
    fn a_followed_log_goes_on_over_rotation_and_truncation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let before = folder.path().join("a.log.1");
        append(&before, &line("oldest"));
        append(&path, &line("one"));
        let mut log = Log::open("a".into(), &path, true).unwrap();
        assert_eq!(said(&mut log), ["oldest", "one"]);

        append(&path, &line("two"));
        fs::rename(&path, &before).unwrap();
        append(&path, &line("three"));
        assert_eq!(said(&mut log), ["two", "three"]);
        // Who has it open goes on writing to it.
        append(&before, &line("late"));
        append(&path, &line("four"));
        assert_eq!(said(&mut log), ["late", "four"]);

        fs::write(&path, line("anew")).unwrap();
        assert_eq!(said(&mut log), ["anew"]);
        fs::rename(&path, &before).unwrap();
        append(&path, &line("again"));
        assert_eq!(said(&mut log), ["again"]);
        fs::remove_file(&path).unwrap();
        assert_eq!(said(&mut log), [""; 0]);
        append(&path, &line("back"));
        assert_eq!(said(&mut log), ["back"]);
    }

    #[test]
    fn a_log_that_grows_faster_than_it_is_shown_leaves_the_others_their_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        append(&path, &line("x").repeat(ROUND + 10));
        let mut log = Log::open("a".into(), &path, true).unwrap();
        assert_eq!([said(&mut log).len(), said(&mut log).len()], [ROUND, 10]);
    }
}
