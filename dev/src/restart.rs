//! `cargo dev restart`: builds services and replaces them, changed or not.

use std::{process::ExitCode, time::Instant};

use anyhow::Result;

use crate::{
    http::Client,
    install::Permission,
    interrupt::Interrupt,
    project::Project,
    services,
    state::State,
    up::{Request, bring_up},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
As `up` does, it lets the old one serve until the new one is ready; one that does not run is started.
Servers start and stop with the whole system: `cargo dev down` and `up`.")]
pub(crate) struct Args {
    /// The services; also the simulator
    #[arg(value_name = "SERVICE", required = true)]
    services: Vec<String>,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let begin = Instant::now();
    let request = Request::restart(project, &args.services)?;
    let _lock = project.lock()?;
    let before = State::up(project)?;
    let client = Client::new();
    let build = || services::build(project, interrupt);
    bring_up(project, &request, Permission::REFUSED, Some(before), &client, interrupt, build)?;
    println!("done after {:.1} s", begin.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}
