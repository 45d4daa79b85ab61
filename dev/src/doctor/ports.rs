//! The usual ports, and who has them.

use testkit::native::port;

use super::Finding;
use crate::{ports::all_usual, project::Project, state::State};

pub(super) fn examine(project: &Project) -> Vec<Finding> {
    let taken: Vec<_> = all_usual(project).filter(|(_, port)| !port::is_free(*port)).collect();
    let ours = State::read(project).ok().flatten().unwrap_or_default();
    let mut ours: Vec<u32> = ours.processes.iter().map(|process| process.pid).collect();
    ours.extend(crate::unrecorded::find(project, None).iter().map(|process| process.pid));
    let others: Vec<Finding> = taken
        .into_iter()
        .filter_map(|(name, port)| {
            let holder = port::holder(port);
            if holder.as_ref().is_some_and(|holder| ours.contains(&holder.pid)) {
                return None;
            }
            let who = holder.map_or_else(
                || "a process of another user".to_owned(),
                |holder| format!("process {} ({})", holder.pid, holder.program),
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
