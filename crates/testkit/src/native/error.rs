//! What can go wrong with a private server, said so that the reader knows what to do.

use std::{io, path::PathBuf, time::Duration};

/// A private server could not be found, started, reached or stopped.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// A binary is not on this machine.
    #[error("{what} not found: {help}")]
    NotFound {
        /// The program that is missing.
        what: &'static str,
        /// Where it was looked for, or how to get it.
        help: String,
    },
    /// A file, a folder or a process could not be made, read or signalled.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The process ended before it answered.
    #[error("{name} ended before it was ready; the end of {}:\n{tail}", log.display())]
    Ended {
        /// The server.
        name: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The process runs but did not answer in time.
    #[error(
        "{name} did not answer within {} s; the end of {}:\n{tail}",
        limit.as_secs(),
        log.display()
    )]
    Silent {
        /// The server.
        name: String,
        /// How long it was waited for.
        limit: Duration,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A program that was run to its end failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// The program.
        program: String,
        /// What it wrote.
        output: String,
    },
    /// A process works in the folder already: two servers would destroy each other's data.
    #[error(
        "{} is in use: {name} works there as {}; end that first",
        folder.display(),
        said(pids)
    )]
    InUse {
        /// The server.
        name: String,
        /// Where its data is.
        folder: PathBuf,
        /// The processes that have it; none when the system does not tell.
        pids: Vec<u32>,
    },
    /// The process is still there after SIGKILL.
    #[error("process {pid} is still there after SIGKILL")]
    Undying {
        /// Its id.
        pid: u32,
    },
}

impl NativeError {
    /// Whether a server ended because somebody else took the port between choosing and binding it.
    pub(crate) fn is_busy_port(&self) -> bool {
        let Self::Ended { log, .. } = self else {
            return false;
        };
        let text = std::fs::read_to_string(log).unwrap_or_default().to_lowercase();
        text.contains("address already in use") || text.contains("eaddrinuse")
    }
}

/// Processes, in a sentence.
fn said(pids: &[u32]) -> String {
    let numbers: Vec<String> = pids.iter().map(u32::to_string).collect();
    match numbers.len() {
        0 => "a process that cannot be told".to_owned(),
        1 => format!("process {}", numbers[0]),
        _ => format!("processes {}", numbers.join(", ")),
    }
}

/// Adds to an I/O error what was being done.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, NativeError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, NativeError> {
        self.map_err(|source| NativeError::Io { doing: what(), source: source.into() })
    }
}
