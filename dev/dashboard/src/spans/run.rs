//! One run: the spans of a system from its `up` to its end.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::index::{Index, Place, Query, Summary};
use super::span::{Span, TraceId};
use super::{SEGMENT_MAX, SEGMENTS_MAX};

/// Bytes of one line.
const LINE_MAX: usize = 1 << 20;

/// A run's folder and what is known of it.
#[derive(Debug)]
pub(crate) struct Run {
    /// When it began: `20260115T093000Z`.
    pub(crate) name: String,
    folder: PathBuf,
    index: Index,
    /// The files that there are, the newest last.
    segments: Vec<u32>,
    open: Option<(File, u64)>,
}

impl Run {
    /// Reads what the folder holds; of lines that cannot be read, such as one that was being written
    /// when its process was killed, nothing is kept.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut segments: Vec<u32> = fs::read_dir(folder)?
            .filter_map(|item| number(item.ok()?.file_name().to_str()?))
            .collect();
        segments.sort_unstable();
        let mut run =
            Self { name, folder: folder.to_owned(), index: Index::default(), segments, open: None };
        for segment in run.segments.clone() {
            run.read_segment(segment)?;
        }
        Ok(run)
    }

    fn path(&self, segment: u32) -> PathBuf {
        self.folder.join(format!("spans-{segment:04}.ndjson"))
    }

    fn read_segment(&mut self, segment: u32) -> io::Result<()> {
        let mut reader = BufReader::new(File::open(self.path(segment))?);
        let (mut offset, mut line) = (0_u32, Vec::new());
        loop {
            line.clear();
            let length = (&mut reader).take(LINE_MAX as u64).read_until(b'\n', &mut line)?;
            let Ok(length) = u32::try_from(length) else { return Ok(()) };
            if length == 0 {
                return Ok(());
            }
            if let Ok(span) = serde_json::from_slice::<Span>(&line) {
                self.index.add(&span, Place { segment, offset, length });
            }
            offset = offset.saturating_add(length);
        }
    }

    /// Keeps spans.
    pub(super) fn add(&mut self, spans: &[Span]) -> io::Result<()> {
        let mut text = Vec::with_capacity(spans.len() * 512);
        let (mut segment, mut begin) = self.writable()?;
        for span in spans {
            let start = text.len();
            serde_json::to_writer(&mut text, span)?;
            text.push(b'\n');
            let (Ok(offset), Ok(length)) =
                (u32::try_from(begin + start as u64), u32::try_from(text.len() - start))
            else {
                continue;
            };
            self.index.add(span, Place { segment, offset, length });
            if begin + text.len() as u64 >= SEGMENT_MAX {
                self.write(&text)?;
                text.clear();
                (segment, begin) = self.writable()?;
            }
        }
        self.write(&text)
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if let Some((file, length)) = &mut self.open {
            file.write_all(text)?;
            *length += text.len() as u64;
        }
        Ok(())
    }

    /// The file that is written to and its length; another one when it is full.
    fn writable(&mut self) -> io::Result<(u32, u64)> {
        let last = self.segments.last().copied();
        if let (Some(segment), Some((_, length))) = (last, &self.open)
            && *length < SEGMENT_MAX
        {
            return Ok((segment, *length));
        }
        // Not after the end of another process' last line, which may be half of one.
        let segment = last.map_or(1, |last| last + 1);
        let file =
            File::options().append(true).create(true).mode(0o600).open(self.path(segment))?;
        let length = file.metadata()?.len();
        self.open = Some((file, length));
        self.segments.push(segment);
        while self.segments.len() > SEGMENTS_MAX {
            let oldest = self.segments.remove(0);
            self.index.drop_segment(oldest);
            fs::remove_file(self.path(oldest))?;
        }
        Ok((segment, length))
    }

    /// The spans of a trace, by their beginning.
    pub(crate) fn trace(&self, trace: &TraceId) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut open: Option<(u32, File)> = None;
        for place in self.index.places(trace) {
            if open.as_ref().is_none_or(|(segment, _)| *segment != place.segment) {
                open = File::open(self.path(place.segment)).ok().map(|file| (place.segment, file));
            }
            let Some((_, file)) = &mut open else { continue };
            let mut line = vec![0; place.length as usize];
            let is_read = file
                .seek(SeekFrom::Start(place.offset.into()))
                .and_then(|_| file.read_exact(&mut line));
            let span = is_read.ok().and_then(|()| serde_json::from_slice::<Span>(&line).ok());
            spans.extend(span);
        }
        spans.sort_by_key(|span| span.began);
        spans
    }

    /// Traces that this one is linked with.
    pub(crate) fn linked(&self, trace: &TraceId) -> Vec<TraceId> {
        self.index.linked(trace)
    }

    /// A trace in a line.
    pub(crate) fn summary(&self, trace: &TraceId) -> Option<Summary> {
        self.index.summary(trace)
    }

    /// The trace whose id begins like that, when there is one alone.
    pub(crate) fn named(&self, prefix: &str) -> Option<TraceId> {
        self.index.named(prefix)
    }

    /// The newest traces that answer the question, and how many do in all.
    pub(crate) fn find(&self, query: &Query, limit: usize) -> (Vec<Summary>, usize) {
        self.index.find(query, limit)
    }

    /// Traces and spans.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.index.counts()
    }

    /// The services that have sent spans.
    pub(crate) fn services(&self) -> std::collections::BTreeSet<String> {
        self.index.services()
    }
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix("spans-")?.strip_suffix(".ndjson")?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::spans::Kind;

    fn span(trace: u8, id: u8, began: u64) -> Span {
        Span {
            trace: [trace; 16],
            id: [id; 8],
            parent: (id > 1).then_some([1; 8]),
            service: "user-service".into(),
            name: format!("GET /{id}"),
            kind: Kind::Server,
            began,
            took: 5,
            error: None,
            attributes: vec![("http.route".into(), "x".repeat(1000))],
            events: vec![],
            links: vec![],
        }
    }

    #[test]
    fn spans_are_found_by_their_trace_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("20260115T093000Z");
        let mut run = Run::open(&folder).unwrap();
        run.add(&[span(1, 2, 20), span(2, 1, 30), span(1, 1, 10)]).unwrap();
        // What a process was writing when it was killed.
        File::options()
            .append(true)
            .open(folder.join("spans-0001.ndjson"))
            .unwrap()
            .write_all(b"{\"trace\":\"01")
            .unwrap();
        let mut again = Run::open(&folder).unwrap();
        again.add(&[span(1, 3, 15)]).unwrap();
        let ids: Vec<u8> = again.trace(&[1; 16]).iter().map(|span| span.id[0]).collect();
        assert_eq!(ids, [1, 3, 2]);
        let (found, count) = again.find(&Query::default(), 1);
        assert_eq!((found[0].trace, count), ([2; 16], 2));
        assert_eq!(again.summary(&[1; 16]).unwrap().name, "GET /1", "that of the root");
    }

    #[test]
    fn a_run_keeps_its_last_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run::open(folder.path()).unwrap();
        let many: Vec<Span> = (0..250).map(|id| span(id, id, 1)).collect();
        let enough = SEGMENT_MAX * (SEGMENTS_MAX as u64 + 1) / (250 * 1100);
        for _ in 0..=enough {
            run.add(&many).unwrap();
        }
        assert!(fs::read_dir(folder.path()).unwrap().count() <= SEGMENTS_MAX);
        let (traces, spans) = run.counts();
        assert!(traces <= 250 && spans > 30_000, "{traces} {spans}");
        assert!(!run.trace(&[7; 16]).is_empty());
    }
}
