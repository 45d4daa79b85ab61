//! The commands and their flags.

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    bench, calls, check, doctor, documents, down, env, events, export, fault, interrupt::Interrupt,
    logs, mcp, measure, namespaces, prepare, project::Project, queues, rehearse, restart, run,
    smoke, status, stop, template, test, token, up,
};

/// Sets up, runs, tests and checks the whole system.
#[derive(Debug, Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev", disable_help_subcommand = true)]
struct Cli {
    /// A second system in this checkout, with data, secrets, logs and ports of its own; the variable
    /// `DEV_NAMESPACE` names one, too
    #[arg(long, global = true, value_name = "NAME", value_parser = namespaces::parse)]
    namespace: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the servers, the services and the payment provider's simulator; Ctrl-C drains them
    Up(up::Args),
    /// Stops what `up` started, and nothing else
    Down,
    /// Builds services and replaces them while they serve, changed or not
    Restart(restart::Args),
    /// Stops services; the rest of the system runs on
    Stop(stop::Args),
    /// Shows what runs and whether it is ready; fails when something is down
    Status(status::Args),
    /// Shows the logs, in the order of time: of a trace, since a time, as bad as a level
    Logs(logs::Args),
    /// Runs one service in the foreground, also under a debugger, while the others go on
    Run(run::Args),
    /// Shows what `up` gives a service in its environment
    Env(env::Args),
    /// Says what of this machine, this checkout and its system is not well, and what mends it
    Doctor(doctor::Args),
    /// Writes what somebody needs to find a fault of this system, without its secrets, into one file
    Export(export::Args),
    /// Walks the whole scenario on the running system over HTTP
    Smoke(smoke::Args),
    /// Runs the composed system in Docker, kills each container in turn, and walks the scenario again
    Rehearse,
    /// Runs every test on servers started for the run
    Test(test::Args),
    /// Holds the code to what continuous integration holds it to
    Check(check::Args),
    /// Runs the commands that the documents show, as a reader would
    Documents(documents::Args),
    /// Refreshes what is generated and checked in
    Prepare(prepare::Args),
    /// Shows what messages were given up on, puts them back, throws them away
    Queues(queues::Args),
    /// Lists events that were sent, and sends them again
    Events(events::Args),
    /// Shows what the services call, and forces a circuit breaker open or closed
    Calls(calls::Args),
    /// Speaks to assistants by the Model Context Protocol, on standard input and output
    Mcp(mcp::Args),
    /// Freezes, kills, slows and cuts servers and services on purpose, and mends them
    Fault(fault::Args),
    /// Issues a token for trying things
    Token(token::Args),
    /// Makes a new service of the template, at work everywhere
    NewService(template::NewArgs),
    /// Adds a column to a service's table: migration, repository, domain, test
    NewColumn(template::NewColumnArgs),
    /// Adds an event to a service: contract, domain, outbox, tests
    NewEvent(template::NewEventArgs),
    /// Has a service handle an event of another: binding, handler, inbox, test
    NewHandler(template::NewHandlerArgs),
    /// Adds a route to a service: handler, document, policy, test
    NewRoute(template::NewRouteArgs),
    /// Adds a setting to a service: file, variable, struct, bounds, test
    NewSetting(template::NewSettingArgs),
    /// Takes away what `new-service` made
    RemoveService(template::RemoveArgs),
    /// Gives the project another name
    Rename(template::RenameArgs),
    /// Runs the benchmarks, each figure beside its peers and its limit
    Bench(bench::Args),
    /// Measures the released services: memory, processor time at idle, time to ready
    Measure(measure::Args),
}

/// Does what the command line says.
pub(crate) fn run() -> Result<ExitCode> {
    let cli = Cli::parse();
    // Also where there is no workspace to speak of.
    if let Command::Doctor(args) = &cli.command {
        return Ok(doctor::run(args, cli.namespace));
    }
    let project = Project::find()?.in_namespace(namespaces::chosen(cli.namespace)?);
    // From here on Ctrl-C and SIGTERM are asked for, so that nothing is left running half way.
    let interrupt = Interrupt::register()?;
    match cli.command {
        Command::Up(args) => up::run(&project, &args, &interrupt),
        Command::Down => down::run(&project),
        Command::Restart(args) => restart::run(&project, &args, &interrupt),
        Command::Stop(args) => stop::run(&project, &args),
        Command::Status(args) => status::run(&project, &args),
        Command::Logs(args) => logs::run(&project, &args, &interrupt),
        Command::Doctor(args) => Ok(doctor::run(&args, project.namespace().map(str::to_owned))),
        Command::Export(args) => export::run(&project, &args),
        Command::Run(args) => run::run(&project, &args, &interrupt),
        Command::Env(args) => env::run(&project, &args),
        Command::Smoke(args) => smoke::run(&project, &args, &interrupt),
        Command::Rehearse => rehearse::run(&project, &interrupt),
        Command::Test(args) => test::run(&project, &args, &interrupt),
        Command::Check(args) => check::run(&project, &args, &interrupt),
        Command::Documents(args) => documents::run(&project, &args, &interrupt),
        Command::Prepare(args) => prepare::run(&project, &args, &interrupt),
        Command::Queues(args) => queues::run(&project, &args),
        Command::Events(args) => events::run(&project, &args),
        Command::Calls(args) => calls::run(&project, &args),
        Command::Mcp(_) => mcp::run(&project, &interrupt),
        Command::Fault(args) => fault::run(&project, &args, &interrupt),
        Command::Token(args) => token::run(&project, &args),
        Command::NewService(args) => template::new_service(&project, &args, &interrupt),
        Command::NewColumn(args) => template::new_column(&project, &args, &interrupt),
        Command::NewEvent(args) => template::new_event(&project, &args, &interrupt),
        Command::NewHandler(args) => template::new_handler(&project, &args, &interrupt),
        Command::NewRoute(args) => template::new_route(&project, &args, &interrupt),
        Command::NewSetting(args) => template::new_setting(&project, &args, &interrupt),
        Command::RemoveService(args) => template::remove_service(&project, &args, &interrupt),
        Command::Rename(args) => template::rename(&project, &args),
        Command::Bench(args) => bench::run(&project, &args, &interrupt),
        Command::Measure(args) => measure::run(&project, &args, &interrupt),
    }
}

/// All commands with their arguments, as they are read.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// What a command line means.
#[cfg(test)]
pub(crate) fn parse(line: &str) -> Result<Command> {
    let words = ["cargo dev"].into_iter().chain(line.split(' '));
    Ok(Cli::try_parse_from(words)?.command)
}

/// The names of all commands.
#[cfg(test)]
pub(crate) fn commands() -> Vec<String> {
    definition().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_put_together_soundly() {
        Cli::command().debug_assert();
    }
}
