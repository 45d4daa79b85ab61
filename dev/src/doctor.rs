//! `cargo dev doctor`: what of this machine, this checkout and its system is well, and the line that mends
//! what is not.
//!
//! It changes nothing, and it needs nothing: whatever is missing or broken is a line of its table. The compiler and
//! the linker are none: they have just built this tool.

mod data;
mod machine;
mod ports;
mod system;
mod toolchain;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use serde::Serialize;
use serde_json::json;

use crate::{logs::printable, namespaces, programs, project::Project, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
`warn` says what may be in the way, `fault` what is. The exit code is 1 when there is a fault. Nothing is changed, and
nothing is asked of the network.")]
pub(crate) struct Args {
    /// Prints one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Ok,
    Warn,
    Fault,
}

/// What was looked at, and how it is.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    check: &'static str,
    outcome: Outcome,
    what: String,
    /// The line that mends it, or what can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Ok, what: what.into(), mend: None }
    }

    fn warn(check: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Warn, what: what.into(), mend: Some(mend.into()) }
    }

    fn fault(check: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Fault, what: what.into(), mend: Some(mend.into()) }
    }
}

pub(crate) fn run(args: &Args, namespace: Option<String>) -> ExitCode {
    let namespace = namespaces::chosen(namespace).ok().flatten();
    let findings = examine(namespace);
    let count = |outcome| findings.iter().filter(|finding| finding.outcome == outcome).count();
    let warnings = count(Outcome::Warn);
    let faults = count(Outcome::Fault);
    if args.json {
        let all = json!({ "ok": faults == 0, "warnings": warnings, "faults": faults, "checks": findings });
        println!("{all:#}");
    } else {
        print(&findings);
        println!();
        println!("{} ok, {warnings} to look at, {faults} faults", count(Outcome::Ok));
    }
    if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Looks at everything.
pub(crate) fn examine(namespace: Option<String>) -> Vec<Finding> {
    let root = root();
    let project = Project::at(&root).map(|project| project.in_namespace(namespace));
    let mut findings = toolchain::examine(&root);
    findings.extend(machine::examine(&root));
    findings.extend(system::checkout(&root, &project));
    if let Ok(project) = &project {
        findings.extend(system::examine(project));
        findings.extend(ports::examine(project));
    }
    let dev = project.as_ref().map_or_else(|_| root.join(".dev"), |project| project.dev(""));
    findings.extend(data::examine(&dev));
    findings
}

/// The top of the workspace, also where its settings are gone; the working folder outside of one.
fn root() -> PathBuf {
    let here = env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let root = here.ancestors().find(|folder| folder.join("dev/Cargo.toml").exists());
    root.map(Path::to_owned).unwrap_or(here)
}

/// The first line of what a program says of its version; none when it is not there or does not run.
fn version_of(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Option<String> {
    let mut command = Command::new(program);
    // A toolchain that is missing is told, and not fetched.
    command.arg("--version").current_dir(folder).env("RUSTUP_AUTO_INSTALL", "0");
    let said = programs::says(&mut command)?;
    Some(said.lines().next()?.trim_end().chars().take(100).collect())
}

fn print(findings: &[Finding]) {
    let rows = findings.iter().map(|finding| {
        let outcome = match finding.outcome {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fault => "FAULT",
        };
        let what = printable(&finding.what).into_owned();
        [finding.check.to_owned(), outcome.to_owned(), what]
    });
    table::columns(["check", "state", "what"], rows);
    let to_mend = findings.iter().filter(|finding| finding.mend.is_some());
    for (place, finding) in to_mend.enumerate() {
        if place == 0 {
            println!();
        }
        let mend = finding.mend.as_deref().unwrap_or_default();
        println!("{}: {}", finding.check, printable(mend));
    }
}
