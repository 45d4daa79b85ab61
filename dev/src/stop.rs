//! `cargo dev stop`: stops services, and leaves the rest of the system running.

use std::{process::ExitCode, time::Instant};

use anyhow::Result;

use crate::{
    project::Project,
    state::{Process, State, stop_all},
    table, unrecorded,
    up::known,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The services; also the simulator
    #[arg(value_name = "SERVICE", required = true)]
    services: Vec<String>,
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let begin = Instant::now();
    let names = known(project, &args.services)?;
    let _lock = project.lock()?;
    let mut state = State::up(project)?;
    let is_named = |process: &Process| names.contains(&process.name);
    let left = unrecorded::find(project, Some(&state)).into_iter().filter(is_named);
    let (stopped, rest): (Vec<Process>, Vec<Process>) =
        state.processes.into_iter().partition(is_named);
    let stopped = stopped.into_iter().filter(Process::is_running);
    let stopped: Vec<Process> = stopped.chain(left).collect();
    let is_idle = |name: &&String| stopped.iter().all(|process| process.name != **name);
    for name in names.iter().filter(is_idle) {
        println!("{name} does not run");
    }
    state.processes = rest;
    state.stopped.retain(|name| !names.contains(name));
    state.stopped.extend(names.iter().cloned());
    // First, so that an `up` that watches does not take for a fault what ends on purpose.
    state.save(project)?;
    stop_all(&stopped, table::stopped)?;
    let seconds = begin.elapsed().as_secs_f64();
    let up = project.command("up --detach");
    println!("stopped after {seconds:.1} s; `{up}` starts it again");
    Ok(ExitCode::SUCCESS)
}
