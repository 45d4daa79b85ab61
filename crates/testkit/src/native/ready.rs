//! Waiting until a server really answers.

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{NativeError, ProcessId};

const POLL: Duration = Duration::from_millis(50);
/// How long one question may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How much of a log's end is read for an error.
const TAIL_BYTES_MAX: u64 = 16 * 1024;
/// How many lines of it an error shows.
const TAIL_LINES: usize = 15;

/// Asks `answers` again and again until it says yes. Ends early when the process does.
pub fn until_ready(
    name: &str,
    process: ProcessId,
    log: &Path,
    limit: Duration,
    mut answers: impl FnMut() -> bool,
) -> Result<(), NativeError> {
    let start = Instant::now();
    loop {
        if !process.is_running() {
            let (name, log, tail) = (name.to_owned(), log.to_owned(), log_tail(log, TAIL_LINES));
            return Err(NativeError::Ended { name, log, tail });
        }
        if answers() {
            return Ok(());
        }
        if start.elapsed() > limit {
            let (name, log, tail) = (name.to_owned(), log.to_owned(), log_tail(log, TAIL_LINES));
            return Err(NativeError::Silent { name, limit, log, tail });
        }
        thread::sleep(POLL);
    }
}

/// Sends `question` to a port of 127.0.0.1 and gives the first bytes of what comes back.
pub(crate) fn ask(port: u16, question: &[u8]) -> Option<Vec<u8>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    stream.write_all(question).ok()?;
    let mut answer = vec![0; 256];
    let length = stream.read(&mut answer).ok()?;
    answer.truncate(length);
    Some(answer)
}

/// What a file has from a byte on, of that the last `bytes_max`.
pub fn read_end(file: &Path, from: u64, bytes_max: u64) -> std::io::Result<String> {
    let mut file = fs::File::open(file)?;
    let start = from.max(file.metadata()?.len().saturating_sub(bytes_max));
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a log; empty when there is none.
pub fn log_tail(log: &Path, lines: usize) -> String {
    let text = read_end(log, 0, TAIL_BYTES_MAX.max(lines as u64 * 256)).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
