//! Who works in a folder: a lock that a process holds from its first instruction to its end.
//!
//! Two servers on the same data destroy it, and neither Redis nor RabbitMQ looks whether another one
//! is there. So each has a lock file (flock(2)) beside its data, and inherits the locked file as its
//! input, which no server reads. The lock does not depend on whoever started the server: it is
//! there before the server runs, stays when its starter is killed, and goes with the last of the
//! server's processes. Whoever has the file as input is found by it, too.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;

use super::{Member, NativeError, ProcessId, Signal, error::Doing, folder, process::POLL};

/// How long a lock may outlast the process that held it: its children notice its end a little later.
const PATIENCE: Duration = Duration::from_secs(2);
/// In a server's folder, the file that names the folder of its data when that is another one.
pub const ELSEWHERE: &str = "data-is-elsewhere";
/// The servers by the names of their locks, in the order of stopping, and the signal that ends them.
const SERVERS: [(&str, Signal); 6] = [
    ("postgres", Signal::INT),
    ("redis", Signal::TERM),
    ("rabbitmq", Signal::TERM),
    ("epmd", Signal::TERM),
    ("etcd", Signal::TERM),
    ("prometheus", Signal::TERM),
];

/// The right to start one process in a folder, and what that process inherits to hold it.
#[derive(Debug)]
pub struct Owner {
    file: File,
}

impl Owner {
    /// Takes the lock `<name>.lock` of a folder, which is made when absent.
    ///
    /// # Errors
    /// [`NativeError::InUse`] when a process holds it, with the ids of those that do.
    pub fn take(folder: &Path, name: &str) -> Result<Self, NativeError> {
        make(folder).doing(|| format!("make {}", folder.display()))?;
        let path = lock_file(folder, name);
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
        let file = options.open(&path).doing(|| format!("open {}", path.display()))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => {
                    let folder = folder.to_owned();
                    let pids = who_has_open(&path);
                    return Err(NativeError::InUse { name: name.to_owned(), folder, pids });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(source).doing(|| format!("lock {}", path.display()));
                }
            }
        }
    }

    /// The same for a server's data: also a server that has not taken the lock is seen there.
    pub(crate) fn of_data(folder: &Path, name: &str) -> Result<Self, NativeError> {
        let owner = Self::take(folder, name)?;
        let pids = table::servers_at(folder);
        if pids.is_empty() {
            return Ok(owner);
        }
        Err(NativeError::InUse { name: name.to_owned(), folder: folder.to_owned(), pids })
    }

    /// The locked file, as input for the process that is to hold it.
    pub fn input(&self) -> Result<File, NativeError> {
        self.file.try_clone().doing(|| "pass a lock on".to_owned())
    }

    /// Notes which process holds it, for systems that do not tell who has a file open.
    pub(crate) fn note(file: &File, process: ProcessId) -> Result<(), NativeError> {
        let line = format!("{} {}\n", process.pid, process.started);
        let write = || {
            file.set_len(0)?;
            file.write_all_at(line.as_bytes(), 0)
        };
        write().doing(|| "write a lock file".to_owned())
    }
}

/// The processes that were started with this lock and run; not their children.
pub fn holders(folder: &Path, name: &str) -> Vec<ProcessId> {
    table::holders(&lock_file(folder, name))
}

/// The servers that work on the data of a folder, whoever started them, in the order of stopping.
pub fn servers_in(folder: &Path) -> Vec<Member> {
    let mut folders = vec![folder.to_owned()];
    folders.extend(folder::elsewhere(folder));
    let servers = SERVERS.iter().flat_map(|(name, stop_signal)| {
        let holders = folders.iter().flat_map(|folder| holders(folder, name));
        holders.map(|process| Member { name, process, stop_signal: *stop_signal })
    });
    servers.collect()
}

/// Makes a folder that nobody else looks into, where it is absent.
fn make(folder: &Path) -> io::Result<()> {
    folder.parent().map_or(Ok(()), fs::create_dir_all)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

fn lock_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.lock"))
}

