//! `cargo dev remove-service NAME`.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::{
    addition::Options,
    finish::Finishing,
    names::{Names, service_of},
    record::Record,
    service::Service,
};
use crate::{interrupt::Interrupt, project::Project};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// As it was given to `new-service`
    name: String,
    /// Also what was changed since it was made
    #[arg(long)]
    force: bool,
    /// Shows what would change, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Asks for nothing from the network
    #[arg(long)]
    offline: bool,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let name = service_of(&args.name)?;
    let folder = project.path("services").join(&name);
    let Some(record) = Record::read(&folder) else {
        bail!("{name} is no service that `cargo dev new-service` made");
    };
    let names = Names::new(&name, Some(&record.aggregate))?;
    let port = project.service(&names.service).map_or(0, |known| known.port);
    let service = Service::new(project, names, record, port)?;
    if !args.force {
        refuse_changed(&service)?;
    }
    let plan = service.taken()?;
    let [_, changed, removed] = plan.counts();
    let name = &service.names.service;
    if args.dry_run {
        print!("{}", plan.diff());
        println!("{removed} files would go, {changed} change");
        return Ok(ExitCode::SUCCESS);
    }
    let mut written = plan.write()?;
    let options = Options { offline: args.offline, quick: true, ..Options::default() };
    let finishing = Finishing { options: &options, interrupt };
    finishing.taken(&mut written).context("all of it is still there")?;
    written.stay();
    println!("{name} is away: {removed} files removed, {changed} changed back");
    println!("its database and its queue stay where they are; `cargo dev down` stops it");
    Ok(ExitCode::SUCCESS)
}

/// What somebody wrote is not thrown away unasked.
fn refuse_changed(service: &Service<'_>) -> Result<()> {
    let changed = service.changed()?;
    if changed.is_empty() {
        return Ok(());
    }
    bail!(
        "this was changed since it was made:\n  {}\nto throw it away: --force",
        changed.join("\n  ")
    )
}
