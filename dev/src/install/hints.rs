//! The line that installs servers, on each system.

use std::fs;

/// The servers: Debian's package, Fedora's, Arch's, Homebrew's.
const PACKAGES: [[&str; 4]; 8] = [
    ["postgresql", "postgresql-server", "postgresql", "postgresql@17"],
    ["redis-server", "valkey", "valkey", "redis"],
    ["rabbitmq-server", "rabbitmq-server", "rabbitmq", "rabbitmq"],
    ["etcd-server", "etcd", "etcd", "etcd"],
    ["prometheus", "golang-github-prometheus", "prometheus", "prometheus"],
    ["pgbouncer", "pgbouncer", "pgbouncer", "pgbouncer"],
    ["chromium-driver", "chromedriver", "chromium", "chromedriver"],
    ["wrk", "wrk", "wrk", "wrk"],
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
        let named = |system: usize| {
            let wanted = PACKAGES.iter().filter(|names| missing.contains(&names[0]));
            wanted.map(|names| names[system]).collect::<Vec<_>>().join(" ")
        };
        if self.is_like(&["debian", "ubuntu"]) {
            format!("run: sudo apt-get install -y --no-install-recommends {}", missing.join(" "))
        } else if self.is_like(&["fedora", "rhel"]) {
            format!("run: sudo dnf install -y {}", named(1))
        } else if self.is_like(&["arch"]) {
            format!("run: sudo pacman -S --noconfirm {}", named(2))
        } else if cfg!(target_os = "macos") {
            format!("run: brew install {}", named(3))
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
