//! `cargo dev status`: what runs, and whether it takes work.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::{
    http::Client,
    project::Project,
    services,
    state::{Kind, Process, State},
    table,
    up::state_file,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prints one JSON array instead of a table
    #[arg(long)]
    json: bool,
}

/// One process, as it is now.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    kind: Kind,
    running: bool,
    ready: bool,
    pid: u32,
    /// `http://…` of a service, `host:port` of a server.
    url: String,
}

impl Line {
    fn of(process: &Process, client: &Client) -> Self {
        let running = process.is_running();
        let port = process.port.map(|port| format!("127.0.0.1:{port}"));
        Self {
            name: process.name.clone(),
            kind: process.kind,
            running,
            ready: running && services::is_ready(process, client),
            pid: process.pid,
            url: process.url().or(port).unwrap_or_default(),
        }
    }
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let client = Client::new();
    let state = State::load(&state_file(project))?;
    let processes = state.map(|state| state.processes).unwrap_or_default();
    let lines: Vec<Line> = processes.iter().map(|process| Line::of(process, &client)).collect();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&lines)?);
    } else if lines.is_empty() {
        println!("nothing is up; start it with: cargo dev up");
    } else {
        let rows = lines.iter().map(|line| {
            let word = match (line.running, line.ready) {
                (false, _) => "ended",
                (true, false) => "not ready",
                (true, true) => "ready",
            };
            [line.name.clone(), word.to_owned(), line.pid.to_string(), line.url.clone()]
        });
        table::columns(["process", "state", "pid", "address"], rows);
    }
    let is_up = !lines.is_empty() && lines.iter().all(|line| line.ready);
    Ok(if is_up { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
