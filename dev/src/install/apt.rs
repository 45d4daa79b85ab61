//! Debian's packages, without the services that they bring.
//!
//! A package of a server starts it, on its standard port, for everybody. We need its binaries alone: so
//! Debian's hook for this, `policy-rc.d`, says no while it is installed, and afterwards it is looked
//! whether somebody listens who did not before.

use std::process::Command;

use anyhow::{Result, bail};
use testkit::native::{find, port};

use super::hints::Distribution;
use crate::{interrupt::Interrupt, programs};

/// Whom Debian asks before it starts a service.
const HOOK: &str = "/usr/sbin/policy-rc.d";
/// Runs a command while the hook stands.
const SCRIPT: &str = include_str!("install.sh");
/// Where the packages' own services listen: PostgreSQL, `PgBouncer`, Redis, RabbitMQ and its parts, etcd,
/// Prometheus and its exporter.
const STANDARD_PORTS: [u16; 11] =
    [5432, 6432, 6379, 5672, 15_672, 25_672, 4369, 2379, 2380, 9090, 9100];

/// A way to become root without being asked for a password, on a system that has apt.
#[derive(Debug)]
pub(super) struct Installer {
    prefix: &'static [&'static str],
}

impl Installer {
    /// None on another system, and for a user who may not.
    pub(super) fn find(distribution: &Distribution) -> Option<Self> {
        let has_apt =
            distribution.is_like(&["debian", "ubuntu"]) && find::on_path("apt-get").is_some();
        let prefix = has_apt.then(root_prefix)??;
        Some(Self { prefix })
    }

    /// The command, as it is shown to the user.
    pub(super) fn shown(&self, packages: &[&str]) -> String {
        let sudo = if self.prefix.is_empty() { "" } else { "sudo " };
        format!("{sudo}apt-get install -y --no-install-recommends {}", packages.join(" "))
    }

    /// Installs packages.
    pub(super) fn install(&self, packages: &[&str], interrupt: &Interrupt) -> Result<()> {
        let before = open_ports();
        let commands = format!(
            "apt-get update && apt-get install -y --no-install-recommends {}",
            packages.join(" ")
        );
        let command = ["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", &commands];
        let words = [self.prefix, &["sh", "-c", SCRIPT, "install", HOOK], &command].concat();
        programs::succeed(Command::new(words[0]).args(&words[1..]), interrupt)?;
        let opened = open_ports().into_iter().filter(|port| !before.contains(port));
        let opened: Vec<String> = opened
            .map(|port| {
                let holder = port::holder(port);
                let who = holder.map_or_else(
                    || "a process that cannot be told".to_owned(),
                    |holder| format!("process {} ({})", holder.pid, holder.program),
                );
                format!("port {port}: {who}")
            })
            .collect();
        if !opened.is_empty() {
            bail!(
                "the packages have started services of their own, which this project does not use:\n  \
                 {}\nend them with: sudo systemctl disable --now <service>, then run this again",
                opened.join("\n  ")
            );
        }
        Ok(())
    }
}

fn open_ports() -> Vec<u16> {
    STANDARD_PORTS.into_iter().filter(|port| !port::is_free(*port)).collect()
}

/// How a command becomes root without asking anybody: as it is, by `sudo -n`, or not at all.
fn root_prefix() -> Option<&'static [&'static str]> {
    if rustix::process::geteuid().is_root() {
        return Some(&[]);
    }
    programs::works(Command::new("sudo").args(["-n", "true"])).then_some(&["sudo", "-n"])
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, path::Path, process::Stdio};

    use tempfile::TempDir;

    use super::*;

    fn script(hook: &Path, commands: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "install"])
            .arg(hook)
            .args(["sh", "-c", commands, "sh"])
            .arg(hook);
        command
    }

    fn hook() -> (TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let hook = folder.path().join("policy-rc.d");
        (folder, hook)
    }

    #[test]
    fn no_service_is_started_meanwhile_and_the_hook_goes_with_the_command() {
        let (_folder, hook) = hook();
        for (commands, code) in [("\"$1\"; exit $?", 101), ("exit 7", 7), ("exit 0", 0)] {
            assert_eq!(script(&hook, commands).status().unwrap().code(), Some(code), "{commands}");
            assert!(!hook.exists(), "{commands}");
        }
    }

    #[test]
    fn a_hook_that_is_there_is_left_as_it_is() {
        let (_folder, hook) = hook();
        fs::write(&hook, "#!/bin/sh\nexit 5\n").unwrap();
        assert!(script(&hook, "true").status().unwrap().success());
        assert_eq!(fs::read_to_string(&hook).unwrap(), "#!/bin/sh\nexit 5\n");
    }

    #[test]
    fn a_hook_that_a_killed_installation_has_left_forbids_nothing_and_goes_away() {
        let (folder, hook) = hook();
        let begun = folder.path().join("begun");
        let wait = format!("touch {}; exec sleep 60", begun.display());
        for is_asked in [true, false] {
            let mut shell = script(&hook, &wait).stdout(Stdio::null()).spawn().unwrap();
            let shell_id = testkit::native::ProcessId::of(shell.id()).unwrap();
            testkit::native::until_ready("sh", shell_id, &begun, POLL_LIMIT, || begun.exists())
                .unwrap();
            assert!(hook.exists());
            shell_id.kill().unwrap();
            let _collected_by_then = shell.wait();
            fs::remove_file(&begun).unwrap();
            assert!(hook.exists(), "nobody could take it away");
            if is_asked {
                assert!(Command::new(&hook).status().unwrap().success());
                assert!(!hook.exists());
            }
        }
        // The next installation has its own.
        assert_eq!(script(&hook, "\"$1\"; exit $?").status().unwrap().code(), Some(101));
        assert!(!hook.exists());
    }

    const POLL_LIMIT: std::time::Duration = std::time::Duration::from_secs(20);
}
