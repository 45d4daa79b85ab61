//! One run: the spans of a system from its `up` to its end.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::{Index, Query, SpanLocation, Summary};
use super::span::{Span, TraceId};
use super::{SEGMENT_MAX, SEGMENT_SPANS_MAX, SEGMENTS_MAX};

/// Traces that are put together with one by their links.
const FAMILY_MAX: usize = 64;
/// Spans that are read at once.
const SPANS_READ_MAX: usize = 5_000;

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
    open: Option<Segment>,
}

/// The file that is written to.
#[derive(Debug)]
struct Segment {
    file: File,
    /// Bytes that are in it.
    length: u64,
    /// Spans that this process has put into it.
    spans: usize,
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
        path(&self.folder, segment)
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
                self.index.add(&span, SpanLocation { segment, offset, length });
            }
            offset = offset.saturating_add(length);
        }
    }

    /// Keeps spans, which were [written down](Lines::of) before: whoever wants the run waits for no more
    /// than that they are put into a file.
    pub(super) fn add(&mut self, spans: &[Span], lines: &Lines) -> io::Result<()> {
        let (mut next, mut begin) = (0, 0);
        while next < spans.len() {
            let (segment, length, spans_left) = self.writable()?;
            // As many as the file has room for, and one at least.
            let room = usize::try_from(SEGMENT_MAX - length).unwrap_or_default();
            let fitting = lines.ends[next..].iter().take_while(|end| *end - begin <= room).count();
            let last = (next + fitting.clamp(1, spans_left)).min(spans.len());
            let end = lines.ends[last - 1];
            self.write(&lines.text[begin..end], last - next)?;
            let mut offset = length;
            for (span, end) in spans[next..last].iter().zip(&lines.ends[next..last]) {
                let size = end - begin;
                begin = *end;
                if let (Ok(offset), Ok(length)) = (u32::try_from(offset), u32::try_from(size)) {
                    self.index.add(span, SpanLocation { segment, offset, length });
                }
                offset += size as u64;
            }
            next = last;
        }
        Ok(())
    }

    fn write(&mut self, text: &[u8], spans: usize) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.length += text.len() as u64;
        open.spans += spans;
        // Where half of it was written, nothing is known of places behind that: the next file begins anew.
        open.file.write_all(text).inspect_err(|_| self.open = None)
    }

    /// The file that is written to, its length, and how many spans it has room for, one at least; another
    /// one when it is full.
    fn writable(&mut self) -> io::Result<(u32, u64, usize)> {
        let last = self.segments.last().copied();
        if let (Some(segment), Some(open)) = (last, &self.open)
            && open.length < SEGMENT_MAX
            && open.spans < SEGMENT_SPANS_MAX
        {
            return Ok((segment, open.length, SEGMENT_SPANS_MAX - open.spans));
        }
        // Not after the end of another process' last line, which may be half of one.
        // One that is empty is taken again: on a full disk, each try would leave one and remove the oldest.
        let is_empty =
            |segment: &u32| fs::metadata(self.path(*segment)).is_ok_and(|it| it.len() == 0);
        let left = last.filter(is_empty);
        let segment = left.unwrap_or_else(|| last.map_or(1, |last| last + 1));
        let file =
            File::options().append(true).create(true).mode(0o600).open(self.path(segment))?;
        let length = file.metadata()?.len();
        self.open = Some(Segment { file, length, spans: 0 });
        if left.is_none() {
            self.segments.push(segment);
        }
        while self.segments.len() > SEGMENTS_MAX {
            let oldest = self.segments.remove(0);
            self.index.drop_segment(oldest);
            fs::remove_file(self.path(oldest))?;
        }
        Ok((segment, length, SEGMENT_SPANS_MAX))
    }

    /// Where the spans stand of a trace and of all that are linked with it, some thousands at most.
    pub(crate) fn family(&self, trace: &TraceId) -> Located {
        let family = self.index.family(*trace, FAMILY_MAX);
        let places = family.iter().flat_map(|trace| self.index.places(trace));
        let places: Vec<SpanLocation> = places.take(SPANS_READ_MAX).copied().collect();
        Located { folder: self.folder.clone(), places }
    }

    /// Its files, the oldest first, and how many bytes of each are whole lines.
    pub(crate) fn files(&self) -> Vec<(PathBuf, u64)> {
        let written = self.open.as_ref().map(|open| open.length);
        let last = self.segments.last().copied();
        let length = |segment: u32| written.filter(|_| last == Some(segment)).unwrap_or(u64::MAX);
        self.segments.iter().map(|segment| (self.path(*segment), length(*segment))).collect()
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
    pub(crate) fn services(&self) -> Vec<Arc<str>> {
        self.index.services()
    }
}

