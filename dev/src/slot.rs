//! Servers for one run of a command: fresh, in a folder that no other run uses, gone afterwards.
//!
//! Two runs can be at work at once, each in a slot of its own. A slot whose run was killed is
//! cleaned by the next one that takes it.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use testkit::native::Place;

use crate::{
    project::Project,
    servers::{Addresses, Plan, Servers, Source},
    state::{State, stop_all},
};

/// How many runs can be at work at once.
const SLOTS: usize = 8;

/// A folder for the servers of one run, held until dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    folder: PathBuf,
    _lock: File,
}

impl Slot {
    /// Takes a free slot and ends what a killed run has left in it.
    pub(crate) fn take(project: &Project) -> Result<Self> {
        for number in 1..=SLOTS {
            let folder = project.dev(&format!("test/{number}"));
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
            let lock = File::create(folder.join("lock")).context("open the slot's lock")?;
            if lock.try_lock().is_ok() {
                let slot = Self { folder, _lock: lock };
                slot.clean()?;
                return Ok(slot);
            }
        }
        bail!("{SLOTS} runs are at work already; wait for one to end")
    }

    fn clean(&self) -> Result<()> {
        if let Some(state) = State::load(&self.state_file())? {
            stop_all(&state.processes, |process, _| {
                println!("stopped {} of an earlier run that was killed", process.name);
            })?;
            fs::remove_file(self.state_file()).context("remove an old state")?;
        }
        for server in ["postgres", "redis", "rabbitmq"] {
            let folder = self.folder.join(server);
            if folder.exists() {
                fs::remove_dir_all(&folder)
                    .with_context(|| format!("remove {}", folder.display()))?;
            }
        }
        Ok(())
    }

    /// Where a server of this slot is to run.
    pub(crate) fn source(&self, server: &str) -> Source {
        let log = self.folder.join(format!("{server}.log"));
        Source::Start(Place::thrown_away(self.folder.join(server)).log(log))
    }

    /// Starts servers. They end when the value is dropped; if that never happens, the next run that
    /// takes the slot ends them.
    pub(crate) fn start(&self, plan: &Plan) -> Result<Servers> {
        let servers = Servers::start(plan)?;
        let state = State { addresses: Addresses::default(), processes: servers.processes() };
        state.save(&self.state_file())?;
        Ok(servers)
    }

    fn state_file(&self) -> PathBuf {
        self.folder.join("state.json")
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let _cleaned_by_the_next_run = fs::remove_file(self.state_file());
    }
}
