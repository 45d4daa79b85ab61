//! After the files are written: what other tools add to them, and whether all of it works.

use anyhow::{Context, Result, bail, ensure};
use tusk_config::Check;

use super::{addition::Options, plan::Written, service::Service};
use crate::{
    features::UNIFIED, graph, interrupt::Interrupt, prepare, prepare::generated, programs,
    project::Project, test,
};

const LOCK: &str = "Cargo.lock";

/// How it is finished.
pub(super) struct Finishing<'a> {
    pub(super) options: &'a Options,
    pub(super) interrupt: &'a Interrupt,
}

impl Finishing<'_> {
    /// A service was added.
    pub(super) fn added(&self, service: &Service<'_>, written: &mut Written) -> Result<()> {
        // As it is now, with one more service.
        let project = Project::find()?.offline(self.options.offline);
        packages(&project, written)?;
        settings(&project)?;
        self.compiled(&project, &service.names.service, written)
    }

    /// Something was added to a service.
    pub(super) fn grown(&self, name: &str, written: &mut Written) -> Result<()> {
        let project = Project::find()?.offline(self.options.offline);
        settings(&project)?;
        for file in generated::files() {
            written.note(file)?;
        }
        generated::generate(&project, true)?;
        if !self.options.quick {
            println!("== queries");
            written.note_folder(&format!("services/{name}/.sqlx"))?;
            prepare::queries_of(&project, name, self.options.permission, self.interrupt)?;
        }
        self.linted(&project, name)?;
        self.compiled(&project, name, written)
    }

    /// A service was taken away.
    pub(super) fn taken(&self, written: &mut Written) -> Result<()> {
        let project = Project::find()?.offline(self.options.offline);
        packages(&project, written)?;
        settings(&project)
    }

    fn compiled(&self, project: &Project, name: &str, written: &mut Written) -> Result<()> {
        if self.options.quick {
            return Ok(());
        }
        println!("== documents");
        for file in prepare::schemas(project)? {
            written.note(&file)?;
        }
        let document = prepare::openapi(project, &[name], self.interrupt)?.concat();
        let file = format!("services/{name}/openapi.json");
        written.note(&file)?;
        std::fs::write(project.path(&file), document).context("write openapi.json")?;
        written.note(&format!("services/{name}/src/lib.rs"))?;
        generated::generate(project, true)?;
        println!("== tests");
        let passed =
            test::of(project, &[name, "contracts"], self.options.permission, self.interrupt)?;
        ensure!(passed, "tests of {name} fail");
        Ok(())
    }

    /// Lints compile every crate a second time, without code, which takes longest of all. The template is
    /// linted as it is, with the workspace; what is put into a service is not.
    fn linted(&self, project: &Project, name: &str) -> Result<()> {
        if self.options.quick {
            return Ok(());
        }
        println!("== lints");
        let mut lint = project.cargo();
        lint.args(["clippy", "-p", name, "-p", "contracts"]).args(UNIFIED);
        lint.args(["--all-targets", "--", "-D", "warnings"]);
        programs::succeed(&mut lint, self.interrupt)
    }
}

/// Cargo notes the packages of the workspace, and we which of them depend on which.
fn packages(project: &Project, written: &mut Written) -> Result<()> {
    written.note(LOCK)?;
    written.note(graph::GOLDEN)?;
    let mut command = project.cargo();
    command.args(["metadata", "--format-version", "1", "--quiet"]);
    programs::output(&mut command)?;
    graph::refresh(project)
}

/// What `cargo tusk check --strict config` says.
fn settings(project: &Project) -> Result<()> {
    let report = Check::new().strict(true).run([project.path("config")]);
    if report.faults.is_empty() {
        return Ok(());
    }
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    bail!("the settings have faults:\n{}", faults.join("\n"))
}
