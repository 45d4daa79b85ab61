//! What is added to a service that is there: an event, a route.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{
    files::Files, finish::Finishing, names::Names, parts::Language, plan::Plan, words::Words,
};
use crate::{install::Permission, interrupt::Interrupt, project::Project};

/// How a service is made, or something added to one.
#[derive(Debug, clap::Args)]
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
pub(super) struct Addition<'a> {
    root: &'a Path,
    plan: Plan,
}

impl<'a> Addition<'a> {
    /// Of folders of the template. Fails when a part of it is there.
    pub(super) fn new(
        project: &'a Project,
        folders: &[&str],
        words: &Words,
        chosen: &[String],
    ) -> Result<Self> {
        let root = project.root();
        let files = Files::addition(root, folders, words, chosen)?;
        let clashes = files.pieces_that(root, Language::has)?;
        if !clashes.is_empty() {
            bail!("a part of it is there already:\n  {}", clashes.join("\n  "));
        }
        Ok(Self { root, plan: files.added(root)? })
    }

    /// More of the plan, which is no fragment.
    pub(super) fn with(mut self, add: impl FnOnce(&Path, &mut Plan) -> Result<()>) -> Result<Self> {
        add(self.root, &mut self.plan)?;
        Ok(self)
    }

    /// Writes it and holds the service to everything; after a fault, nothing is left of it. Tells
    /// whether it is there now, and was not only to be shown. `made`: what others make of it.
    pub(super) fn make(
        self,
        what: &str,
        names: &Names,
        options: &Options,
        made: &[String],
        interrupt: &Interrupt,
    ) -> Result<bool> {
        let [new, changed, _] = self.plan.counts();
        if options.dry_run {
            print!("{}", self.plan.diff());
            println!("{what} would make {new} files and change {changed}");
            return Ok(false);
        }
        let mut written = self.plan.write(self.root)?;
        for file in made {
            written.note(file)?;
        }
        println!("{what}: {new} files made, {changed} changed");
        let &Options { offline, quick, permission, .. } = options;
        let finishing = Finishing { offline, quick, permission, interrupt };
        finishing.grown(&names.service, &mut written).context("nothing is left of it")?;
        written.stay();
        if options.quick {
            println!("left out: what `cargo dev prepare` makes, lints, tests");
        }
        Ok(true)
    }
}
