//! Processes in sessions of their own: started apart from us, signalled and ended by id.

use std::{
    ffi::OsString,
    fs::{DirBuilder, File, OpenOptions, Permissions},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use rustix::process::Signal;
use rustix::{
    io::Errno,
    process::{Pid, WaitOptions, kill_process, waitpid},
};

use super::{
    NativeError, Owner,
    account::Account,
    error::Doing,
    find::on_path,
    table::{self, Entry},
};

/// How often it is looked whether a process has ended.
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// How long a killed process and the rest of its family may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// A process, told from an earlier one with the same id by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId {
    /// The id the system gave it.
    pub pid: u32,
    /// When it started, in a unit that only the system knows: good for comparing, for nothing else.
    pub started: u64,
}

impl ProcessId {
    /// The process that has this id now; none when nothing runs under it.
    pub fn of(pid: u32) -> Option<Self> {
        table::entry(pid).map(|entry| Self { pid, started: entry.started })
    }

    /// Whether this very process still runs. One that has ended and waits to be collected does not.
    pub fn is_running(self) -> bool {
        self.collect();
        table::entry(self.pid)
            .is_some_and(|entry| entry.started == self.started && !entry.is_zombie)
    }

    /// Sends a signal to this process alone. To send one to a process that is gone is no error.
    pub fn signal(self, signal: Signal) -> Result<(), NativeError> {
        if !self.is_running() {
            return Ok(());
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        match self.send(pid, signal) {
            Err(Errno::SRCH) => Ok(()),
            other => other.doing(|| format!("send signal {} to {}", signal.as_raw(), self.pid)),
        }
    }

    /// By a handle of the process, which stays that of the process when its id is given to another one.
    #[cfg(target_os = "linux")]
    fn send(self, pid: Pid, signal: Signal) -> Result<(), Errno> {
        use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

        match pidfd_open(pid, PidfdFlags::empty()) {
            // Looked at again, now that the handle holds whichever process it is.
            Ok(handle) if self.is_running() => pidfd_send_signal(&handle, signal),
            Ok(_) => Ok(()),
            // Before Linux 5.3, or in a sandbox that forbids it.
            Err(Errno::NOSYS | Errno::PERM) => kill_process(pid, signal),
            Err(error) => Err(error),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn send(self, pid: Pid, signal: Signal) -> Result<(), Errno> {
        kill_process(pid, signal)
    }

    /// Stops the clock of this process and of all its descendants (SIGSTOP): connections stay open,
    /// nobody answers.
    pub fn freeze(self) -> Result<(), NativeError> {
        // The parent first: from then on no further child is made.
        self.signal(Signal::STOP)?;
        self.descendants().try_for_each(|child| child.signal(Signal::STOP))
    }

    /// Lets a frozen process and its descendants run on (SIGCONT).
    pub fn cont(self) -> Result<(), NativeError> {
        self.descendants().try_for_each(|child| child.signal(Signal::CONT))?;
        self.signal(Signal::CONT)
    }

    /// Ends the process and all its descendants at once (SIGKILL), as a power cut would, and waits
    /// until they are gone.
    pub fn kill(self) -> Result<(), NativeError> {
        self.signal(Signal::STOP)?;
        let family: Vec<Self> = self.descendants().collect();
        self.signal(Signal::KILL)?;
        end_all(&family)?;
        self.wait_gone(KILL_LIMIT).then_some(()).ok_or(NativeError::Undying { pid: self.pid })
    }

    /// Ends the process in order: `signal`, then up to `grace` for it to go, then SIGKILL. What it
    /// leaves behind of its descendants is ended too. Says whether it went by itself.
    pub fn stop(self, signal: Signal, grace: Duration) -> Result<bool, NativeError> {
        let family: Vec<Self> = self.descendants().collect();
        self.signal(signal)?;
        self.cont()?;
        let in_order = self.wait_gone(grace);
        if !in_order {
            self.kill()?;
        }
        end_all(&family)?;
        Ok(in_order)
    }

    /// Waits until the process is gone; says whether it is.
    pub fn wait_gone(self, limit: Duration) -> bool {
        let start = Instant::now();
        while self.is_running() {
            if start.elapsed() > limit {
                return false;
            }
            thread::sleep(POLL);
        }
        true
    }

    /// Waits until nothing is left of it in the process table, not even its exit status.
    pub(crate) fn wait_collected(self, limit: Duration) -> bool {
        let start = Instant::now();
        while Self::of(self.pid) == Some(self) {
            if start.elapsed() > limit {
                return false;
            }
            thread::sleep(POLL);
        }
        true
    }

    fn descendants(self) -> impl Iterator<Item = Self> {
        let family = if self.is_running() { table::descendants(self.pid) } else { Vec::new() };
        family.into_iter().map(|Entry { pid, started, .. }| Self { pid, started })
    }

    /// Takes the exit status of an own child that has ended, so that it does not stay as a zombie.
    /// For a process that is not ours this does nothing.
    fn collect(self) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _not_ours = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Waits shortly for processes that lost their parent, then kills those that stay.
fn end_all(family: &[ProcessId]) -> Result<(), NativeError> {
    // Most notice that their parent is gone and end at once.
    let patience = Instant::now() + Duration::from_millis(500);
    for process in family {
        if !process.wait_gone(patience.saturating_duration_since(Instant::now())) {
            process.signal(Signal::KILL)?;
        }
    }
    family
        .iter()
        .find(|process| !process.wait_gone(KILL_LIMIT))
        .map_or(Ok(()), |process| Err(NativeError::Undying { pid: process.pid }))
}

/// A process to be started: in a session of its own, without input, with its output in a file that only
/// its owner reads.
///
/// A signal that a terminal sends to its programs (Ctrl-C, hang-up) does not reach it. Of the variables
/// of whoever starts it, it gets those of [`clean_environment`].
#[derive(Debug)]
pub struct Launch {
    command: Command,
    program: PathBuf,
    log: PathBuf,
    append: bool,
    /// The lock that it holds.
    lock: Option<File>,
}

impl Launch {
    /// `program` writes to the file `log`, which starts empty.
    pub fn new(program: &Path, log: &Path) -> Self {
        let mut command = if let Some(setsid) = on_path("setsid") {
            // Not a group leader yet, it does not fork: the process id stays that of the program.
            let mut command = Command::new(setsid);
            command.arg(program);
            command
        } else {
            let mut command = Command::new(program);
            command.process_group(0);
            command
        };
        command.stdin(Stdio::null());
        clean_environment(&mut command);
        Self {
            command,
            program: program.to_owned(),
            log: log.to_owned(),
            append: false,
            lock: None,
        }
    }

    /// Makes it hold this lock until its end.
    pub fn owner(mut self, owner: &Owner) -> Result<Self, NativeError> {
        self.command.stdin(owner.input()?);
        self.lock = Some(owner.input()?);
        Ok(self)
    }

    /// Adds to the log instead of starting it anew.
    #[must_use]
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Sets its working folder.
    #[must_use]
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn account(mut self, account: Option<&Account>) -> Self {
        if let Some(account) = account {
            account.apply(&mut self.command);
        }
        self
    }

    /// Starts it.
    pub fn spawn(mut self) -> Result<ProcessId, NativeError> {
        let log = self.open_log().doing(|| format!("open {}", self.log.display()))?;
        let copy = log.try_clone().doing(|| format!("open {}", self.log.display()))?;
        let child = self
            .command
            .stdout(log)
            .stderr(copy)
            .spawn()
            .doing(|| format!("start {}", self.program.display()))?;
        // Not collected yet, so that even one that has already ended still has its entry.
        let process = ProcessId::of(child.id()).ok_or_else(|| NativeError::Io {
            doing: format!("find process {} of {}", child.id(), self.program.display()),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        let noted = self.lock.map_or(Ok(()), |lock| Owner::note(&lock, process));
        if let Err(error) = noted {
            // As on a full disk: who is told that it did not start does not end it.
            process.kill()?;
            return Err(error);
        }
        Ok(process)
    }

    fn open_log(&self) -> std::io::Result<File> {
        if let Some(folder) = self.log.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log)?;
        // Also one that an earlier version has made.
        log.set_permissions(Permissions::from_mode(0o600))?;
        if !self.append {
            log.set_len(0)?;
        }
        Ok(log)
    }
}

/// What every program may read of whoever starts it.
const INHERITED: [&str; 8] =
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "RUST_BACKTRACE"];

/// Lets a command inherit where programs and the user's home are, the language, and the time zone, and
/// nothing else: not the variables of cargo, which lead a program to the compiler's libraries, no proxy,
/// which would be sent what goes from one process of this machine to another, and no settings of other
/// servers of the same kind.
pub fn clean_environment(command: &mut Command) {
    command.env_clear();
    let is_inherited = |name: &str| INHERITED.contains(&name) || name.starts_with("LC_");
    let inherited = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_inherited));
    command.envs(inherited);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sleeper(folder: &Path) -> ProcessId {
        let shell = on_path("sh").unwrap();
        let launch = Launch::new(&shell, &folder.join("log"));
        launch.args(["-c", "sleep 60 & sleep 60"]).spawn().unwrap()
    }

    #[test]
    fn stopping_a_process_ends_its_children_too() {
        let folder = tempfile::tempdir().unwrap();
        let process = sleeper(folder.path());
        let start = Instant::now();
        while process.descendants().count() < 2 && start.elapsed() < KILL_LIMIT {
            thread::sleep(POLL);
        }
        let family: Vec<_> = process.descendants().collect();
        assert_eq!(family.len(), 2);

        assert!(process.stop(Signal::TERM, KILL_LIMIT).unwrap());
        assert!(!process.is_running());
        assert!(family.iter().all(|child| !child.is_running()));
    }

    #[test]
    fn another_process_with_the_same_id_is_not_signalled() {
        let folder = tempfile::tempdir().unwrap();
        let process = sleeper(folder.path());
        let stranger = ProcessId { started: process.started + 1, ..process };
        assert!(!stranger.is_running());
        stranger.kill().unwrap();
        assert!(process.is_running());
        process.kill().unwrap();
    }
}
