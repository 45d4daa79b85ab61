//! What a name means: a process of ours, a wire to it, or both.

use anyhow::{Result, bail};

use crate::{
    project::Project,
    state::{Process, State},
    wires::{self, PROXY},
};

/// What goes wrong with somebody can go wrong in these places.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) name: String,
    /// The process, when `up` has started it and it runs.
    pub(super) process: Option<Process>,
    /// Whether services reach it through the proxy, which runs.
    pub(super) has_wire: bool,
}

impl Target {
    /// The target of this name.
    pub(super) fn find(project: &Project, name: &str) -> Result<Self> {
        let state = State::up(project)?;
        let mut all = Self::all(project, &state);
        let place = all.iter().position(|target| target.name == name);
        let Some(place) = place else {
            let names: Vec<&str> = all.iter().map(|target| target.name.as_str()).collect();
            bail!("`{name}` is none of {}", names.join(", "));
        };
        Ok(all.swap_remove(place))
    }

    /// All of them, in the order of their names.
    pub(super) fn all(project: &Project, state: &State) -> Vec<Self> {
        let wires = wires::read(project).0;
        let has_proxy = state.running(PROXY).is_some();
        let mut names: Vec<&str> = wires::targets(project).collect();
        names.sort_unstable();
        let target = |name: &str| Self {
            name: name.to_owned(),
            process: state.running(name).cloned(),
            has_wire: has_proxy && wires.contains_key(name),
        };
        names.into_iter().map(target).collect()
    }

    /// The process; an error when there is none of ours.
    pub(super) fn process(&self, project: &Project) -> Result<&Process> {
        let Some(process) = &self.process else {
            let name = &self.name;
            if wires::SERVERS.contains(&name.as_str()) {
                bail!(
                    "no {name} of ours runs here: its address was given, or it has ended; \
                     `{}` cuts the way to it",
                    project.command(&format!("fault cut {name}"))
                );
            }
            bail!("{name} does not run; start it with: {}", project.command("up --detach"));
        };
        Ok(process)
    }

    /// An error when services do not reach it through the proxy.
    pub(super) fn needs_wire(&self, project: &Project) -> Result<()> {
        let name = &self.name;
        let up = project.command("up --detach");
        if self.has_wire {
            return Ok(());
        }
        if wires::read(project).0.contains_key(name) {
            bail!(
                "{PROXY}, through which services reach {name}, does not run; start it with: {up}"
            );
        }
        bail!(
            "services speak to {name} directly: the address that was given for it names several \
             places, or has a certificate checked against its name"
        )
    }
}
