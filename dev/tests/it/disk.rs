//! A disk without space.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    system::{Servers, System},
    up::is_known,
};

#[test]
fn a_start_on_a_full_disk_leaves_nothing_running_and_works_once_there_is_space() {
    let servers = Servers::start();
    let system = servers.system();
    let disk = Disk::mount(&system);
    // Nothing fits; the secrets do, but a log that the service writes at its start does not.
    for left in [0, 16] {
        disk.leave(left);
        let output = system.output(&["up", "--detach"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{left} KiB: {error}");
        assert!(error.contains("No space left on device"), "{left} KiB: {error}");
        system.until("everything has ended", || system.workers().is_empty());
        assert_eq!(system.status(), Vec::<serde_json::Value>::new());
    }
    disk.clear();
    system.succeeds(&["up", "--detach"]);

    // What runs is known, stays, and can be stopped when the disk fills up later.
    let pids = system.pids();
    disk.leave(0);
    is_known(&system);
    let _with_or_without_success = system.output(&["up", "--detach"]);
    assert_eq!(system.pids(), pids);
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn servers_that_find_no_space_for_their_data_are_reported_and_come_up_once_there_is() {
    let system = System::new();
    let disk = Disk::mount(&system);
    // Half a cluster of PostgreSQL.
    disk.leave(20 * 1024);
    let output = system.output(&["up", "--detach"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    // PostgreSQL says so in words of its own where half a page found room.
    let words = ["No space left on device", "Check free disk space"];
    assert!(words.iter().any(|words| error.contains(words)), "{error}");
    system.until("everything has ended", || system.workers().is_empty());

    disk.clear();
    system.succeeds(&["up", "--detach"]);
    is_known(&system);
    system.succeeds(&["status"]);
    system.succeeds(&["down"]);
    system.is_down();
}

/// A file system of its own under the system's `.dev`.
struct Disk {
    folder: PathBuf,
}

impl Disk {
    const SIZE: &str = "size=1g";

    fn mount(system: &System) -> Self {
        let folder = system.path(".dev");
        fs::create_dir_all(&folder).unwrap();
        let owner = fs::metadata(&folder).unwrap();
        let options = format!("{},mode=755,uid={},gid={}", Self::SIZE, owner.uid(), owner.gid());
        as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs"], &folder);
        system.had_ports(&[]);
        Self { folder }
    }

    /// Fills it, but for so many KiB.
    fn leave(&self, kib: u64) {
        self.clear();
        let statistics = rustix::fs::statvfs(&self.folder).unwrap();
        let free = statistics.f_bavail * statistics.f_frsize;
        let filler = fs::File::create(self.filler()).unwrap();
        rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, free - kib * 1024)
            .unwrap();
    }

    fn clear(&self) {
        let _none_there = fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that a failed test has left may still have a file open.
        as_root(&["umount", "--lazy"], &self.folder);
    }
}

/// Runs a command as root, as who runs it may have to be.
fn as_root(words: &[&str], folder: &Path) {
    let is_root = rustix::process::geteuid().is_root();
    let sudo: &[&str] = if is_root { &[] } else { &["sudo", "-n"] };
    let words = [sudo, words].concat();
    let status = Command::new(words[0]).args(&words[1..]).arg(folder).status().unwrap();
    assert!(status.success(), "a small file system is mounted as root or by `sudo -n`");
}
