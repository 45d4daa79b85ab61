//! What is added to a service that is there: an event, a route.

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result, bail};

use super::{
    files::Files,
    finish::Finishing,
    names::Names,
    parts::Language,
    plan::{Plan, Written},
    words::Words,
};
use crate::{install::Permission, interrupt::Interrupt, project::Project};

/// How a service is made, or something added to one.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Options {
    /// Shows what would change, and changes nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Leaves out what takes a compiler: schemas, documents, lints, tests
    #[arg(long)]
    pub(super) quick: bool,
    /// Asks for nothing from the network
    #[arg(long)]
    pub(super) offline: bool,
    #[command(flatten)]
    pub(super) permission: Permission,
}

/// New files, and pieces of those that are there.
pub(super) struct Addition {
    plan: Plan,
    begin: Instant,
}

impl Addition {
    /// Of folders of the template. Fails when a part of it is there.
    pub(super) fn new(
        project: &Project,
        folders: &[&str],
        words: &Words,
        chosen: &[String],
    ) -> Result<Self> {
        let root = project.root();
        let begin = Instant::now();
        let files = Files::addition(root, folders, words, chosen)?;
        let clashes = files.pieces_that(root, Language::has)?;
        if !clashes.is_empty() {
            bail!("a part of it is there already:\n  {}", clashes.join("\n  "));
        }
        Ok(Self { plan: files.added(root)?, begin })
    }

    /// More of the plan, which is no fragment.
    pub(super) fn with(mut self, add: impl FnOnce(&mut Plan) -> Result<()>) -> Result<Self> {
        add(&mut self.plan)?;
        Ok(self)
    }

    /// Writes it, holds the service to everything, and says what is next; after a fault, nothing is left of it.
    /// `made`: what others make of it.
    pub(super) fn make(
        self,
        what: &str,
        names: &Names,
        options: &Options,
        made: &[String],
        next: &[String],
        interrupt: &Interrupt,
    ) -> Result<ExitCode> {
        let finish = |written: &mut Written| {
            made.iter().try_for_each(|file| written.note(file))?;
            Finishing { options, interrupt }.grown(&names.service, written)
        };
        if options.write(what, self.plan, finish)? {
            println!("{what} is there after {:.0} s; next:", self.begin.elapsed().as_secs_f64());
            for line in next {
                println!("  {line}");
            }
            if options.quick {
                println!("left out: what `cargo dev prepare` makes, lints, tests");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Options {
    /// Shows what would change, or writes it, finishes it, and leaves nothing of it after a fault. Tells whether
    /// it is there now.
    pub(super) fn write(
        &self,
        what: &str,
        plan: Plan,
        finish: impl FnOnce(&mut Written) -> Result<()>,
    ) -> Result<bool> {
        let [new, changed, _] = plan.counts();
        if self.dry_run {
            print!("{}", plan.diff());
            println!("{what} would make {new} files and change {changed}");
            return Ok(false);
        }
        let mut written = plan.write()?;
        println!("{what}: {new} files made, {changed} changed");
        finish(&mut written).context("nothing is left of it")?;
        written.stay();
        Ok(true)
    }
}

/// What is done last: documents, queries, tests.
pub(super) fn prepare_and_test(service: &str) -> String {
    format!("cargo dev prepare && cargo dev test -- -p {service}")
}
