//! `cargo dev status`: what runs, and whether it takes work.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::{
    dashboard, fault,
    http::Client,
    namespaces, ports,
    project::Project,
    run,
    secrets::Secrets,
    services::{self, Start},
    state::{Kind, Process, State},
    table, unrecorded,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prints one JSON array instead of a table
    #[arg(long)]
    json: bool,
}

/// One process, as it is now.
#[derive(Debug, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, answered in JSON"
)]
pub(crate) struct Line {
    name: String,
    kind: Kind,
    running: bool,
    ready: bool,
    /// Whether the `up` that started it lived to write it down.
    recorded: bool,
    /// Whether a `cargo dev run` has it in its foreground.
    foreground: bool,
    /// What has changed since it was started: `binary`, `settings`.
    older_than: Vec<&'static str>,
    /// What `cargo dev fault` does to it: `frozen`, `slow by 300 ms`, `cut`.
    fault: Option<String>,
    /// None of what `cargo dev stop` has stopped.
    pid: Option<u32>,
    /// `http://…` of a service, `host:port` of a server.
    url: String,
}

impl Line {
    fn of(
        project: &Project,
        process: &Process,
        recorded: bool,
        starts: &[Start],
        client: &Client,
    ) -> Self {
        let running = process.is_running();
        let start = starts.iter().find(|start| running && recorded && start.name == process.name);
        let port = process.port.map(|port| format!("127.0.0.1:{port}"));
        let frozen = fault::is_frozen(project, process);
        let fault = fault::active(project).into_iter().find(|fault| fault.target == process.name);
        Self {
            name: process.name.clone(),
            kind: process.kind,
            running,
            // One that stands still is not asked.
            ready: running && recorded && !frozen && services::is_ready(process, client),
            recorded,
            foreground: running && run::runs_here(project, &process.name),
            older_than: start.map(|start| start.changed_since(process)).unwrap_or_default(),
            fault: fault.map(|fault| fault.kind.to_string()),
            pid: Some(process.pid),
            url: process.url().or(port).unwrap_or_default(),
        }
    }

    /// Of a service that the user has stopped.
    fn stopped(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::of(name),
            running: false,
            ready: false,
            foreground: false,
            recorded: true,
            older_than: Vec::new(),
            fault: None,
            pid: None,
            url: String::new(),
        }
    }

    fn pid_word(&self) -> String {
        self.pid.map(|pid| pid.to_string()).unwrap_or_default()
    }

    fn word(&self) -> String {
        let word = match (self.running, self.recorded, self.ready) {
            (false, _, _) if self.pid.is_none() => "stopped",
            (false, _, _) => "ended",
            (true, false, _) => "of an `up` that is at work, or was killed",
            (true, true, false) => "not ready",
            (true, true, true) => "ready",
        };
        let word = if self.foreground {
            format!("{word}, in the foreground of `cargo dev run`")
        } else {
            word.to_owned()
        };
        let word =
            self.fault.iter().fold(word, |word, fault| format!("{word}, {fault} on purpose"));
        if self.older_than.is_empty() {
            return word;
        }
        format!("{word}, older than its {}", self.older_than.join(" and its "))
    }
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let lines = lines(project)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&lines)?);
    } else if lines.is_empty() {
        println!("nothing is up; start it with: {}", project.command("up"));
    } else {
        let rows = lines
            .iter()
            .map(|line| [line.name.clone(), line.word(), line.pid_word(), line.url.clone()]);
        table::columns(["process", "state", "pid", "address"], rows);
    }
    let missing = project.services().iter().map(|service| service.name.as_str());
    let missing: Vec<&str> =
        missing.filter(|name| lines.iter().all(|line| line.name != *name)).collect();
    if !missing.is_empty() && !lines.is_empty() && !args.json {
        println!("not up: {}", missing.join(", "));
    }
    if lines.iter().any(|line| line.pid.is_none()) && !args.json {
        println!("`{}` starts what is stopped", project.command("up --detach"));
    }
    let state = State::load(project)?;
    if let Some(url) =
        state.and_then(|state| dashboard::url(project, &state)).filter(|_| !args.json)
    {
        println!("dashboard  {url}");
    }
    if !args.json {
        for line in fault::tell(project).into_iter().chain(namespaces::others_up(project)) {
            println!("{line}");
        }
    }
    if lines.iter().any(|line| !line.older_than.is_empty() || !line.recorded) && !args.json {
        println!("`{}` replaces what is old or was left", project.command("up --detach"));
    }
    let is_up = !lines.is_empty() && missing.is_empty() && lines.iter().all(|line| line.ready);
    Ok(if is_up { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that runs, and what has ended by itself.
pub(crate) fn lines(project: &Project) -> Result<Vec<Line>> {
    let client = Client::new();
    let state = State::load(project)?;
    let starts = state.as_ref().map_or_else(|| Ok(Vec::new()), |state| starts(project, state));
    let starts = starts.unwrap_or_else(|error| {
        eprintln!("whether a service is older than its settings cannot be told: {error:#}");
        Vec::new()
    });
    let unrecorded = unrecorded::find(project, state.as_ref());
    let State { processes: recorded, stopped, .. } = state.unwrap_or_default();
    let lines = recorded.iter().map(|process| Line::of(project, process, true, &starts, &client));
    let left = unrecorded.iter().map(|process| Line::of(project, process, false, &starts, &client));
    let stopped = stopped.iter().map(|name| Line::stopped(name));
    Ok(lines.chain(left).chain(stopped).collect())
}

/// What the services would be started from now.
fn starts(project: &Project, state: &State) -> Result<Vec<Start>> {
    let ports = ports::choose(project, Some(state));
    Start::all(project, &Secrets::load(project)?, &state.addresses, &ports)
}
