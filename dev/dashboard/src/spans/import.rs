//! A run of spans that come from elsewhere, line by line.

use std::fs;
use std::io::{self, Error, ErrorKind};
use std::path::{Path, PathBuf};

use super::run::{Lines, Run};
use super::span::Span;
use super::{SEGMENT_MAX, SEGMENTS_MAX};

/// Bytes of one line.
const LINE_MAX: usize = 1 << 20;
/// Spans that are written at once.
const BATCH: usize = 500;

/// A run that grows; its folder is gone when it is not kept.
#[derive(Debug)]
pub(crate) struct Import {
    folder: PathBuf,
    run: Run,
    /// A line whose end has not come yet.
    open: Vec<u8>,
    ready: Vec<Span>,
    /// Bytes and spans that were written.
    bytes: u64,
    spans: usize,
    is_kept: bool,
}

impl Import {
    pub(super) fn begin(folder: &Path) -> io::Result<Self> {
        let run = Run::open(folder)?;
        let (open, ready) = (Vec::new(), Vec::new());
        Ok(Self { folder: folder.to_owned(), run, open, ready, bytes: 0, spans: 0, is_kept: false })
    }

    /// Takes the next bytes of the text, which is as [`/runs/…/export`](crate::pages) gives it.
    ///
    /// # Errors
    /// A line is no span, or it is more than a run keeps.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut parts = bytes.split(|byte| *byte == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            self.open.extend_from_slice(part);
            self.line()?;
        }
        self.open.extend_from_slice(last);
        if self.open.len() > LINE_MAX {
            return Err(Error::new(ErrorKind::InvalidData, "a line is too long for a span"));
        }
        if self.ready.len() >= BATCH { self.write() } else { Ok(()) }
    }

    fn line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.open);
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let number = self.spans + self.ready.len() + 1;
        let span = serde_json::from_slice(&line).map_err(|error| {
            Error::new(ErrorKind::InvalidData, format!("line {number} is no span: {error}"))
        })?;
        self.ready.push(span);
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let lines = Lines::of(&self.ready)?;
        self.bytes += lines.len() as u64;
        if self.bytes > SEGMENT_MAX * SEGMENTS_MAX as u64 {
            return Err(Error::new(ErrorKind::FileTooLarge, "it is more than a run keeps, 64 MiB"));
        }
        self.run.add(&self.ready, &lines)?;
        self.spans += self.ready.len();
        self.ready.clear();
        Ok(())
    }

    pub(super) fn keep(mut self) -> io::Result<(String, usize)> {
        self.line()?;
        self.write()?;
        if self.spans == 0 {
            return Err(Error::new(ErrorKind::InvalidData, "it holds no spans"));
        }
        self.is_kept = true;
        Ok((self.run.name.clone(), self.spans))
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        if !self.is_kept {
            // What stays is a run like any other.
            let _harmless = fs::remove_dir_all(&self.folder);
        }
    }
}
