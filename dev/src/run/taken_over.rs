//! A service whose place in the running system is taken over.

use std::{
    cell::Cell,
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
    time::Duration,
};

use anyhow::Result;
use testkit::native::{ProcessId, holders};

use crate::{
    interrupt::Interrupt,
    private,
    project::Project,
    run_files,
    services::Start,
    state::{Process, State, stop_all},
    table, unrecorded,
};

/// How long another `up` or `down` that is at work is waited for.
const LOCK_LIMIT: Duration = Duration::from_mins(1);

/// The place of a service, taken from the process that had it.
pub(super) struct TakenOver<'a> {
    project: &'a Project,
    process: Process,
    /// What stands in the state by now.
    noted: Cell<Option<ProcessId>>,
}

impl<'a> TakenOver<'a> {
    /// Ends the process that has the place, under the lock of the caller.
    pub(super) fn of(project: &'a Project, start: &Start) -> Result<Self> {
        let mut state = State::load(project)?.unwrap_or_default();
        let (mut old, others): (Vec<Process>, Vec<Process>) =
            state.processes.iter().cloned().partition(|process| process.name == start.name);
        let left = unrecorded::find(project, Some(&state));
        old.extend(left.into_iter().filter(|process| process.name == start.name));
        // First, so that an `up` that watches does not take it for a fault.
        state.processes = others;
        state.save(project)?;
        stop_all(&old, table::stopped)?;
        let id = ProcessId::of(std::process::id());
        let line = id.map(|id| format!("{} {}\n", id.pid, id.started)).unwrap_or_default();
        private::write_text(&mark(project, &start.name), &line)?;
        let process = Process {
            port: Some(start.port),
            log_start: run_files::length(&project.log(&start.name)),
            origin: Some(start.origin.clone()),
            ..Process::of(&start.name, ProcessId { pid: 0, started: 0 }, project)
        };
        Ok(Self { project, process, noted: Cell::new(None) })
    }

    /// The service's process, whoever has started it.
    pub(super) fn holder(&self) -> Option<ProcessId> {
        holders(&run_files::folder(self.project), &self.process.name).first().copied()
    }

    /// Sees to it that the state names this process, and no other of this service that we have named.
    pub(super) fn note(&self, service: Option<ProcessId>) -> Result<()> {
        if service == self.noted.get() {
            return Ok(());
        }
        // Who is at work meanwhile is not waited for: the next look will do.
        let Ok(_lock) = self.project.lock() else {
            return Ok(());
        };
        self.replace(service)
    }

    fn replace(&self, service: Option<ProcessId>) -> Result<()> {
        let before = self.noted.replace(service);
        let Some(mut state) = State::load(self.project)? else {
            return Ok(());
        };
        state.processes.retain(|process| Some(process.id()) != before);
        state.stopped.retain(|name| *name != self.process.name);
        state.processes.extend(service.map(|id| Process {
            pid: id.pid,
            started: id.started,
            ..self.process.clone()
        }));
        state.save(self.project)
    }

    /// Says what has become of it, and how the service is given back.
    pub(super) fn conclude(&self, status: ExitStatus, interrupt: &Interrupt) -> Result<ExitCode> {
        let name = &self.process.name;
        let _lock = self.project.lock_within(LOCK_LIMIT)?;
        let state = State::load(self.project)?;
        // Who ends it on purpose has taken it out of the state before.
        let was_ended = self.noted.get().is_some_and(|id| {
            let is_there = |process: &Process| process.id() == id;
            !state.as_ref().is_some_and(|state| state.processes.iter().any(is_there))
        });
        self.replace(None)?;
        let is_ours = interrupt.is_set() || was_ended;
        match (&state, was_ended) {
            (None, _) => println!("{name} has ended with the system"),
            (Some(state), true) if state.running(name).is_some() => {
                println!("{name} was given back: it runs in the background again");
            }
            _ => {
                let how = status.signal().map_or_else(
                    || format!("exit code {}", status.code().unwrap_or_default()),
                    |signal| format!("signal {signal}"),
                );
                let up = self.project.command("up --detach");
                println!("{name} has ended ({how}); give it back with: {up}");
            }
        }
        Ok(if status.success() || is_ours { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Drop for TakenOver<'_> {
    fn drop(&mut self) {
        let _nobody_to_tell = fs::remove_file(mark(self.project, &self.process.name));
    }
}

fn mark(project: &Project, service: &str) -> PathBuf {
    run_files::folder(project).join(format!("{service}.foreground"))
}

/// Whether a `cargo dev run` that is there has taken over this service.
pub(crate) fn runs_here(project: &Project, service: &str) -> bool {
    let text = fs::read_to_string(mark(project, service)).unwrap_or_default();
    let id = text.trim().split_once(' ').and_then(|(pid, started)| {
        Some(ProcessId { pid: pid.parse().ok()?, started: started.parse().ok()? })
    });
    id.is_some_and(ProcessId::is_running)
}
