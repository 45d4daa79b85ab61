//! The way of log lines to standard output: a bounded buffer, and one thread that writes it out.
//!
//! A reader of standard output may stand still: a container runtime under load, `| less`. That must
//! not hold up a request, so the thread alone waits for the reader. Meanwhile lines wait in the
//! buffer. A line that finds no room is dropped and counted, and the log says how many there were as
//! soon as it flows again.
//!
//! To wake the thread is a system call, and it took a fourteenth of a busy service's time to do so for
//! nearly each line. So the first line after a quiet time wakes it and is written at once; then it
//! pauses, and lines that come meanwhile wake nobody.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;

use crate::metrics;

/// Lines that wait at most, in bytes: some thousand. As many may be on their way out besides.
const BYTES_MAX: usize = 1024 * 1024;
/// Lines that end a pause, in bytes.
const PAUSE_BYTES_MAX: usize = BYTES_MAX / 2;
/// How long the thread pauses between two writings: it is woken 200 times a second at most, and nobody
/// who reads a log sees the difference.
const PAUSE: Duration = Duration::from_millis(5);
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
    pause: Duration,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that were dropped and are not told yet.
    dropped: u64,
    thread: Thread,
    /// How many wait for the end of the writing.
    flushes: usize,
}

/// What the thread does that writes.
#[derive(Default, PartialEq, Eq)]
enum Thread {
    /// Sleeps until a line comes.
    #[default]
    Idle,
    /// Writes, or has been woken to.
    Writing,
    /// Has written, and lets lines come together.
    Pausing,
}

impl State {
    /// Whether there is a reason to pause no longer.
    fn is_urgent(&self) -> bool {
        self.flushes > 0 || self.waiting.len() > PAUSE_BYTES_MAX
    }
}

/// The writer of the process; the first call starts its thread. `notice` makes the line that tells
/// how many lines were dropped.
pub(super) fn install(notice: impl Fn(u64) -> Vec<u8> + Send + 'static) -> io::Result<LogWriter> {
    if let Some(writer) = INSTALLED.get() {
        return Ok(writer.clone());
    }
    let writer = LogWriter::new(PAUSE);
    let thread = writer.clone();
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || thread.write_out(&mut io::stdout(), notice))?;
    Ok(INSTALLED.get_or_init(|| writer).clone())
}

