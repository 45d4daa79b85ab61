//! What runs, written down in `.dev/state.json` so that a later command finds exactly that.

use std::{path::Path, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use testkit::native::{Member, ProcessId};

use crate::{
    origin::Origin,
    ports, private,
    project::Project,
    servers::Addresses,
    services::{DASHBOARD, SIMULATOR},
    wires::PROXY,
};

/// How long a process may take to end in order before it is killed. Services drain for up to 30 s.
const STOP_GRACE: Duration = Duration::from_secs(35);

/// What a process is there for; the order in which they are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Service,
    Simulator,
    /// The tool's own: the proxy between the services and what they call, the dashboard.
    Tool,
    Server,
}

impl Kind {
    /// Of what is started from a binary of the workspace, by its name.
    pub(crate) fn of(name: &str) -> Self {
        match name {
            SIMULATOR => Self::Simulator,
            DASHBOARD | PROXY => Self::Tool,
            _ => Self::Service,
        }
    }
}

/// A process that we started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) pid: u32,
    /// Its start time, so that another process with the same id is never taken for it.
    pub(crate) started: u64,
    /// The signal that ends it in order.
    pub(crate) stop_signal: i32,
    /// The port it listens on.
    pub(crate) port: Option<u16>,
    pub(crate) log: PathBuf,
    /// What it was started from; none of a server.
    #[serde(default)]
    pub(crate) origin: Option<Origin>,
    /// How long its log was when it started, in bytes.
    #[serde(default)]
    pub(crate) log_start: u64,
    /// Where a service offers its listeners to its successor once it serves, as seen from the top of
    /// the workspace.
    #[serde(default)]
    pub(crate) takeover: Option<PathBuf>,
}

impl Process {
    /// A process of the workspace's binary of this name, of which nothing more is known.
    pub(crate) fn of(name: &str, id: ProcessId, project: &Project) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::of(name),
            pid: id.pid,
            started: id.started,
            stop_signal: Signal::TERM.as_raw(),
            port: None,
            log: project.log(name),
            origin: None,
            log_start: 0,
            takeover: None,
        }
    }

    /// A server's process.
    pub(crate) fn server(member: &Member, port: Option<u16>, log: &Path) -> Self {
        let is_helper = member.name == "epmd";
        Self {
            name: member.name.to_owned(),
            kind: Kind::Server,
            pid: member.process.pid,
            started: member.process.started,
            stop_signal: member.stop_signal.as_raw(),
            port: port.filter(|_| !is_helper),
            log: if is_helper { log.with_extension("epmd.log") } else { log.to_owned() },
            origin: None,
            log_start: 0,
            takeover: None,
        }
    }

    pub(crate) fn id(&self) -> ProcessId {
        ProcessId { pid: self.pid, started: self.started }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.id().is_running()
    }

    /// Where a service or the simulator answers HTTP.
    pub(crate) fn url(&self) -> Option<String> {
        let port = self.port.filter(|_| self.kind != Kind::Server)?;
        Some(format!("http://127.0.0.1:{port}"))
    }

    /// Ends it in order; says whether it went by itself.
    pub(crate) fn stop(&self) -> Result<bool> {
        let signal = Signal::from_named_raw(self.stop_signal).unwrap_or(Signal::TERM);
        self.id().stop(signal, STOP_GRACE).with_context(|| format!("stop {}", self.name))
    }
}

/// Everything that `up` started.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) addresses: Addresses,
    pub(crate) processes: Vec<Process>,
    /// The services that `cargo dev stop` has stopped, until an `up` starts them again.
    #[serde(default)]
    pub(crate) stopped: Vec<String>,
}

impl State {
    /// Where it is written down.
    pub(crate) fn file(project: &Project) -> PathBuf {
        project.dev("state.json")
    }

    /// The system that is up; an error that says how to start it when none is.
    pub(crate) fn up(project: &Project) -> Result<Self> {
        let start = || format!("nothing is up; start it with: {}", project.command("up --detach"));
        Self::load(project)?.with_context(start)
    }

    /// Reads what the last `up` wrote; none when the system is down. What cannot be understood is put
    /// aside: what runs is found by its locks then.
    pub(crate) fn load(project: &Project) -> Result<Option<Self>> {
        let consequence = "what runs is found by its locks";
        private::read_or_put_aside(&Self::file(project), consequence)
    }

    /// The same without putting anything aside.
    pub(crate) fn read(project: &Project) -> Result<Option<Self>> {
        private::read(&Self::file(project))
    }

    /// Writes it in one step, readable by its owner alone: the addresses hold passwords. The ports are
    /// noted beside it, where they stay when it goes.
    pub(crate) fn save(&self, project: &Project) -> Result<()> {
        ports::note(&project.dev(""), &self.processes)?;
        private::write(&Self::file(project), self)
    }

    /// Puts a process into it, in the place of what had its name.
    pub(crate) fn put(&mut self, process: Process) {
        self.processes.retain(|other| other.name != process.name);
        self.stopped.retain(|name| *name != process.name);
        self.processes.push(process);
    }

    /// Whether this very process is in it.
    pub(crate) fn has(&self, process: &Process) -> bool {
        self.processes.iter().any(|other| other.id() == process.id())
    }

    /// The process of this name, when it runs.
    pub(crate) fn running(&self, name: &str) -> Option<&Process> {
        self.processes.iter().find(|process| process.name == name && process.is_running())
    }
}

/// Ends processes in order: services before the simulator before the tools before the servers. Those of one kind
/// end side by side.
pub(crate) fn stop_all(processes: &[Process], mut tell: impl FnMut(&Process, bool)) -> Result<()> {
    for kind in [Kind::Service, Kind::Simulator, Kind::Tool, Kind::Server] {
        let running: Vec<&Process> = processes
            .iter()
            .filter(|p| p.kind == kind && p.name != "epmd" && p.is_running())
            .collect();
        let outcomes: Vec<Result<bool>> = std::thread::scope(|scope| {
            let stops: Vec<_> =
                running.iter().map(|process| scope.spawn(|| process.stop())).collect();
            stops
                .into_iter()
                .map(|stop| stop.join().unwrap_or_else(|_| anyhow::bail!("stopping failed")))
                .collect()
        });
        for (process, outcome) in running.iter().zip(outcomes) {
            tell(process, outcome?);
        }
    }
    // Erlang's port mapper last: RabbitMQ signs off there.
    processes
        .iter()
        .filter(|process| process.name == "epmd")
        .try_for_each(|epmd| epmd.stop().map(drop))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_found_again_and_private() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let project = Project::fixture(folder.path());
        assert!(State::load(&project).unwrap().is_none());
        assert!(State::up(&project).unwrap_err().to_string().contains("cargo dev up --detach"));

        let id = ProcessId { pid: std::process::id(), started: 0 };
        let process = Process { port: Some(3001), ..Process::of("user-service", id, &project) };
        let state = State { processes: vec![process], ..State::default() };
        state.save(&project).unwrap();
        let file = State::file(&project);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        let state = State::up(&project).unwrap();
        assert_eq!(state.processes[0].url().unwrap(), "http://127.0.0.1:3001");
        assert!(state.running("user-service").is_none(), "a process of another start time");
    }
}
