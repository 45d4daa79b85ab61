//! `cargo dev bench`: the benchmarks, each figure beside its peers and its limit.

use std::process::ExitCode;

use anyhow::Result;

use crate::{install, interrupt::Interrupt, project::Project, run, slot::Slot, test};

/// The one that needs servers.
const WITH_SERVERS: &str = "messaging";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
`messaging` takes its servers from TEST_POSTGRES_URL, TEST_REDIS_URL, TEST_AMQP_URL and TEST_RABBITMQ_API
when they are set; what is not set is started for this run and stopped after it.")]
pub(crate) struct Args {
    #[command(flatten)]
    permission: install::Permission,
    /// One benchmark, for example `tusk_config`; all of them when not given
    name: Option<String>,
    /// Parts of it, for example `publish` of `messaging`; all of them when not given
    parts: Vec<String>,
}

/// Runs them optimised, in the package that alone builds the peers.
pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut command = project.cargo();
    command.args(["bench", "--package", "bench"]);
    match &args.name {
        Some(name) => command.args(["--bench", name]),
        None => command.arg("--benches"),
    };
    command.arg("--").args(&args.parts);
    if args.name.as_deref().is_some_and(|name| name != WITH_SERVERS) {
        run::succeed(&mut command, interrupt)?;
        return Ok(ExitCode::SUCCESS);
    }
    let slot = Slot::take(project)?;
    let plan = test::plan(&slot);
    install::ensure(&plan.packages(), args.permission, interrupt)?;
    let mut servers = slot.start(&plan)?;
    servers.wait_broker(interrupt)?;
    run::succeed(test::with_addresses(&mut command, project, &servers), interrupt)?;
    Ok(ExitCode::SUCCESS)
}
