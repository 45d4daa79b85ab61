//! The settings of Prometheus and the alert rules: read and tested by promtool. That each alert has a
//! test, and a section of the runbook, `dev/tests/observability` sees to.

use std::process::Command;

use anyhow::Result;
use testkit::native;

use super::Passed;
use crate::{
    folder,
    install::{self, Permission},
    interrupt::Interrupt,
    programs,
    project::Project,
};

/// Where they are.
const FOLDER: &str = "config/observability";
/// The package that has promtool.
const PACKAGE: &str = "prometheus";

/// Each alert, firing and not firing: `config/observability/tests`.
pub(super) fn rules(project: &Project, may_install: bool, interrupt: &Interrupt) -> Result<Passed> {
    let is_missing = || native::find::on_path("promtool").is_none();
    if is_missing()
        && may_install
        && let Err(error) = install::ensure(&[PACKAGE], Permission::GIVEN, interrupt)
    {
        return Ok(Passed::Skipped(format!("needs promtool; {error:#}")));
    }
    if is_missing() {
        return Ok(Passed::Skipped(format!("needs promtool, of Debian's package {PACKAGE}")));
    }
    let folder = project.path(FOLDER);
    let promtool = |words: &[&str]| {
        let mut command = Command::new("promtool");
        command.args(words).current_dir(&folder);
        command
    };
    programs::succeed(&mut promtool(&["check", "config", "prometheus.yml"]), interrupt)?;
    let tests = folder::names(&folder.join("tests")).into_iter();
    let tests = tests.map(|name| format!("tests/{name}"));
    programs::succeed(promtool(&["test", "rules"]).args(tests), interrupt)?;
    Ok(Passed::Fully)
}