/// Where spans stand: they are read without the run, which takes in others meanwhile.
#[derive(Debug)]
pub(crate) struct Located {
    folder: PathBuf,
    places: Vec<SpanLocation>,
}

impl Located {
    /// The spans by their beginning, without those whose file is gone by now.
    pub(crate) fn read(mut self) -> Vec<Span> {
        self.places.sort_unstable_by_key(|place| (place.segment, place.offset));
        let mut spans = Vec::with_capacity(self.places.len());
        let mut open: Option<(u32, BufReader<File>, u64)> = None;
        for place in self.places {
            if open.as_ref().is_none_or(|(segment, ..)| *segment != place.segment) {
                let file = File::open(path(&self.folder, place.segment)).ok();
                open = file.map(|file| (place.segment, BufReader::new(file), 0));
            }
            let Some((_, file, at)) = &mut open else { continue };
            let mut line = vec![0; place.length as usize];
            // What stands close by is in the buffer already.
            let ahead = i64::from(place.offset) - i64::try_from(*at).unwrap_or_default();
            let is_read = file.seek_relative(ahead).and_then(|()| file.read_exact(&mut line));
            *at = u64::from(place.offset) + u64::from(place.length);
            let span = is_read.ok().and_then(|()| serde_json::from_slice::<Span>(&line).ok());
            spans.extend(span);
        }
        spans.sort_by_key(|span| span.began);
        spans
    }
}

/// Spans as they are written: a line each.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Lines {
    pub(super) fn of(spans: &[Span]) -> io::Result<Self> {
        let text = Vec::with_capacity(spans.len() * 512);
        let mut lines = Self { text, ends: Vec::with_capacity(spans.len()) };
        for span in spans {
            serde_json::to_writer(&mut lines.text, span)?;
            lines.text.push(b'\n');
            lines.ends.push(lines.text.len());
        }
        Ok(lines)
    }

    /// Bytes.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }
}

fn path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("spans-{segment:04}.ndjson"))
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix("spans-")?.strip_suffix(".ndjson")?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::spans::span::Kind;

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

    fn add(run: &mut Run, spans: &[Span]) {
        run.add(spans, &Lines::of(spans).unwrap()).unwrap();
    }

    #[test]
    fn spans_are_found_by_their_trace_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("20260115T093000Z");
        let mut run = Run::open(&folder).unwrap();
        add(&mut run, &[span(1, 2, 20), span(2, 1, 30), span(1, 1, 10)]);
        // What a process was writing when it was killed.
        File::options()
            .append(true)
            .open(folder.join("spans-0001.ndjson"))
            .unwrap()
            .write_all(b"{\"trace\":\"01")
            .unwrap();
        let mut again = Run::open(&folder).unwrap();
        add(&mut again, &[span(1, 3, 15)]);
        let ids: Vec<u8> = again.family(&[1; 16]).read().iter().map(|span| span.id[0]).collect();
        assert_eq!(ids, [1, 3, 2]);
        let (found, count) = again.find(&Query::default(), 1);
        assert_eq!((found[0].trace, count), ([2; 16], 2));
        let (all, _) = again.find(&Query::default(), 9);
        let first = all.iter().find(|it| it.trace == [1; 16]).unwrap();
        assert_eq!(&*first.name, "GET /1", "that of the root");
    }

    #[test]
    fn small_spans_are_bounded_by_their_number_and_a_file_that_stayed_empty_is_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run::open(folder.path()).unwrap();
        let mut small = span(1, 1, 1);
        small.attributes.clear();
        let many: Vec<Span> = vec![small; SEGMENT_SPANS_MAX / 2 + 1];
        for _ in 0..3 {
            add(&mut run, &many);
        }
        assert_eq!(run.files().len(), 2);
        for _ in 0..SEGMENTS_MAX {
            run.open = None;
            run.writable().unwrap();
        }
        assert_eq!(run.files().len(), 3, "one more, which is empty");
    }

    #[test]
    fn a_run_keeps_its_last_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run::open(folder.path()).unwrap();
        let many: Vec<Span> = (0..250).map(|id| span(id, id, 1)).collect();
        let enough = SEGMENT_MAX * (SEGMENTS_MAX as u64 + 1) / (250 * 1100);
        for _ in 0..=enough {
            add(&mut run, &many);
        }
        assert!(fs::read_dir(folder.path()).unwrap().count() <= SEGMENTS_MAX);
        let (traces, spans) = run.counts();
        assert!(traces <= 250 && spans > 30_000, "{traces} {spans}");
        assert!(!run.family(&[7; 16]).read().is_empty());
    }
}
