//! A system on its way up: what it lacks is started, and what was started is stopped again when
//! something fails on the way.

use std::fs;

use anyhow::{Context, Result};

use super::{Request, plan::left_over, replace::Replacement};
use crate::{
    fault,
    http::Client,
    interrupt::Interrupt,
    ports,
    project::Project,
    run,
    secrets::Secrets,
    servers::Servers,
    services::{self, DASHBOARD, SIMULATOR, Start},
    state::{Kind, Process, State, stop_all},
    unrecorded,
    wires::{self, PROXY},
};

/// A system on its way up. Dropped before it is finished, it stops what it started.
pub(super) struct Startup<'a> {
    project: &'a Project,
    /// What runs by now; written down at each step.
    pub(super) state: State,
    /// The services and the simulator that are to be started.
    starts: Vec<Start>,
    /// What is replaced once everything else runs.
    replacements: Vec<Replacement>,
    /// The servers that this run started; none once they are left alone.
    pub(super) servers: Option<Servers>,
    /// The services and the simulator that this run started.
    pub(super) started: Vec<Process>,
    /// The wires at which the proxy has to begin to listen.
    new_wires: Vec<u16>,
    /// Whether anything is started or stopped.
    pub(super) has_changed: bool,
    is_finished: bool,
}

impl<'a> Startup<'a> {
    /// Decides what is started, replaced and left alone; stops what cannot be replaced while it runs.
    pub(super) fn new(
        project: &'a Project,
        secrets: &Secrets,
        request: &Request,
        before: State,
        servers: Servers,
        client: &Client,
    ) -> Result<Self> {
        let addresses = servers.addresses.clone();
        let mut known = before.clone();
        known.processes.extend(servers.processes());
        stop_all(&unrecorded::find(project, Some(&known)), left_over)?;
        let ports = ports::choose_but(project, Some(&before), &request.taken_ports);
        ports::tell_moves(project, &ports);
        let mut new_wires = wires::write(project, &addresses, &ports)?;
        // Addresses and ports are among the variables: who would go on talking to a place where
        // nobody is has changed, too.
        let mut starts = Start::all(project, secrets, &addresses, &ports)?;
        starts.retain(|start| request.includes(&start.name, &before));
        let Outcomes { replacements, stopped, mut processes } =
            decide(project, request, &before, &mut starts, client)?;
        processes.extend(servers.processes());
        let has_changed =
            !(starts.is_empty() && stopped.is_empty() && servers.processes().is_empty());
        let mut state = State { addresses, processes, stopped: before.stopped };
        if request.is_all() && !request.leaves_stopped {
            state.stopped.clear();
        }
        if starts.iter().any(|start| start.name == PROXY) {
            new_wires = wires::read(project).0.into_values().map(|wire| wire.port).collect();
        }
        let startup = Self {
            project,
            state,
            starts,
            replacements,
            servers: Some(servers),
            started: Vec::new(),
            new_wires,
            has_changed,
            is_finished: false,
        };
        // Written down before anything is stopped, so that an `up` that watches does not take for a
        // fault what ends on purpose. What is to be stopped is found by its lock.
        startup.state.save(project)?;
        stop_all(&stopped, |_, _| {})?;
        Ok(startup)
    }

    /// What runs and stays as it is, but for what somebody has in the foreground, maybe at a breakpoint, and
    /// for what stands still on purpose.
    pub(super) fn kept(&self) -> Vec<Process> {
        let is_replaced =
            |process: &Process| self.replacements.iter().any(|one| one.old.id() == process.id());
        let mut kept = self.state.processes.clone();
        kept.retain(|process| {
            !is_replaced(process)
                && !run::runs_here(self.project, &process.name)
                && !fault::is_frozen(self.project, process)
        });
        kept
    }

    /// Whether any process is to be started, be it in the place of another one.
    pub(super) fn has_starts(&self) -> bool {
        !(self.starts.is_empty() && self.replacements.is_empty())
    }

    /// Sees to it that the proxy is there, before which no service is ready.
    pub(super) fn start_proxy(&mut self, interrupt: &Interrupt) -> Result<()> {
        if let Some(place) = self.starts.iter().position(|start| start.name == PROXY) {
            let start = self.starts.remove(place);
            self.begin(&start)?;
        }
        let proxy = self.state.running(PROXY).context("the proxy has ended")?;
        wires::wait(self.project, proxy, &self.new_wires, interrupt)
    }

