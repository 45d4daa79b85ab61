//! `cargo dev logs`: what the processes wrote, and what they write now.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use testkit::native::log_tail;

use crate::{interrupt::Interrupt, project::Project};

const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A service or server (`user-service`, `postgres`, …); all of them when not given
    name: Option<String>,
    /// Keeps showing what is added, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// How many of the last lines of each log
    #[arg(long, short = 'n', default_value_t = 20)]
    lines: usize,
}

/// A log and how far it was shown.
struct Log {
    name: String,
    path: PathBuf,
    shown: u64,
    /// A line whose end has not been written yet.
    rest: String,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut logs = find(project)?;
    if let Some(name) = &args.name {
        let known: Vec<String> = logs.iter().map(|log| log.name.clone()).collect();
        logs.retain(|log| log.name == *name);
        if logs.is_empty() {
            bail!("no log of `{name}`; there are: {}", known.join(", "));
        }
    }
    if logs.is_empty() {
        bail!("no logs yet; start the system with: cargo dev up");
    }
    let prefixed = logs.len() > 1;
    for log in &mut logs {
        log.shown = fs::metadata(&log.path).map_or(0, |data| data.len());
        for line in log_tail(&log.path, args.lines).lines() {
            show(log, line, prefixed);
        }
    }
    while args.follow && !interrupt.is_set() {
        for log in &mut logs {
            for line in log.added()? {
                show(log, &line, prefixed);
            }
        }
        thread::sleep(POLL);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(log: &Log, line: &str, prefixed: bool) {
    if prefixed {
        println!("{:<20} | {line}", log.name);
    } else {
        println!("{line}");
    }
}

fn find(project: &Project) -> Result<Vec<Log>> {
    let folder = project.dev("logs");
    let Ok(items) = fs::read_dir(&folder) else {
        return Ok(Vec::new());
    };
    let mut logs = Vec::new();
    for item in items {
        let path = item.with_context(|| format!("read {}", folder.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".log"));
        if let Some(name) = name.map(str::to_owned) {
            logs.push(Log { name, path, shown: 0, rest: String::new() });
        }
    }
    logs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(logs)
}

impl Log {
    /// The whole lines added since the last call. A file that has become shorter was started anew.
    fn added(&mut self) -> Result<Vec<String>> {
        let Ok(mut file) = File::open(&self.path) else {
            return Ok(Vec::new());
        };
        let length = file.metadata().map_or(0, |data| data.len());
        if length < self.shown {
            (self.shown, self.rest) = (0, String::new());
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.shown))
            .and_then(|_| file.read_to_end(&mut bytes))
            .with_context(|| format!("read {}", self.path.display()))?;
        self.shown += bytes.len() as u64;
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let Some((lines, rest)) = self.rest.rsplit_once('\n') else {
            return Ok(Vec::new());
        };
        let (lines, rest) = (lines.lines().map(str::to_owned).collect(), rest.to_owned());
        self.rest = rest;
        Ok(lines)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_once_and_whole_and_a_new_file_from_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = Log { name: "a".into(), path: path.clone(), shown: 0, rest: String::new() };
        fs::write(&path, "one\ntw").unwrap();
        assert_eq!(log.added().unwrap(), ["one"]);
        fs::write(&path, "one\ntwo\n").unwrap();
        assert_eq!(log.added().unwrap(), ["two"]);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(log.added().unwrap(), ["new"]);
    }
}
