//! Callers who ask a service all the time, on kept and on fresh connections, and mind every failure.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Callers of each kind; together they ask some hundred times a second.
const CALLERS: usize = 4;
const DELAY: Duration = Duration::from_millis(10);
/// How long a caller keeps a connection that is idle: less than a service does that is replaced, which is a second.
/// On a busy machine the delay may be that long.
const IDLE_MAX: Duration = Duration::from_millis(500);
/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the callers have seen.
#[derive(Debug, Default)]
struct Seen {
    is_over: AtomicBool,
    answers: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// A connection, and when it was last of use.
struct Kept {
    stream: BufReader<TcpStream>,
    since: Instant,
}

/// Callers at work until they are asked for what they have seen.
pub(crate) struct Load {
    seen: Arc<Seen>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    /// `GET path` on this port: half of the callers keep their connection until they are told that it
    /// ends, the others make a new one each time.
    pub(crate) fn on(port: u16, path: &'static str) -> Self {
        let seen = Arc::new(Seen::default());
        let caller = |number: usize| {
            let seen = seen.clone();
            thread::spawn(move || call(port, path, number.is_multiple_of(2), &seen))
        };
        Self { callers: (0..2 * CALLERS).map(caller).collect(), seen }
    }

    /// How many requests have been answered.
    pub(crate) fn answers(&self) -> usize {
        self.seen.answers.load(Ordering::Relaxed)
    }

    /// Ends it; what has failed is the failure of the test. Gives the number of answers.
    pub(crate) fn end(self) -> usize {
        self.seen.is_over.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.join().unwrap();
        }
        let failures = self.seen.failures.lock().unwrap();
        let answers = self.seen.answers.load(Ordering::Relaxed);
        assert!(failures.is_empty(), "{answers} answers, and {failures:?}");
        answers
    }
}

fn call(port: u16, path: &str, keeps: bool, seen: &Seen) {
    let mut kept = None;
    while !seen.is_over.load(Ordering::Relaxed) {
        match ask(port, path, &mut kept) {
            Ok(200) => {
                seen.answers.fetch_add(1, Ordering::Relaxed);
            }
            Ok(status) => seen.failures.lock().unwrap().push(format!("status {status}")),
            Err(error) => {
                let what = if kept.is_some() { "kept" } else { "new" };
                seen.failures.lock().unwrap().push(format!("{what} connection: {error}"));
                kept = None;
            }
        }
        if !keeps {
            kept = None;
        }
        thread::sleep(DELAY);
    }
}

/// Asks once; leaves the connection for the next time unless the answer says that it ends.
fn ask(port: u16, path: &str, kept: &mut Option<Kept>) -> io::Result<u16> {
    if kept.as_ref().is_none_or(|kept| kept.since.elapsed() >= IDLE_MAX) {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        *kept = Some(Kept { stream: BufReader::new(stream), since: Instant::now() });
    }
    let Kept { stream: connection, since } = kept.as_mut().unwrap();
    // In one piece, as clients do: a service that ends closes a connection on which half a request has come.
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    connection.get_mut().write_all(request.as_bytes())?;
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    let (mut length, mut ends) = (0, false);
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let field = line.trim_end().to_ascii_lowercase();
        match field.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap_or_default(),
            Some(("connection", "close")) => ends = true,
            Some(_) => {}
            None => break,
        }
    }
    connection.read_exact(&mut vec![0; length])?;
    *since = Instant::now();
    if ends {
        *kept = None;
    }
    Ok(status)
}
