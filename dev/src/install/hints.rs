//! The line that installs servers, on each system.

use std::fs;

/// The servers by the names of Debian's packages.
const PACKAGES: [&str; 8] = [
    "postgresql",
    "redis-server",
    "rabbitmq-server",
    "etcd-server",
    "prometheus",
    "pgbouncer",
    "chromium-driver",
    "wrk",
];

/// The same on other systems.
const FEDORA: [&str; 8] = [
    "postgresql-server",
    "valkey",
    "rabbitmq-server",
    "etcd",
    "golang-github-prometheus",
    "pgbouncer",
    "chromedriver",
    "wrk",
];
const ARCH: [&str; 8] =
    ["postgresql", "valkey", "rabbitmq", "etcd", "prometheus", "pgbouncer", "chromium", "wrk"];
const HOMEBREW: [&str; 8] = [
    "postgresql@17",
    "redis",
    "rabbitmq",
    "etcd",
    "prometheus",
    "pgbouncer",
    "chromedriver",
    "wrk",
];

/// What this system calls itself: `/etc/os-release`; empty where there is none.
#[derive(Debug)]
pub(super) struct Distribution(String);

impl Distribution {
    pub(super) fn here() -> Self {
        Self(fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    /// Whether it is one of these, or says that it is like one.
    pub(super) fn is_like(&self, names: &[&str]) -> bool {
        let value =
            |line: &str| line.split_once('=').map(|(_, value)| value.trim_matches('"').to_owned());
        self.0
            .lines()
            .filter(|line| line.starts_with("ID=") || line.starts_with("ID_LIKE="))
            .filter_map(value)
            .any(|value| value.split_whitespace().any(|word| names.contains(&word)))
    }

    /// What to run on this system.
    pub(super) fn install_line(&self, missing: &[&str]) -> String {
        let named = |names: [&str; 8]| {
            let all = PACKAGES.iter().zip(names);
            let wanted = all.filter(|(package, _)| missing.contains(package));
            wanted.map(|(_, name)| name).collect::<Vec<_>>().join(" ")
        };
        if self.is_like(&["debian", "ubuntu"]) {
            let packages = missing.join(" ");
            format!("run: sudo apt-get install -y --no-install-recommends {packages}")
        } else if self.is_like(&["fedora", "rhel"]) {
            let packages = named(FEDORA);
            format!("run: sudo dnf install -y {packages}")
        } else if self.is_like(&["arch"]) {
            let packages = named(ARCH);
            format!("run: sudo pacman -S --noconfirm {packages}")
        } else if cfg!(target_os = "macos") {
            let packages = named(HOMEBREW);
            format!("run: brew install {packages}")
        } else {
            format!("install (Debian's names): {}", missing.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_is_told_its_own_line() {
        let missing = ["postgresql", "rabbitmq-server"];
        let ubuntu = Distribution("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n".to_owned());
        assert_eq!(
            ubuntu.install_line(&missing),
            "run: sudo apt-get install -y --no-install-recommends postgresql rabbitmq-server"
        );
        let rocky = Distribution("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n".to_owned());
        assert_eq!(
            rocky.install_line(&missing),
            "run: sudo dnf install -y postgresql-server rabbitmq-server"
        );
    }

    #[test]
    fn a_name_that_only_contains_another_is_not_like_it() {
        let debianish = Distribution("ID=debianish\nVERSION_ID=debian".to_owned());
        assert!(!debianish.is_like(&["debian"]));
    }
}
