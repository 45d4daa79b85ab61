//! The checkout, the binaries of its servers, and what runs of its system.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
    process::Command,
};

use anyhow::Result;
use rustix::fs::{Access, access};
use testkit::native::find;

use super::{Finding, version_of};
use crate::{
    data_version::{postgres_version, rabbitmq_version},
    fault, programs,
    project::Project,
    servers::ExternalAddresses,
    state::State,
    unrecorded,
};

/// The sources and the settings.
pub(super) fn checkout(root: &Path, project: &Result<Project>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut deleted = Command::new("git");
    let deleted = programs::says(deleted.args(["ls-files", "--deleted"]).current_dir(root));
    let deleted = deleted.map_or(0, |files| files.lines().count());
    if deleted > 0 {
        let what = format!("{deleted} files of the commit are not there");
        findings.push(Finding::warn("checkout", what, "git restore ."));
    } else {
        findings.push(Finding::ok("checkout", root.display().to_string()));
    }
    if root.join(".git/index.lock").exists() {
        let how = "when no git runs here: rm .git/index.lock";
        findings.push(Finding::warn("git lock", "a git is at work here, or was killed", how));
    }
    if let Err(error) = project {
        let how = "cargo tusk check config";
        findings.push(Finding::fault("settings", format!("{error:#}").replace('\n', "; "), how));
    }
    findings.push(writable(root));
    findings
}

fn writable(root: &Path) -> Finding {
    let folder = Some(root.join(".dev")).filter(|folder| folder.exists());
    let folder = folder.unwrap_or_else(|| root.to_owned());
    match access(&folder, Access::WRITE_OK) {
        Ok(()) => Finding::ok(".dev", "data, logs and secrets can be written"),
        Err(error) => Finding::fault(
            ".dev",
            format!("{} cannot be written: {error}", folder.display()),
            format!(
                "work in a copy that is yours, or: sudo chown -R \"$USER\" {}",
                folder.display()
            ),
        ),
    }
}

/// The servers' binaries, and what runs.
pub(super) fn examine(project: &Project) -> Vec<Finding> {
    let mut findings = servers(project);
    findings.extend(running(project));
    findings.extend(faults(project));
    findings.push(lock(project));
    findings
}

fn servers(project: &Project) -> Vec<Finding> {
    let external = ExternalAddresses::from_environment("DEV");
    let found = find();
    let redis = found.redis.and_then(|program| version_of(program, project.root()));
    [
        ("postgres", "postgresql", postgres_version(), external.postgres.is_some()),
        ("redis", "redis-server", redis, external.redis.is_some()),
        ("rabbitmq", "rabbitmq-server", rabbitmq_version(), external.amqp.is_some()),
    ]
    .into_iter()
    .map(|(name, package, version, is_given)| match version {
        Some(version) => Finding::ok(name, version),
        None if is_given => Finding::ok(name, "not here; its address is given"),
        None => {
            let how = format!("sudo apt-get install --no-install-recommends {package}");
            Finding::warn(name, "not on this machine", how)
        }
    })
    .collect()
}

fn running(project: &Project) -> Vec<Finding> {
    let state = match State::read(project) {
        Ok(state) => state,
        Err(error) => {
            let how = "cargo dev status puts it aside; cargo dev up --detach replaces what runs";
            return vec![Finding::fault("system", format!("{error:#}"), how)];
        }
    };
    let named = |processes: &[crate::state::Process]| {
        let name = |process: &crate::state::Process| format!("{} ({})", process.name, process.pid);
        processes.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let mut findings = Vec::new();
    let left = unrecorded::find(project, state.as_ref());
    if !left.is_empty() {
        let what = format!("of an `up` that is at work, or was killed: {}", named(&left));
        findings.push(Finding::warn("leftovers", what, "cargo dev down"));
    }
    let mut ended = state.clone().unwrap_or_default().processes;
    ended.retain(|process| !process.is_running());
    if !ended.is_empty() {
        let what = format!("ended by themselves: {}", named(&ended));
        findings.push(Finding::warn(
            "system",
            what,
            "cargo dev logs --level warn; cargo dev up --detach",
        ));
    } else if let Some(state) = state {
        let names = project.services().iter().map(|service| service.name.as_str());
        let missing: Vec<&str> = names.filter(|name| state.running(name).is_none()).collect();
        if !missing.is_empty() {
            let what = format!("not up: {}", missing.join(", "));
            findings.push(Finding::warn("system", what, "cargo dev up --detach"));
            return findings;
        }
        findings.push(Finding::ok("system", format!("{} processes run", state.processes.len())));
    } else if left.is_empty() {
        findings.push(Finding::ok("system", "nothing is up, and nothing is left over"));
    }
    findings
}

/// What goes wrong on purpose.
fn faults(project: &Project) -> Option<Finding> {
    let faults = fault::active(project);
    let named: Vec<String> =
        faults.iter().map(|fault| format!("{} {}", fault.target, fault.kind)).collect();
    let mend = project.command("fault stop --all");
    (!named.is_empty())
        .then(|| Finding::warn("faults", format!("on purpose: {}", named.join(", ")), mend))
}

/// A lock goes with its process: it is held by somebody, or by nobody.
fn lock(project: &Project) -> Finding {
    let held = File::open(project.dev("lock"))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
    let pid = fs::read_to_string("/proc/locks").ok().filter(|_| held);
    let pid = pid.and_then(|table| holder(&table, &project.dev("lock")));
    match (held, pid) {
        (false, _) => Finding::ok("lock", "no `up` or `down` is at work"),
        (true, pid) => {
            let who = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            let what = format!("an `up` or `down` is at work{who}");
            Finding::warn("lock", what, "wait for it, or end that process")
        }
    }
}

/// The process that holds a lock, by the kernel's table (proc(5)).
fn holder(table: &str, lock: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;

    let inode = format!(":{}", fs::metadata(lock).ok()?.ino());
    let line = table.lines().find(|line| line.split(' ').any(|word| word.ends_with(&inode)))?;
    line.split_whitespace().nth(4)?.parse().ok()
}
