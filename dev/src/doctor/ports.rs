//! The usual ports, and who has them.

use std::fs;

use testkit::native::{ProcessId, port};

use super::Finding;
use crate::{
    project::Project,
    services::{SIMULATOR, SIMULATOR_PORT},
    state::State,
    up::state_file,
};

/// Of the servers: beside the standard ones, which servers of the distribution have.
const SERVERS: [(&str, u16); 4] =
    [("postgres", 5442), ("redis", 6389), ("rabbitmq", 5682), ("rabbitmq management", 15682)];

pub(super) fn examine(project: &Project) -> Vec<Finding> {
    let services = project.services().iter().map(|service| (service.name.as_str(), service.port));
    let usual = services.chain([(SIMULATOR, SIMULATOR_PORT)]).chain(SERVERS);
    let taken: Vec<_> = usual.filter(|(_, port)| !port::is_free(*port)).collect();
    let ours = State::load(&state_file(project)).ok().flatten().unwrap_or_default();
    let mut ours: Vec<u32> = ours.processes.iter().map(|process| process.pid).collect();
    ours.extend(crate::unrecorded::find(project, None).iter().map(|process| process.pid));
    let others: Vec<Finding> = taken
        .into_iter()
        .filter_map(|(name, port)| {
            let holder = holder(port);
            if holder.as_ref().is_some_and(|(pid, _)| ours.contains(pid)) {
                return None;
            }
            let who = holder.map_or_else(
                || "a process of another user".to_owned(),
                |(pid, program)| format!("process {pid} ({program})"),
            );
            let what = format!("{port} of {name} is held by {who}");
            Some(Finding::warn(
                "port",
                what,
                format!("`cargo dev up` takes another one; to have {port}, end that process"),
            ))
        })
        .collect();
    if others.is_empty() {
        return vec![Finding::ok("ports", "the usual ones are free, or the system's own")];
    }
    others
}

/// The process that listens on a port of this machine, and its program; none where that is not told.
pub(super) fn holder(port: u16) -> Option<(u32, String)> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .flat_map(|table| listening(&fs::read_to_string(table).unwrap_or_default(), port))
        .collect();
    let has_it = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
        links.any(|link| {
            link.to_str().is_some_and(|link| sockets.iter().any(|socket| socket == link))
        })
    };
    if sockets.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|item| item.file_name().to_str()?.parse().ok());
    let pid = pids.find(has_it)?;
    ProcessId::of(pid)?;
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some((pid, program.trim().to_owned()))
}

/// The sockets that listen on a port, as links to them read, by a table of the kernel (proc(5)).
fn listening(table: &str, port: u16) -> Vec<String> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, number) = fields.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(number, 16) == Ok(port) && fields.get(3) == Some(&"0A");
        is_it.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    };
    table.lines().skip(1).filter_map(socket).collect()
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_on_a_port_is_known_by_name() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (pid, program) = holder(port).unwrap();
        assert_eq!(pid, std::process::id());
        assert!(!program.is_empty());
        drop(listener);
        assert_eq!(holder(port), None);
    }
}
