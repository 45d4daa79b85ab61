//! The lines of a file that may be huge, may grow, and may hold anything.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// How much is read at once, from the beginning and from the end.
const READ: usize = 16 * 1024;
const CHUNK: usize = 64 * 1024;
/// The longest line that is shown whole.
const LINE_MAX: usize = 64 * 1024;

/// The lines of a file from a place on. At its end it goes on later, where the file has grown.
#[derive(Debug)]
pub(crate) struct Lines {
    file: File,
    /// How far the file was read.
    offset: u64,
    ready: VecDeque<String>,
    /// A line whose end has not come yet.
    open: Vec<u8>,
    /// How many bytes of that line were left out.
    left_out: usize,
}

impl Lines {
    /// From the beginning.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { file, offset: 0, ready: VecDeque::new(), open: Vec::new(), left_out: 0 })
    }

    /// Goes to the last `count` lines.
    pub(crate) fn skip_to_last(&mut self, count: usize) -> io::Result<()> {
        let mut begin = self.file.metadata()?.len();
        if count == 0 {
            return self.go_to(begin);
        }
        let mut wanted = count;
        let mut chunk = vec![0; CHUNK];
        let mut is_last = true;
        while begin > 0 {
            let length = usize::try_from(begin).unwrap_or(CHUNK).min(CHUNK);
            begin -= length as u64;
            self.file.seek(SeekFrom::Start(begin))?;
            self.file.read_exact(&mut chunk[..length])?;
            for place in (0..length).rev().filter(|place| chunk[*place] == b'\n') {
                // The end of the last line begins none.
                let ends_file = is_last && place + 1 == length;
                if !ends_file && wanted <= 1 {
                    return self.go_to(begin + place as u64 + 1);
                }
                wanted -= usize::from(!ends_file);
            }
            is_last = false;
        }
        self.go_to(0)
    }

    /// Goes to the first line that begins among the last `bytes`.
    pub(crate) fn skip_to_last_bytes(&mut self, bytes: u64) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length <= bytes {
            return self.go_to(0);
        }
        // The byte before is the end of a line, when one begins just there.
        self.go_to(length - bytes - 1)?;
        self.next().map(drop)
    }

    fn go_to(&mut self, offset: u64) -> io::Result<()> {
        self.offset = offset;
        self.file.seek(SeekFrom::Start(offset)).map(drop)
    }

    /// The next whole line; none at the end of what is there now.
    pub(crate) fn next(&mut self) -> io::Result<Option<String>> {
        while self.ready.is_empty() {
            let mut chunk = [0; READ];
            let length = self.file.read(&mut chunk)?;
            if length == 0 {
                return Ok(None);
            }
            self.offset += length as u64;
            self.take(&chunk[..length]);
        }
        Ok(self.ready.pop_front())
    }

    /// The line that has no end, of a file that does not grow any more.
    pub(crate) fn rest(&mut self) -> Option<String> {
        (!self.open.is_empty()).then(|| self.close())
    }

    /// Begins anew when the file has become shorter than what was read of it.
    pub(crate) fn begin_if_truncated(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() < self.offset {
            self.open.clear();
            self.left_out = 0;
            self.go_to(0)?;
        }
        Ok(())
    }

    /// The file that is read, whatever its name is by now.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut parts = bytes.split(|byte| *byte == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            self.add(part);
            let line = self.close();
            self.ready.push_back(line);
        }
        self.add(last);
    }

    fn add(&mut self, part: &[u8]) {
        let room = LINE_MAX.saturating_sub(self.open.len()).min(part.len());
        self.open.extend_from_slice(&part[..room]);
        self.left_out += part.len() - room;
    }

    fn close(&mut self) -> String {
        let mut line = String::from_utf8_lossy(&std::mem::take(&mut self.open)).into_owned();
        if line.ends_with('\r') {
            line.pop();
        }
        match std::mem::take(&mut self.left_out) {
            0 => line,
            left_out => format!("{line} … ({left_out} more bytes)"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    fn all(lines: &mut Lines) -> Vec<String> {
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn lines_are_given_once_and_whole_as_the_file_grows() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        fs::write(&file, "one\r\ntw").unwrap();
        assert_eq!(all(&mut lines), ["one"]);
        fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"o\n\nthree").unwrap();
        assert_eq!(all(&mut lines), ["two", ""]);
        assert_eq!(lines.rest().as_deref(), Some("three"));
        fs::write(&file, "new\n").unwrap();
        lines.begin_if_truncated().unwrap();
        assert_eq!(all(&mut lines), ["new"]);
    }

    #[test]
    fn a_line_of_megabytes_is_cut_and_the_next_one_is_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, format!("{}\nnext\n", "x".repeat(3 << 20))).unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        let all = all(&mut lines);
        assert!(all[0].len() < LINE_MAX + 40, "{}", all[0].len());
        assert!(all[0].ends_with(&format!("({} more bytes)", (3 << 20) - LINE_MAX)));
        assert_eq!(all[1..], ["next"]);
    }

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text =
            (0..50_000).fold(String::new(), |text, number| text + &format!("line {number}\n"));
        for (text, count, expected) in [
            (text.as_str(), 2, &["line 49998", "line 49999"][..]),
            ("a\nb\nc", 2, &["b", "c"]),
            ("a\nb\nc\n", 3, &["a", "b", "c"]),
            ("a\nb\n", 9, &["a", "b"]),
            ("\n\n", 1, &[""]),
            ("", 1, &[]),
        ] {
            fs::write(&file, text).unwrap();
            let mut lines = Lines::open(file.path()).unwrap();
            lines.skip_to_last(count).unwrap();
            let mut found = all(&mut lines);
            found.extend(lines.rest());
            assert_eq!(found, expected, "{count}");
        }
        fs::write(&file, "one\ntwo\nthree\n").unwrap();
        for (bytes, expected) in [
            (6, &["three"][..]),
            (7, &["three"]),
            (10, &["two", "three"]),
            (99, &["one", "two", "three"]),
        ] {
            let mut lines = Lines::open(file.path()).unwrap();
            lines.skip_to_last_bytes(bytes).unwrap();
            assert_eq!(all(&mut lines), expected, "{bytes}");
        }
        fs::write(&file, text).unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        lines.skip_to_last(20_000).unwrap();
        assert_eq!(all(&mut lines).len(), 20_000);
    }
}
