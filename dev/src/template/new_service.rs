//! `cargo dev new-service NAME`.

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result, bail};

use super::{
    addition::Options,
    finish::Finishing,
    names::{Names, service_of},
    plan::Written,
    record::Record,
    service::Service,
};
use crate::{
    interrupt::Interrupt,
    project::Project,
    services::{SIMULATOR_PORT, Service as Known},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new service has a table, three routes, an event that it publishes, events that it hears of, a call to
user-service, and tests of all that; and it is in settings, compose, Kubernetes and contracts like the
others. Whatever fails, nothing is left of it. `cargo dev remove-service NAME` takes it away again.")]
pub(crate) struct Args {
    /// Of its folder, with or without `-service`: orders
    name: String,
    /// What it keeps one of; derived from the name where that ends as an English plural does
    #[arg(long, value_name = "NAME")]
    aggregate: Option<String>,
    /// Whose events it hears of
    #[arg(long, value_delimiter = ',', default_value = "user", value_parser = ["user", "payment"])]
    events: Vec<String>,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let begin = Instant::now();
    let name = service_of(&args.name)?;
    if project.path("services").join(&name).exists() {
        return is_there(project, &name);
    }
    let names = Names::new(&name, args.aggregate.as_deref())?;
    names.check_free(project.root())?;
    let mut events = args.events.clone();
    events.sort();
    events.dedup();
    let record = Record::new(&names.aggregate, &events);
    let port = free_port(project.services())?;
    let service = Service::new(project, names, record, port)?;
    let clashes = service.pieces(true)?;
    if !clashes.is_empty() {
        bail!("this is there, but no such service:\n  {}", clashes.join("\n  "));
    }
    let name = service.names.service.clone();
    let finish = |written: &mut Written| {
        Finishing { options: &args.options, interrupt }.added(&service, written)
    };
    if !args.options.write(&name, service.added()?, finish)? {
        return Ok(ExitCode::SUCCESS);
    }
    println!("{name} is there after {:.0} s; next:", begin.elapsed().as_secs_f64());
    println!("  cargo dev check clippy             # its lints, as the template passes them");
    println!("  cargo dev up --detach              # runs it: http://localhost:{port}/docs");
    println!("  cargo dev smoke                    # the scenario, and what its document shows");
    println!(
        "  cargo dev test -- -p {name}        # its tests; then read services/{name}/src/lib.rs"
    );
    Ok(ExitCode::SUCCESS)
}

/// It was made before: all of it, or somebody has to look.
fn is_there(project: &Project, name: &str) -> Result<ExitCode> {
    let Some(record) = Record::read(&project.path("services").join(name)) else {
        bail!("services/{name} is there, and was not made of the template: choose another name");
    };
    let names = Names::new(name, Some(&record.aggregate))?;
    let port = project.service(name).map_or(0, |known| known.port);
    let missing = Service::new(project, names, record, port)?.pieces(false)?;
    if missing.is_empty() {
        println!("{name} is already there");
        return Ok(ExitCode::SUCCESS);
    }
    bail!(
        "services/{name} is there, but this is not:\n  {}\n\
         put it back, or take all of it away: cargo dev remove-service {name} --force",
        missing.join("\n  ")
    )
}

/// The first one behind those of the services that nobody has.
fn free_port(services: &[Known]) -> Result<u16> {
    let last = services.iter().map(|service| service.port).max().unwrap_or(3000);
    let is_taken = |port: u16| port == SIMULATOR_PORT;
    let found = (last.saturating_add(1)..u16::MAX).find(|port| !is_taken(*port));
    found.context("no port is left behind those of the services")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_behind_the_others_and_not_the_simulators() {
        let services = |ports: &[u16]| -> Vec<Known> {
            ports.iter().map(|port| Known { name: String::new(), port: *port }).collect()
        };
        assert_eq!(free_port(&services(&[3001, 3003])).unwrap(), 3004);
        assert_eq!(free_port(&services(&[3001, SIMULATOR_PORT - 1])).unwrap(), SIMULATOR_PORT + 1);
    }
}