    /// Starts what is to be started.
    pub(super) fn start(&mut self) -> Result<()> {
        let starts = std::mem::take(&mut self.starts);
        starts.iter().try_for_each(|start| self.begin(start))
    }

    fn begin(&mut self, start: &Start) -> Result<()> {
        let process = start.spawn(self.project, None)?;
        self.started.push(process.clone());
        self.state.put(process);
        self.state.save(self.project)
    }

    /// Everything is ready: from here on it runs without us. Gives what is left to be replaced.
    pub(super) fn finish(mut self) -> Result<Vec<Replacement>> {
        self.state.save(self.project)?;
        self.is_finished = true;
        if let Some(servers) = self.servers.take() {
            servers.detach();
        }
        Ok(std::mem::take(&mut self.replacements))
    }
}

impl Drop for Startup<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let mut started = self.started.clone();
        started.extend(self.servers.iter().flat_map(Servers::processes));
        if !started.is_empty() {
            eprintln!("stopping what was started");
        }
        if let Err(error) = stop_all(&started, |_, _| {}) {
            eprintln!("could not stop everything, see `cargo dev status`: {error:#}");
            return;
        }
        self.state.processes.retain(Process::is_running);
        let outcome = if self.state.processes.is_empty() {
            fs::remove_file(State::file(self.project)).context("remove the state")
        } else {
            self.state.save(self.project)
        };
        if let Err(error) = outcome {
            eprintln!("{error:#}");
        }
    }
}

/// What becomes of what runs.
#[derive(Default)]
struct Outcomes {
    replacements: Vec<Replacement>,
    /// Stopped before anything is started.
    stopped: Vec<Process>,
    /// Run on, for good or until they are replaced.
    processes: Vec<Process>,
}

/// Decides it, and takes from `starts` what runs already or is to replace what does.
fn decide(
    project: &Project,
    request: &Request,
    before: &State,
    starts: &mut Vec<Start>,
    client: &Client,
) -> Result<Outcomes> {
    let mut outcomes = Outcomes::default();
    for old in before.processes.iter().filter(|process| process.is_running()) {
        let place = starts.iter().position(|start| start.name == old.name);
        let start = place.map(|place| &starts[place]);
        let Some(why) = outdated(project, request, old, start) else {
            starts.retain(|start| start.name != old.name);
            outcomes.processes.push(old.clone());
            continue;
        };
        // What could not start must not take the place of what works.
        start.map_or(Ok(()), |start| start.check(project))?;
        match place {
            Some(place) if passes_on(project, old, &starts[place], client) => {
                println!("replacing {}: {why}", old.name);
                let start = starts.remove(place);
                outcomes.replacements.push(Replacement { old: old.clone(), start });
                outcomes.processes.push(old.clone());
            }
            _ => {
                println!("stopping {}: {why}", old.name);
                outcomes.stopped.push(old.clone());
            }
        }
    }
    Ok(outcomes)
}

/// Why a process that runs is to be replaced or stopped; none when it stays.
fn outdated(
    project: &Project,
    request: &Request,
    process: &Process,
    start: Option<&Start>,
) -> Option<String> {
    if run::runs_here(project, &process.name) {
        return None;
    }
    let is_named = [SIMULATOR, PROXY, DASHBOARD].contains(&process.name.as_str())
        || project.service(&process.name).is_ok();
    match (process.kind, start) {
        (Kind::Server, _) => None,
        (_, None) if request.is_all() && !is_named => Some("services.tsk does not name it".into()),
        (_, None) => None,
        (Kind::Service | Kind::Simulator, Some(_)) if request.restarts => Some("as asked".into()),
        (_, Some(start)) => {
            let changed = start.changed_since(process);
            (!changed.is_empty()).then(|| format!("older than its {}", changed.join(" and its ")))
        }
    }
}

/// Whether a process takes requests, and can pass its listeners on to the one that replaces it.
fn passes_on(project: &Project, process: &Process, start: &Start, client: &Client) -> bool {
    let offers = process.takeover.as_ref().is_some_and(|socket| project.path_of(socket).exists());
    offers && process.port == Some(start.port) && services::is_ready(process, client)
}
