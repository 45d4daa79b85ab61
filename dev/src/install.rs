//! Servers that are not on the machine: installed from the distribution, or named with the line
//! that installs them.

use std::{fs, process::Command};

use anyhow::{Result, bail};
use testkit::native;

use crate::{interrupt::Interrupt, run};

/// Sees to it that the servers of these packages are there.
pub(crate) fn ensure(
    packages: &[&'static str],
    may_install: bool,
    interrupt: &Interrupt,
) -> Result<()> {
    let missing = missing_of(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = install_line(&release, &missing);
    let is_debian =
        is_like(&release, &["debian", "ubuntu"]) && native::find::on_path("apt-get").is_some();
    let Some(prefix) = root_prefix().filter(|_| is_debian && may_install) else {
        bail!(
            "not on this machine: {}. {line}\nor give addresses of running servers: \
             {{DEV,TEST}}_POSTGRES_URL, _REDIS_URL, _AMQP_URL (and TEST_RABBITMQ_API)",
            missing.join(", ")
        );
    };
    println!("installing the distribution's packages: {}", missing.join(" "));
    println!("(the package may start a server of its own on the standard port; it is left alone)");
    let apt = |args: &[&str]| {
        let words: Vec<&str> = prefix
            .iter()
            .copied()
            .chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .chain(args.iter().copied())
            .collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        run::succeed(&mut command, interrupt)
    };
    apt(&["update"])?;
    let install = ["install", "-y", "--no-install-recommends"];
    apt(&install.into_iter().chain(missing.iter().copied()).collect::<Vec<_>>())?;
    let still_missing = missing_of(packages);
    if !still_missing.is_empty() {
        bail!("installed, but still not found: {}", still_missing.join(", "));
    }
    Ok(())
}

fn missing_of(packages: &[&'static str]) -> Vec<&'static str> {
    native::find().missing().into_iter().filter(|package| packages.contains(package)).collect()
}

/// How a command becomes root without asking anybody: as it is, by `sudo -n`, or not at all.
fn root_prefix() -> Option<&'static [&'static str]> {
    if rustix::process::geteuid().is_root() {
        return Some(&[]);
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).output();
    sudo.is_ok_and(|output| output.status.success()).then_some(&["sudo", "-n"])
}

/// Whether `/etc/os-release` names one of these distributions or says that it is like one.
fn is_like(release: &str, names: &[&str]) -> bool {
    let value =
        |line: &str| line.split_once('=').map(|(_, value)| value.trim_matches('"').to_owned());
    release
        .lines()
        .filter(|line| line.starts_with("ID=") || line.starts_with("ID_LIKE="))
        .filter_map(value)
        .any(|value| value.split_whitespace().any(|word| names.contains(&word)))
}

/// What to run on this system.
fn install_line(release: &str, missing: &[&str]) -> String {
    let debian = missing.join(" ");
    let other = |names: [&str; 6]| {
        let all = [
            "postgresql",
            "redis-server",
            "rabbitmq-server",
            "etcd-server",
            "prometheus",
            "pgbouncer",
        ];
        let wanted = all.iter().zip(names).filter(|(package, _)| missing.contains(package));
        wanted.map(|(_, name)| name).collect::<Vec<_>>().join(" ")
    };
    if is_like(release, &["debian", "ubuntu"]) {
        format!("run: sudo apt-get install -y --no-install-recommends {debian}")
    } else if is_like(release, &["fedora", "rhel"]) {
        let packages = other([
            "postgresql-server",
            "valkey",
            "rabbitmq-server",
            "etcd",
            "golang-github-prometheus",
            "pgbouncer",
        ]);
        format!("run: sudo dnf install -y {packages}")
    } else if is_like(release, &["arch"]) {
        let packages =
            other(["postgresql", "valkey", "rabbitmq", "etcd", "prometheus", "pgbouncer"]);
        format!("run: sudo pacman -S --noconfirm {packages}")
    } else if cfg!(target_os = "macos") {
        let packages =
            other(["postgresql@17", "redis", "rabbitmq", "etcd", "prometheus", "pgbouncer"]);
        format!("run: brew install {packages}")
    } else {
        "install PostgreSQL, Redis, RabbitMQ, etcd, Prometheus and PgBouncer with the system's \
         package manager"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_is_told_its_own_line() {
        let missing = ["postgresql", "rabbitmq-server"];
        let ubuntu = "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n";
        assert_eq!(
            install_line(ubuntu, &missing),
            "run: sudo apt-get install -y --no-install-recommends postgresql rabbitmq-server"
        );
        let rocky = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n";
        assert_eq!(
            install_line(rocky, &missing),
            "run: sudo dnf install -y postgresql-server rabbitmq-server"
        );
    }

    #[test]
    fn a_name_that_only_contains_another_is_not_like_it() {
        assert!(!is_like("ID=debianish\nVERSION_ID=debian", &["debian"]));
    }
}