/// For an error: those that have it as input, or else whoever has it open, such as a test that is
/// about to start the server again.
fn who_has_open(lock: &Path) -> Vec<u32> {
    let holders: Vec<u32> = table::holders(lock).iter().map(|holder| holder.pid).collect();
    if holders.is_empty() { table::openers(lock) } else { holders }
}

#[cfg(target_os = "linux")]
mod table {
    use std::os::unix::fs::MetadataExt;

    use super::{Path, ProcessId, fs};
    use crate::native::table::{Entry, entries};

    /// The programs of servers, as the kernel names their processes.
    const PROGRAMS: [&str; 6] =
        ["postgres", "redis-server", "valkey-server", "beam.smp", "etcd", "prometheus"];

    pub(super) fn holders(lock: &Path) -> Vec<ProcessId> {
        let Some(lock) = identity(lock) else {
            return Vec::new();
        };
        let has_it =
            |entry: &Entry| identity(Path::new(&format!("/proc/{}/fd/0", entry.pid))) == Some(lock);
        let family: Vec<Entry> = entries().into_iter().filter(has_it).collect();
        let is_child = |entry: &Entry| family.iter().any(|other| other.pid == entry.parent);
        let first = family.iter().filter(|entry| !is_child(entry));
        first.map(|entry| ProcessId { pid: entry.pid, started: entry.started }).collect()
    }

    pub(super) fn openers(lock: &Path) -> Vec<u32> {
        let lock = identity(lock);
        let has_it = |pid: &u32| {
            let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
                return false;
            };
            lock.is_some() && files.flatten().any(|file| identity(&file.path()) == lock)
        };
        entries().into_iter().map(|entry| entry.pid).filter(has_it).collect()
    }

    /// The servers whose working folder is there.
    pub(super) fn servers_at(folder: &Path) -> Vec<u32> {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let is_there = |entry: &Entry| {
            let of_process = Path::new("/proc").join(entry.pid.to_string());
            fs::read_link(of_process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder))
                && fs::read_to_string(of_process.join("comm"))
                    .is_ok_and(|program| PROGRAMS.contains(&program.trim()))
        };
        let running = entries().into_iter().filter(|entry| !entry.is_zombie);
        running.filter(is_there).map(|entry| entry.pid).collect()
    }

    fn identity(path: &Path) -> Option<(u64, u64)> {
        fs::metadata(path).ok().map(|data| (data.dev(), data.ino()))
    }
}

#[cfg(not(target_os = "linux"))]
mod table {
    use super::{Path, ProcessId, fs};

    /// The one that is noted, which whoever started it may have been too dead to do.
    pub(super) fn holders(lock: &Path) -> Vec<ProcessId> {
        let noted = fs::read_to_string(lock).ok();
        let noted = noted.as_deref().and_then(|line| line.trim().split_once(' '));
        let process = noted.and_then(|(pid, started)| {
            Some(ProcessId { pid: pid.parse().ok()?, started: started.parse().ok()? })
        });
        process.into_iter().filter(|process| process.is_running()).collect()
    }

    pub(super) fn openers(_lock: &Path) -> Vec<u32> {
        Vec::new()
    }

    pub(super) fn servers_at(_folder: &Path) -> Vec<u32> {
        Vec::new()
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::native::{Launch, find::on_path};

    #[test]
    fn a_lock_is_held_by_what_inherited_it_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::take(folder.path(), "sleeper").unwrap();
        let launch = Launch::new(&on_path("sh").unwrap(), &folder.path().join("log"));
        let launch = launch.args(["-c", "sleep 60 & sleep 60"]).owner(&owner).unwrap();
        let process = launch.spawn().unwrap();
        drop(owner);

        assert_eq!(holders(folder.path(), "sleeper"), [process]);
        let Err(NativeError::InUse { pids, .. }) = Owner::take(folder.path(), "sleeper") else {
            panic!("the lock was taken twice");
        };
        assert_eq!(pids, [process.pid]);

        process.kill().unwrap();
        assert_eq!(holders(folder.path(), "sleeper"), []);
        Owner::take(folder.path(), "sleeper").unwrap();
    }

    #[test]
    fn who_starts_a_server_is_named_while_the_server_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let _owner = Owner::take(folder.path(), "redis").unwrap();
        let error = Owner::take(folder.path(), "redis").unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
    }
}
