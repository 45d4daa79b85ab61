//! Processes of the system that no state names: the `up` that started them was killed before it
//! could write them down.
//!
//! They are found by the locks that they hold: a server's lies beside its data, a service's in
//! `.dev/run`.

use anyhow::Result;
use testkit::native::{holders, servers_in};

use crate::{
    project::Project,
    run_files,
    state::{Process, State},
    wires::SERVERS,
};

/// What runs of the system and is not in `state`.
pub(crate) fn find(project: &Project, state: Option<&State>) -> Vec<Process> {
    let mut found: Vec<Process> =
        SERVERS.iter().flat_map(|server| servers(project, server)).collect();
    found.extend(services(project));
    found.retain(|process| !state.is_some_and(|state| state.has(process)));
    found
}

/// The servers that work on the data of `.dev/<server>`, whoever started them.
pub(crate) fn servers(project: &Project, server: &str) -> Vec<Process> {
    let log = project.log(server);
    let members = servers_in(&project.dev(server));
    members.iter().map(|member| Process::server(member, None, &log)).collect()
}

/// What runs of the system: what the state says, and what it misses. None when nothing does.
pub(crate) fn with_state(project: &Project) -> Result<Option<State>> {
    let state = State::load(project)?;
    let missing = find(project, state.as_ref());
    if state.is_none() && missing.is_empty() {
        return Ok(None);
    }
    let mut state = state.unwrap_or_default();
    state.processes.extend(missing);
    Ok(Some(state))
}

fn services(project: &Project) -> Vec<Process> {
    let locks = run_files::locks(project).into_iter();
    locks.flat_map(|(name, lock)| of_lock(project, &name, &lock)).collect()
}

fn of_lock(project: &Project, name: &str, lock: &str) -> Vec<Process> {
    let holders = holders(&run_files::folder(project), lock).into_iter();
    holders.map(|id| Process::of(name, id, project)).collect()
}
