//! The ports of a system: noted in `.dev/ports.json`, so that they are the same after `down` and `up`.
//!
//! A process takes the port that it had the last time, else its usual one, else a free one. It gives
//! way only to somebody who listens there, and that is said.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use testkit::native::port;

use crate::{
    private,
    project::Project,
    services::{DASHBOARD, DASHBOARD_PORT, SIMULATOR, SIMULATOR_PORT},
    state::{Process, State},
    wires,
};

/// The usual ports of the servers: beside the standard ones, which servers of the distribution may
/// hold.
const SERVERS: [(&str, u16); 4] =
    [("postgres", 5442), ("redis", 6389), ("rabbitmq", 5682), ("rabbitmq management", 15682)];
/// In the folder of the state.
const FILE: &str = "ports.json";

/// The ports by the names of their processes.
pub(crate) type Ports = BTreeMap<String, u16>;

/// The ports of the services, the simulator and the dashboard, and those of their wires and of the servers': that of the
/// last time while the process runs or nobody else took it, else the usual one, else any.
pub(crate) fn choose(project: &Project, before: Option<&State>) -> Ports {
    choose_but(project, before, &[])
}

/// The same, without those which somebody took between their choice and their use, and may take again.
pub(crate) fn choose_but(project: &Project, before: Option<&State>, taken: &[u16]) -> Ports {
    let last = read(&project.dev(""));
    let choose = |name: &str, running: Option<u16>| {
        let is_taken = |port: &u16| taken.contains(port);
        let kept = || last.get(name).copied().filter(|port| port::is_free(*port));
        let chosen = running.or_else(|| kept().filter(|port| !is_taken(port)));
        let usual = usual(project, name).filter(|port| !is_taken(port));
        (name.to_owned(), chosen.unwrap_or_else(|| port::free(usual)))
    };
    let names = project
        .services()
        .iter()
        .map(|service| service.name.as_str())
        .chain([SIMULATOR, DASHBOARD]);
    let own = names.map(|name| choose(name, before.and_then(|state| state.running(name)?.port)));
    // The proxy has the ports of all wires while it runs.
    let has_proxy = before.is_some_and(|state| state.running(wires::PROXY).is_some());
    let wires = wires::targets(project).map(wires::key).map(|name| {
        let running = last.get(&name).copied().filter(|_| has_proxy);
        choose(&name, running)
    });
    own.chain(wires).collect()
}

/// The port that a server asks for: that of the last time, else the usual one.
pub(crate) fn of_server(project: &Project, name: &str) -> Option<u16> {
    read(&project.dev("")).get(name).copied().or_else(|| usual(project, name))
}

/// Where a process is when nobody else is there; none in a namespace, which leaves the usual ports to
/// the system without one.
fn usual(project: &Project, name: &str) -> Option<u16> {
    if project.namespace().is_some() {
        return None;
    }
    all_usual(project).find(|(known, _)| *known == name).map(|(_, port)| port)
}

/// The usual port of everything.
pub(crate) fn all_usual(project: &Project) -> impl Iterator<Item = (&str, u16)> {
    let services = project.services().iter().map(|service| (service.name.as_str(), service.port));
    services.chain([(SIMULATOR, SIMULATOR_PORT), (DASHBOARD, DASHBOARD_PORT)]).chain(SERVERS)
}

/// Notes the ports of these processes beside the state; what it knows of others stays.
pub(crate) fn note(folder: &Path, processes: &[Process]) -> Result<()> {
    keep(folder, processes.iter().filter_map(|process| Some((process.name.clone(), process.port?))))
}

/// Notes ports in the folder of the state; what it knows of others stays.
pub(crate) fn keep(folder: &Path, more: impl Iterator<Item = (String, u16)>) -> Result<()> {
    let before = read(folder);
    let mut ports = before.clone();
    ports.extend(more);
    if ports == before {
        return Ok(());
    }
    private::write(&folder.join(FILE), &ports)
}

/// What was noted; nothing when the file is absent or broken, as a port that moves is no fault.
fn read(folder: &Path) -> Ports {
    private::read(&folder.join(FILE)).ok().flatten().unwrap_or_default()
}

/// Says which processes move away from the ports they had, and for whom.
pub(crate) fn tell_moves(project: &Project, chosen: &Ports) {
    let last = read(&project.dev(""));
    for (name, port) in chosen {
        if let Some(last) = last.get(name).filter(|last| *last != port) {
            tell_move(name, *last, *port);
        }
    }
}

/// Says that a process does not get the port that it asked for.
pub(crate) fn tell_move(name: &str, wanted: u16, port: u16) {
    println!("{name} moves from {wanted} to {port}, because {wanted} {}", held(wanted));
}

/// One line for each process that is not on its usual port.
pub(crate) fn unusual(project: &Project, state: &State) -> Vec<String> {
    let line = |process: &Process| {
        let name = &process.name;
        let port = process.port?;
        let usual = usual(project, &process.name)?;
        if port == usual {
            return None;
        }
        Some(if port::is_free(usual) {
            format!(
                "{name} is on {port} as before; {usual}, its usual port, is free again, and taken \
                 after: cargo dev down && rm {}",
                project.dev(FILE).display()
            )
        } else {
            format!("{name} is on {port}, because {usual}, its usual port, {}", held(usual))
        })
    };
    state.processes.iter().filter_map(line).collect()
}

/// The port that a service could not have because somebody took it between its choice and its use, by
/// what the service says of that.
pub(crate) fn taken(error: &anyhow::Error) -> Option<u16> {
    let said = format!("{error:#}");
    let (before, _) = said.split_once(": Address already in use")?;
    before.rsplit_once(':')?.1.parse().ok()
}

/// By whom a port is held, as the end of a sentence.
fn held(port: u16) -> String {
    match port::holder(port) {
        Some(holder) => format!("is held by process {} ({})", holder.pid, holder.program),
        None if port::is_free(port) => "was held when it was asked for".to_owned(),
        None => "is held by a process that cannot be told".to_owned(),
    }
}
