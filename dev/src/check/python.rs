//! Tools from Python's package index, each in an environment of its own below `target/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::Passed;
use crate::{interrupt::Interrupt, programs, project::Project};

/// A program that a package of the index brings.
pub(super) struct Tool {
    /// The program, which is the name of its environment's folder too.
    pub(super) program: &'static str,
    /// The package with its version, as pip takes it.
    pub(super) package: &'static str,
}

impl Tool {
    /// The program; installs it first when it is missing and that is allowed. Else what is said of a check that
    /// needs it.
    pub(super) fn find(
        &self,
        project: &Project,
        install: bool,
        interrupt: &Interrupt,
    ) -> Result<Result<PathBuf, Passed>> {
        let Self { program, package } = self;
        let folder = project.path("target").join(program);
        let path = folder.join("bin").join(program);
        if self.is_installed(&path) {
            return Ok(Ok(path));
        }
        if !install {
            let why = format!("{package} is missing; run: cargo dev check --install-tools");
            return Ok(Err(Passed::Skipped(why)));
        }
        let mut make = Command::new("python3");
        let is_made = programs::works(make.args(["-m", "venv", "--clear"]).arg(&folder));
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", package]);
        if is_made && programs::status(&mut pip, interrupt)?.success() {
            return Ok(Ok(path));
        }
        let why = format!("needs python3 with venv and pip, and {package} from PyPI");
        Ok(Err(Passed::Skipped(why)))
    }

    /// Whether it is there, in the version that is wanted.
    fn is_installed(&self, program: &std::path::Path) -> bool {
        let version = self.package.rsplit('=').next().unwrap_or_default();
        let said = programs::says(Command::new(program).arg("--version"));
        said.is_some_and(|said| said.contains(version))
    }
}
