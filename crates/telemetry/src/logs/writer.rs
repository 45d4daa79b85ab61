//! The way of log lines to standard output: a bounded buffer, and one thread that writes it out.
//!
//! A reader of standard output may stand still: a container runtime under load, `| less`. That must
//! not hold up a request, so the thread alone waits for the reader. Meanwhile lines wait in the
//! buffer. A line that finds no room is dropped and counted, and the log says how many there were as
//! soon as it flows again.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

use crate::metrics;

/// Lines that wait at most, in bytes: some thousand. As many may be on their way out besides.
const BYTES_MAX: usize = 1024 * 1024;
/// What a buffer keeps of its memory when it is empty again, in bytes.
const KEPT_BYTES_MAX: usize = 64 * 1024;

static INSTALLED: OnceLock<LogWriter> = OnceLock::new();

/// Waits until the log lines so far are written to standard output, for `within` at most; gives
/// whether they are. For an end of the process that drops nothing, such as `std::process::exit`.
pub fn flush_logs(within: Duration) -> bool {
    INSTALLED.get().is_none_or(|writer| writer.flush(within))
}

/// Takes lines and never waits for whoever reads them. Clones share one buffer.
#[derive(Clone)]
pub(super) struct LogWriter(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Wakes the thread that writes.
    arrived: Condvar,
    /// Wakes who waits for the end of the writing.
    written: Condvar,
    dropped: IntCounter,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that were dropped and are not told yet.
    dropped: u64,
    is_writing: bool,
}

/// The writer of the process; the first call starts its thread. `notice` makes the line that tells
/// how many lines were dropped.
pub(super) fn install(notice: impl Fn(u64) -> String + Send + 'static) -> io::Result<LogWriter> {
    if let Some(writer) = INSTALLED.get() {
        return Ok(writer.clone());
    }
    let writer = LogWriter::new();
    let thread = writer.clone();
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || thread.write_out(&mut io::stdout(), notice))?;
    Ok(INSTALLED.get_or_init(|| writer).clone())
}

impl LogWriter {
    fn new() -> Self {
        let help = "Log lines that were dropped because nobody read them fast enough.";
        let none: &[&str] = &[];
        let dropped = metrics::counter("telemetry_log_lines_dropped_total", help, none);
        Self(Arc::new(Shared {
            state: Mutex::default(),
            arrived: Condvar::new(),
            written: Condvar::new(),
            dropped: dropped.with_label_values(none),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > BYTES_MAX {
            state.dropped += 1;
            self.0.dropped.inc();
            return;
        }
        state.waiting.extend_from_slice(line);
        // To wake somebody is a system call.
        if !state.is_writing {
            self.0.arrived.notify_one();
        }
    }

    fn flush(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        while state.is_writing || !state.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.0.written.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Writes what comes, as much at a time as there is; for ever.
    fn write_out(&self, out: &mut impl Write, notice: impl Fn(u64) -> String) {
        let mut batch = Vec::new();
        loop {
            let dropped = self.next(&mut batch);
            let mut written = out.write_all(&batch);
            if dropped > 0 {
                written = written.and_then(|()| out.write_all(notice(dropped).as_bytes()));
            }
            if written.and_then(|()| out.flush()).is_err() {
                self.lost(dropped, &batch);
            }
        }
    }

    /// Waits for lines and puts them into `batch`; gives how many lines were dropped after them.
    fn next(&self, batch: &mut Vec<u8>) -> u64 {
        batch.clear();
        batch.shrink_to(KEPT_BYTES_MAX);
        let mut state = self.state();
        state.is_writing = false;
        if state.waiting.is_empty() {
            self.0.written.notify_all();
        }
        while state.waiting.is_empty() {
            state = self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_writing = true;
        std::mem::swap(batch, &mut state.waiting);
        std::mem::take(&mut state.dropped)
    }

    /// Counts lines that standard output did not take: the reader is gone, or the disk is full.
    /// They are told with the next lines that it takes.
    fn lost(&self, untold: u64, batch: &[u8]) {
        let lines = batch.iter().filter(|byte| **byte == b'\n').count();
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        self.0.dropped.inc_by(lines);
        self.state().dropped += untold + lines;
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// One line: the layer writes each with one call.
pub(super) struct Line<'a>(&'a LogWriter);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