impl LogWriter {
    fn new(pause: Duration) -> Self {
        let help = "Log lines that were dropped because nobody read them fast enough.";
        let none: &[&str] = &[];
        let dropped = metrics::counter("telemetry_log_lines_dropped_total", help, none);
        Self(Arc::new(Shared {
            state: Mutex::default(),
            arrived: Condvar::new(),
            written: Condvar::new(),
            dropped: dropped.with_label_values(none),
            pause,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line with its end, or drops it; never waits.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > BYTES_MAX {
            state.dropped += 1;
            self.0.dropped.inc();
            return;
        }
        let was_urgent = state.is_urgent();
        state.waiting.extend_from_slice(line);
        let wakes = match state.thread {
            Thread::Idle => true,
            Thread::Writing => false,
            Thread::Pausing => state.is_urgent() && !was_urgent,
        };
        if wakes {
            state.thread = Thread::Writing;
            drop(state);
            self.0.arrived.notify_one();
        }
    }

    fn flush(&self, within: Duration) -> bool {
        let mut state = self.state();
        state.flushes += 1;
        self.0.arrived.notify_one();
        let is_left =
            |state: &mut State| state.thread == Thread::Writing || !state.waiting.is_empty();
        let waited = self.0.written.wait_timeout_while(state, within, is_left);
        let (mut state, ended) = waited.unwrap_or_else(PoisonError::into_inner);
        state.flushes -= 1;
        !ended.timed_out()
    }

    /// Writes what comes, as much at a time as there is; for ever.
    fn write_out(&self, out: &mut impl Write, notice: impl Fn(u64) -> Vec<u8>) {
        let mut batch = Vec::new();
        loop {
            let dropped = self.next(&mut batch);
            let mut written = out.write_all(&batch);
            if dropped > 0 {
                written = written.and_then(|()| out.write_all(&notice(dropped)));
            }
            if written.and_then(|()| out.flush()).is_err() {
                self.lost(dropped, &batch);
            }
        }
    }

    /// Waits for the lines after `batch` and puts them in its place; gives how many lines were dropped
    /// after them.
    fn next(&self, batch: &mut Vec<u8>) -> u64 {
        let mut state = self.state();
        if state.waiting.is_empty() {
            self.0.written.notify_all();
        }
        if !batch.is_empty() {
            state.thread = Thread::Pausing;
            let may_pause = |state: &mut State| !state.is_urgent();
            let paused = self.0.arrived.wait_timeout_while(state, self.0.pause, may_pause);
            state = paused.unwrap_or_else(PoisonError::into_inner).0;
        }
        batch.clear();
        batch.shrink_to(KEPT_BYTES_MAX);
        if state.waiting.is_empty() {
            state.thread = Thread::Idle;
            let is_quiet = |state: &mut State| state.waiting.is_empty();
            let woken = self.0.arrived.wait_while(state, is_quiet);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.thread = Thread::Writing;
        std::mem::swap(batch, &mut state.waiting);
        std::mem::take(&mut state.dropped)
    }

    /// Counts lines that standard output did not take: the reader is gone, or the disk is full.
    /// They are told with the next lines that it takes.
    fn lost(&self, untold: u64, batch: &[u8]) {
        let lines = batch.split(|byte| *byte == b'\n').count().saturating_sub(1);
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        self.0.dropped.inc_by(lines);
        self.state().dropped += untold + lines;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader that gets each batch as it is written.
    struct Pipe(Sender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, batch: &[u8]) -> io::Result<usize> {
            self.0.send(batch.to_vec()).map_err(io::Error::other)?;
            Ok(batch.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A writer that pauses so long, and the batches that it writes.
    fn writer(pause: Duration) -> (LogWriter, Receiver<Vec<u8>>) {
        let (sender, batches) = channel();
        let writer = LogWriter::new(pause);
        let thread = writer.clone();
        std::thread::spawn(move || thread.write_out(&mut Pipe(sender), |_| Vec::new()));
        (writer, batches)
    }

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(3600);

    /// A writer that has written one line and pauses.
    fn pausing() -> (LogWriter, Receiver<Vec<u8>>) {
        let (writer, batches) = writer(LONG);
        writer.push(b"first\n");
        assert_eq!(batches.recv().unwrap(), b"first\n", "it waits for no other");
        (writer, batches)
    }

    #[test]
    fn lines_that_come_in_a_pause_go_out_together_in_order_when_they_are_flushed() {
        let (writer, batches) = pausing();
        let mut expected = Vec::new();
        for number in 0..100 {
            let line = format!("line {number}\n");
            writer.push(line.as_bytes());
            expected.extend_from_slice(line.as_bytes());
            // The thread has time to write each line alone, if it does not pause.
            std::thread::sleep(Duration::from_micros(100));
        }
        assert!(writer.flush(LONG));
        assert_eq!(batches.try_recv().unwrap(), expected, "all are out when a flush is over");
        assert!(batches.try_recv().is_err());
        assert!(writer.flush(LONG), "nothing is left to wait for");
    }

    #[test]
    fn a_pause_ends_when_half_of_the_buffer_is_full() {
        let (writer, batches) = pausing();
        let line = [b'x'; 1024];
        for _ in 0..=PAUSE_BYTES_MAX / line.len() {
            writer.push(&line);
        }
        assert!(batches.recv().unwrap().len() > PAUSE_BYTES_MAX);
    }

    #[test]
    fn a_line_that_comes_in_a_pause_is_written_after_it_when_no_other_comes() {
        let (writer, batches) = writer(PAUSE);
        for line in [b"one\n", b"two\n"] {
            writer.push(line);
            assert_eq!(batches.recv().unwrap(), line);
        }
    }

    #[test]
    fn a_flush_says_when_its_time_is_over_before_the_lines_are_written() {
        let writer = LogWriter::new(PAUSE);
        writer.push(b"nobody writes it\n");
        assert!(!writer.flush(Duration::from_millis(1)));
    }
}
