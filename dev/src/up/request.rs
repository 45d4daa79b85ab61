//! Which services a command is about.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{
    origin,
    project::Project,
    services::{DASHBOARD, SIMULATOR},
    state::State,
    wires::{PROXY, SERVERS},
};

/// The variable by which a service finds the payment provider, and needs its simulator.
const PROVIDER: &str = "STRIPE_API_BASE";

/// What is to be started, and replaced when it is older than what it is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// These alone; everything when there are none.
    names: Vec<String>,
    /// Those of them that run are replaced, changed or not.
    pub(super) restarts: bool,
    /// What `cargo dev stop` has stopped stays so.
    pub(super) leaves_stopped: bool,
    /// Ports that somebody took while they were being used for the first time.
    pub(super) taken_ports: Vec<u16>,
}

impl Request {
    /// Everything, but for what the user has stopped.
    pub(crate) fn of_watch() -> Self {
        Self { leaves_stopped: true, ..Self::default() }
    }

    /// These services, and the simulator when one of them needs it; everything when there are none.
    pub(crate) fn up(project: &Project, names: &[String]) -> Result<Self> {
        let mut names = known(project, names)?;
        if !names.is_empty() && !names.iter().any(|name| name == SIMULATOR) {
            let files: Vec<Vec<PathBuf>> = names
                .iter()
                .map(|name| origin::settings_files(project, name))
                .collect::<Result<_>>()?;
            for files in files {
                let read = tusk_config::variables(&files)?;
                if read.iter().any(|variable| variable.name == PROVIDER) {
                    names.push(SIMULATOR.to_owned());
                    break;
                }
            }
        }
        Ok(Self { names, ..Self::default() })
    }

    /// These, whether they have changed or not.
    pub(crate) fn restart(project: &Project, names: &[String]) -> Result<Self> {
        Ok(Self { names: known(project, names)?, restarts: true, ..Self::default() })
    }

    /// Whether it is about everything.
    pub(super) fn is_all(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether it is about this one.
    pub(super) fn includes(&self, name: &str, before: &State) -> bool {
        let is_stopped = self.leaves_stopped && before.stopped.iter().any(|other| other == name);
        // Without the proxy, nobody reaches anybody; and of whatever is started, the dashboard is to
        // receive the traces.
        let is_needed = self.is_all() || (name == DASHBOARD && !self.restarts);
        let is_named = self.names.iter().any(|other| other == name);
        name == PROXY || (!is_stopped && (is_needed || is_named))
    }
}

/// The names once each; an error when one is no service and not the simulator.
pub(crate) fn known(project: &Project, names: &[String]) -> Result<Vec<String>> {
    let services = project.services().iter().map(|service| service.name.as_str());
    let all: Vec<&str> = services.chain([SIMULATOR, DASHBOARD]).collect();
    if let Some(stranger) = names.iter().find(|name| !all.contains(&name.as_str())) {
        let servers = if SERVERS.contains(&stranger.as_str()) {
            "; servers start and stop with the whole system"
        } else {
            ""
        };
        bail!("`{stranger}` is none of {}{servers}", all.join(", "));
    }
    let named = all.into_iter().filter(|one| names.iter().any(|name| name == one));
    Ok(named.map(str::to_owned).collect())
}
