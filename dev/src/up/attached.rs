//! An `up` that stays: it tells what ends, builds what is saved, and stops everything at the end.

use std::{process::ExitCode, thread, time::Duration};

use anyhow::Result;

use super::on_save::OnSave;
use crate::{
    down,
    http::Client,
    interrupt::Interrupt,
    project::Project,
    services,
    state::{Process, State},
};

/// How often it is looked whether everything still runs, and whether something was saved.
const POLL: Duration = Duration::from_millis(200);
/// How long Ctrl-C, or a build that is done, waits for another command that is at work.
pub(super) const LOCK_LIMIT: Duration = Duration::from_mins(1);

/// An `up` that stays in the foreground.
pub(super) struct Attached {
    /// Whether the system ends with it: not when it was up before.
    pub(super) ends_system: bool,
    pub(super) on_save: Option<OnSave>,
}

impl Attached {
    /// Stays until a signal comes or nothing runs any more, then drains: services, simulator, servers.
    ///
    /// What runs is read again each time: another `up` may have replaced some of it.
    pub(super) fn stay(
        mut self,
        project: &Project,
        client: &Client,
        interrupt: &Interrupt,
    ) -> Result<ExitCode> {
        let mut told = Vec::new();
        loop {
            thread::sleep(POLL);
            let Some(state) = State::load(project)? else {
                println!("stopped from elsewhere");
                return Ok(ExitCode::SUCCESS);
            };
            tell_ended(project, &state, &mut told)?;
            if interrupt.is_set() && !self.ends_system {
                println!("the system runs on; stop it with: {}", project.command("down"));
                return Ok(ExitCode::SUCCESS);
            }
            if runs(&state) && !interrupt.is_set() {
                self.on_save.iter_mut().for_each(|on_save| {
                    on_save.look(project, client, interrupt);
                });
                continue;
            }
            let _lock = project.lock_within(LOCK_LIMIT)?;
            // In between, another `up` may have been at work.
            if !interrupt.is_set() && State::load(project)?.is_some_and(|state| runs(&state)) {
                continue;
            }
            println!("draining");
            down::stop(project)?;
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn runs(state: &State) -> bool {
    state.processes.iter().any(Process::is_running)
}

/// Says once of each process that it has ended, unless somebody ended it on purpose.
fn tell_ended(
    project: &Project,
    state: &State,
    told: &mut Vec<testkit::native::ProcessId>,
) -> Result<()> {
    for process in state.processes.iter().filter(|process| !process.is_running()) {
        // Who ends one on purpose has taken it out of the state before.
        let is_news = !told.contains(&process.id());
        if is_news && State::load(project)?.is_some_and(|state| state.has(process)) {
            eprintln!("{} ended; {}", process.name, services::end_of_log(process));
            told.push(process.id());
        }
    }
    Ok(())
}
