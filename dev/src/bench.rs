//! `cargo dev bench`: the benchmarks, each figure beside its peers and its limit.

use std::process::ExitCode;

use anyhow::Result;

use crate::{interrupt::Interrupt, project::Project, run};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One benchmark, for example `tusk_config`; all of them when not given
    name: Option<String>,
}

/// Runs them optimised, in the package that alone builds the peers.
pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut command = project.cargo();
    command.args(["bench", "--package", "bench"]);
    match &args.name {
        Some(name) => command.args(["--bench", name]),
        None => command.arg("--benches"),
    };
    run::succeed(&mut command, interrupt)?;
    Ok(ExitCode::SUCCESS)
}
