//! Ports of 127.0.0.1 that nobody listens on.

#[cfg(target_os = "linux")]
use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use super::{NativeError, ServerOptions};
use crate::ports::free_port;

/// How often a server is started anew because somebody took its port meanwhile.
pub(crate) const ATTEMPTS_MAX: usize = 3;

/// Whether a server could listen on this port now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// `wanted` when nobody listens there, else a port that is free now. It is not reserved.
pub fn free(wanted: Option<u16>) -> u16 {
    wanted.filter(|port| is_free(*port)).unwrap_or_else(free_port)
}

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// The name of its program, of which the system keeps the first 15 bytes.
    pub program: String,
}

/// Who listens on this port of 127.0.0.1 or of every address; none when nobody does, or when the
/// system does not tell, as of another user's process.
#[cfg(target_os = "linux")]
pub fn holder(port: u16) -> Option<Holder> {
    let sockets = listeners(port);
    let pids = super::table::entries().into_iter().map(|entry| entry.pid);
    let pid = pids.into_iter().find(|pid| !sockets.is_empty() && has_one(*pid, &sockets))?;
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(Holder { pid, program: program.trim().to_owned() })
}

/// Whether this process listens on a port; where the system does not tell, whether anybody does.
#[cfg(target_os = "linux")]
pub fn is_held_by(port: u16, pid: u32) -> bool {
    let sockets = listeners(port);
    if fs::read_dir(format!("/proc/{pid}/fd")).is_err() {
        !sockets.is_empty()
    } else {
        has_one(pid, &sockets)
    }
}

#[cfg(target_os = "linux")]
fn has_one(pid: u32, sockets: &[String]) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == &**socket))
}

/// The sockets that listen on a port, as links in `/proc/<pid>/fd` name them. In a table of proc(5) the
/// address is the second field, its port the hexadecimal digits after the colon; `0A` says that it
/// listens.
#[cfg(target_os = "linux")]
fn listeners(port: u16) -> Vec<String> {
    let port = format!(":{port:04X}");
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_meant = fields.get(1)?.ends_with(&port) && *fields.get(3)? == "0A";
        fields.get(9).filter(|_| is_meant).map(|inode| format!("socket:[{inode}]"))
    };
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    tables.iter().flatten().flat_map(|table| table.lines().filter_map(socket)).collect()
}

/// Who listens on this port of 127.0.0.1 or of every address, as `lsof` tells it.
#[cfg(not(target_os = "linux"))]
pub fn holder(port: u16) -> Option<Holder> {
    let output = std::process::Command::new("lsof")
        .args(["-nP", &format!("-iTCP:{port}"), "-sTCP:LISTEN", "-Fpc"])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |letter: char| text.lines().find_map(|line| line.strip_prefix(letter));
    Some(Holder { pid: field('p')?.parse().ok()?, program: field('c')?.to_owned() })
}

/// Whether this process listens on a port.
#[cfg(not(target_os = "linux"))]
pub fn is_held_by(port: u16, pid: u32) -> bool {
    let pid = pid.to_string();
    let port = format!("-iTCP:{port}");
    let mut lsof = std::process::Command::new("lsof");
    lsof.args(["-nP", "-a", "-p", &pid, &port, "-sTCP:LISTEN", "-Fp"]);
    lsof.output().is_ok_and(|output| output.status.success())
}

/// Starts a server, and again on other ports when it lost the race for one.
pub(crate) fn retry_when_busy<S>(
    options: &ServerOptions,
    start: impl Fn(&ServerOptions) -> Result<S, NativeError>,
) -> Result<S, NativeError> {
    let mut options = options.clone();
    for _ in 1..ATTEMPTS_MAX {
        match start(&options) {
            Err(error) if error.is_busy_port() => options.port = None,
            outcome => return outcome,
        }
    }
    start(&options)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_on_a_port_is_known_by_its_process() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let us = std::process::id();
        assert_eq!(holder(port).unwrap().pid, us);
        assert!(is_held_by(port, us));
        assert!(!is_held_by(port, 1));
        drop(listener);
        assert_eq!(holder(port), None);
        assert!(!is_held_by(port, us));
    }

    #[test]
    fn a_busy_port_is_passed_over() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let busy = listener.local_addr().unwrap().port();
        assert!(!is_free(busy));
        assert_ne!(free(Some(busy)), busy);
    }
}
