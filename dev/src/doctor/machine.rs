//! What the machine has to spare, and what its environment would do to us.

use std::{
    env, fs,
    path::Path,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::programs;

const GIB: u64 = 1 << 30;
/// Below these a build or a database runs out of space.
const DISK_WARN: u64 = 10 * GIB;
const DISK_FAULT: u64 = 2 * GIB;
/// What a link of a service takes, and the servers beside it.
const MEMORY_WARN: u64 = 2 * GIB;
/// A service keeps connections below its limit of open files.
const FILES_WARN: u64 = 1024;

pub(super) fn examine(root: &Path) -> Vec<Finding> {
    let target = env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root.join("target"), |folder| root.join(folder));
    let mut findings = vec![disk("disk: target", &target), disk("disk: .dev", &root.join(".dev"))];
    findings.extend(memory());
    findings.push(files());
    findings.push(clock(root));
    findings.push(proxies(|name| env::var(name).ok().filter(|value| !value.is_empty())));
    findings
}

fn disk(check: &'static str, folder: &Path) -> Finding {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    let free = rustix::fs::statvfs(there).map(|space| space.f_bavail * space.f_frsize);
    match free {
        Ok(free) => disk_of(check, free),
        Err(error) => {
            Finding::warn(check, format!("how much is free cannot be told: {error}"), "df -h .")
        }
    }
}

fn disk_of(check: &'static str, free: u64) -> Finding {
    let what = format!("{} GiB free", tenths(free));
    let how =
        "make room: `cargo clean` frees what is built, `cargo dev down` and deleting .dev the data";
    match free {
        ..DISK_FAULT => Finding::fault(check, what, how),
        DISK_FAULT..DISK_WARN => Finding::warn(check, what, how),
        _ => Finding::ok(check, what),
    }
}

fn tenths(bytes: u64) -> String {
    let tenths = bytes / (GIB / 10);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// None where the system does not tell.
fn memory() -> Option<Finding> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    let what = format!("{} GiB available", tenths(kib * 1024));
    Some(if kib * 1024 < MEMORY_WARN {
        Finding::warn("memory", what, "end other programs, or build with: CARGO_BUILD_JOBS=1")
    } else {
        Finding::ok("memory", what)
    })
}

fn files() -> Finding {
    let limit = getrlimit(Resource::Nofile).current;
    match limit {
        Some(limit) if limit < FILES_WARN => {
            let what = format!("{limit}: services accept fewer connections than that");
            Finding::warn("open files", what, format!("ulimit -n {}", FILES_WARN * 4))
        }
        Some(limit) => Finding::ok("open files", limit.to_string()),
        None => Finding::ok("open files", "no limit"),
    }
}

/// A clock that is behind what was written before makes cargo build nothing, and tokens worthless.
fn clock(root: &Path) -> Finding {
    let mut commit = Command::new("git");
    commit.args(["log", "-1", "--format=%ct"]).current_dir(root);
    let seconds = programs::says(&mut commit).and_then(|said| said.parse().ok());
    let written = fs::metadata(root.join("Cargo.toml")).and_then(|data| data.modified()).ok();
    let commit = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    let latest = commit.into_iter().chain(written).max();
    let ahead = latest.and_then(|latest| latest.duration_since(SystemTime::now()).ok());
    match ahead.filter(|ahead| *ahead > Duration::from_mins(1)) {
        Some(ahead) => Finding::warn(
            "clock",
            format!("{} s behind what was written here before", ahead.as_secs()),
            "set it: sudo timedatectl set-ntp true",
        ),
        None => Finding::ok("clock", "not behind the sources"),
    }
}

/// Programs that do as these variables say send calls to this machine's own services to the proxy.
fn proxies(get: impl Fn(&str) -> Option<String>) -> Finding {
    let names =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let set: Vec<&str> = names.into_iter().filter(|name| get(name).is_some()).collect();
    let except = get("NO_PROXY").or_else(|| get("no_proxy")).unwrap_or_default();
    let except: Vec<&str> = except.split(',').map(str::trim).collect();
    let spares = |name: &str| except.contains(&name) || except.contains(&"*");
    if set.is_empty() || (spares("127.0.0.1") && spares("localhost")) {
        let set = if set.is_empty() {
            "none".to_owned()
        } else {
            format!("{}, not for loopback", set.join(", "))
        };
        return Finding::ok("proxies", set);
    }
    let how = "export NO_PROXY=localhost,127.0.0.1,::1 no_proxy=localhost,127.0.0.1,::1";
    Finding::warn("proxies", format!("{} would catch calls to 127.0.0.1", set.join(", ")), how)
}

#[cfg(test)]
mod tests {
    use super::{super::Outcome, *};

    #[test]
    fn little_space_is_a_warning_and_none_a_fault() {
        let outcome = |free| disk_of("disk", free).outcome;
        assert_eq!(outcome(DISK_WARN), Outcome::Ok);
        assert_eq!(outcome(DISK_WARN - 1), Outcome::Warn);
        assert_eq!(outcome(DISK_FAULT - 1), Outcome::Fault);
    }

    #[test]
    fn a_proxy_that_would_catch_loopback_is_reported_without_its_address() {
        let with = |except: &'static str| {
            proxies(move |name| match name {
                "HTTP_PROXY" => Some("http://me:hunter2@proxy:1".to_owned()),
                "NO_PROXY" => Some(except.to_owned()).filter(|text| !text.is_empty()),
                _ => None,
            })
        };
        assert_eq!(with("").outcome, Outcome::Warn);
        assert!(!with("").what.contains("hunter2"));
        assert_eq!(with("example.com,localhost").outcome, Outcome::Warn);
        assert_eq!(with("localhost, 127.0.0.1").outcome, Outcome::Ok);
        assert_eq!(proxies(|_| None).outcome, Outcome::Ok);
    }
}
