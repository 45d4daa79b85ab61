//! The proxy as a process, started by `cargo dev up` before the services.
//!
//! `WIRES_PATH` and `FAULTS_PATH` name the two files that it obeys; see the crate `faults`. It ends on
//! SIGTERM and SIGINT, and at its start when it cannot listen where it is to.

use std::{io::Write, path::PathBuf, process::ExitCode, time::SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use dev_proxy::{Files, raise_file_limit, run};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn start() -> std::io::Result<()> {
    let files = Files { wires: path("WIRES_PATH")?, faults: path("FAULTS_PATH")? };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    raise_file_limit();
    tokio::select! {
        outcome = run(&files, say) => outcome,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

#[allow(clippy::disallowed_methods, reason = "the tool says by two variables where its files are")]
fn path(name: &str) -> std::io::Result<PathBuf> {
    let path = std::env::var_os(name).map(PathBuf::from);
    path.ok_or_else(|| std::io::Error::other(format!("{name} is not set; `cargo dev up` sets it")))
}

/// One line of the log. A reader that went away must not end the proxy.
fn say(line: &str) {
    let time = DateTime::<Utc>::from(SystemTime::now());
    let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let _nobody_reads_it = writeln!(std::io::stdout(), "{time} {line}");
}
