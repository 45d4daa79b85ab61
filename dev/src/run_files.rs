//! What a running service has in `.dev`: a lock and a takeover socket in `.dev/run`, and its log.
//!
//! A process and the one that replaces it run side by side for a moment, so there are two places for each
//! service, of which a start takes the free one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use testkit::native::{Owner, holders, read_end};

use crate::project::Project;

/// Longer paths cannot be a socket's: `sockaddr_un` has 108 bytes on Linux, 104 elsewhere.
const SOCKET_PATH_MAX: usize = 100;
/// A log that is longer at a start becomes `<name>.log.1`.
const LOG_MAX: u64 = 16 << 20;
/// Of the end of a log, how much is searched for what a process said.
const TAIL_MAX: u64 = 1 << 20;

/// The files of one process of a service.
#[derive(Debug)]
pub(crate) struct RunFiles {
    pub(crate) owner: Owner,
    /// Where it offers its listeners once it serves, as seen from the top of the workspace: short
    /// enough for a socket. None where it would be too long.
    pub(crate) takeover: Option<PathBuf>,
}

impl RunFiles {
    /// Takes a free place for a process of this service.
    pub(crate) fn take(project: &Project, name: &str) -> Result<Self> {
        let folder = folder(project);
        let places = [name.to_owned(), format!("{name}.next")];
        let free = places.iter().find(|place| holders(&folder, place).is_empty());
        let Some(place) = free else {
            bail!("two processes of {name} run already; see `cargo dev status`");
        };
        let owner = Owner::take(&folder, place)?;
        let socket = folder.join(format!("{place}.sock"));
        remove(&socket)?;
        let takeover = socket.strip_prefix(project.root()).unwrap_or(&socket).to_owned();
        let fits = takeover.as_os_str().len() <= SOCKET_PATH_MAX;
        Ok(Self { owner, takeover: fits.then_some(takeover) })
    }
}

/// Where the locks are.
pub(crate) fn folder(project: &Project) -> PathBuf {
    project.dev("run")
}

/// The services that have had a lock, each with the name of the lock.
pub(crate) fn locks(project: &Project) -> Vec<(String, String)> {
    let items = fs::read_dir(folder(project)).into_iter().flatten().flatten();
    let locks = items.filter_map(|item| {
        let name = item.file_name();
        let lock = name.to_str()?.strip_suffix(".lock")?.to_owned();
        let service = lock.strip_suffix(".next").unwrap_or(&lock).to_owned();
        Some((service, lock))
    });
    locks.collect()
}

/// The log of a process that is to be started, which goes on where that of the one before it ended.
pub(crate) fn log(project: &Project, name: &str) -> Result<PathBuf> {
    let log = project.log(name);
    if fs::metadata(&log).is_ok_and(|data| data.len() > LOG_MAX) {
        // Whoever still writes to it does so under its new name.
        fs::rename(&log, log.with_extension("log.1")).context("put a long log aside")?;
    }
    Ok(log)
}

/// How long a log is now: what comes is said from here on.
pub(crate) fn length(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |data| data.len())
}

/// The last lines that a log has got since it was so long, without those of single requests: the
/// process that is replaced goes on answering.
pub(crate) fn said_since(log: &Path, length: u64, lines: usize) -> String {
    let text = read_end(log, length, TAIL_MAX).unwrap_or_default();
    let said = text.lines().filter(|line| !line.contains("request answered") && !is_frame(line));
    let said: Vec<&str> = said.collect();
    said[said.len().saturating_sub(lines)..].join("\n")
}

/// Whether a line is of a backtrace, which is longer than what is shown.
fn is_frame(line: &str) -> bool {
    let line = line.trim_start();
    let number = line.split_once(": ").map(|(number, _)| number);
    line.starts_with("at ")
        || number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
}

fn remove(socket: &Path) -> Result<()> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", socket.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_until_it_is_long() {
        let root = tempfile::tempdir().unwrap();
        let project = Project::fixture(root.path());
        fs::create_dir_all(project.dev("logs")).unwrap();
        let file = log(&project, "user-service").unwrap();
        fs::write(&file, "short\n").unwrap();
        log(&project, "user-service").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "short\n");

        fs::File::options().write(true).open(&file).unwrap().set_len(LOG_MAX + 1).unwrap();
        assert_eq!(log(&project, "user-service").unwrap(), file);
        assert_eq!(length(&file), 0);
        assert_eq!(length(&project.dev("logs/user-service.log.1")), LOG_MAX + 1);
    }

    #[test]
    fn what_a_process_said_is_found_between_the_requests_of_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.log");
        fs::write(&file, "before\nINFO request answered\nno database\nINFO request answered\n")
            .unwrap();
        assert_eq!(said_since(&file, 7, 20), "no database");
        assert_eq!(said_since(&file, 0, 1), "no database");
        fs::write(&file, "panicked\n   0: rust_begin_unwind\n             at a.rs:1:2\n").unwrap();
        assert_eq!(said_since(&file, 0, 20), "panicked");
        assert_eq!(said_since(&file, 1000, 20), "");
    }

    #[test]
    fn a_lock_is_of_its_service_in_either_place() {
        let root = tempfile::tempdir().unwrap();
        let project = Project::fixture(root.path());
        let first = RunFiles::take(&project, "user-service").unwrap();
        assert_eq!(first.takeover.unwrap(), Path::new(".dev/run/user-service.sock"));
        fs::write(folder(&project).join("user-service.next.lock"), "").unwrap();
        let mut locks = locks(&project);
        locks.sort();
        let of = |lock: &str| ("user-service".to_owned(), lock.to_owned());
        assert_eq!(locks, [of("user-service"), of("user-service.next")]);
    }
}
