//! `cargo dev check`: what the code is held to. Every check runs; what failed is listed at the end.

mod alerts;
mod kubernetes;
mod openapi;
mod python;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{
    documents,
    features::{self, UNIFIED},
    graph,
    install::{self, Permission},
    interrupt::Interrupt,
    prepare, programs,
    project::Project,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Installs cargo-deny, promtool and the tools from Python's package index when they are missing,
    /// as is done when CI=true
    #[arg(long)]
    install_tools: bool,
    #[command(flatten)]
    permission: Permission,
    /// Only these checks, by the names that a run prints; all when none is named
    names: Vec<String>,
}

/// How a check ended without failing.
enum Passed {
    Fully,
    /// It could not be run here; the text says what would make it run.
    Skipped(String),
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let install = args.install_tools || install::is_ci();
    let permission = if install { Permission::GIVEN } else { args.permission };
    let checks: [(&str, &dyn Fn() -> Result<Passed>); 16] = [
        ("format", &|| cargo(project, interrupt, &["fmt", "--all", "--check"])),
        ("clippy", &|| {
            let lint = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
            cargo(project, interrupt, &lint)
        }),
        ("documentation", &|| documentation(project, interrupt)),
        ("links", &|| documents::check_links(project).map(|()| Passed::Fully)),
        ("deny", &|| deny(project, install, interrupt)),
        ("graph", &|| graph::check(project).map(|()| Passed::Fully)),
        ("features", &|| features::check(project).map(|()| Passed::Fully)),
        ("drift", &|| prepare::check(project, permission, interrupt).map(|()| Passed::Fully)),
        ("settings", &|| {
            cargo(project, interrupt, &["tusk", "check", "--strict", "config"])?;
            cargo(project, interrupt, &["tusk", "fmt", "--check", "config"])
        }),
        ("workflows", &|| {
            let test = [&["test", "-p", "dev"], &UNIFIED[..], &["--test", "pipeline"]].concat();
            cargo(project, interrupt, &test)
        }),
        ("alert rules", &|| alerts::rules(project, install, interrupt)),
        ("kubernetes", &|| kubernetes::rules(project, interrupt)),
        ("kubernetes, with new services", &|| kubernetes::new_services(project, interrupt)),
        ("kubernetes schemas", &|| kubernetes::schemas(project, install, interrupt)),
        ("openapi", &|| openapi::documents(project, install, interrupt)),
        ("schemathesis", &|| openapi::answers(project, install, permission, interrupt)),
    ];
    let unknown = args.names.iter().find(|name| !checks.iter().any(|(known, _)| known == name));
    if let Some(name) = unknown {
        let known = checks.map(|(known, _)| format!("{known:?}")).join(", ");
        bail!("there is no check {name:?}; known: {known}");
    }
    let mut failed = Vec::new();
    let mut skipped = Vec::new();
    let is_meant = |name: &str| args.names.is_empty() || args.names.iter().any(|one| one == name);
    for (name, check) in checks.into_iter().filter(|(name, _)| is_meant(name)) {
        println!("== {name}");
        match check() {
            Ok(Passed::Fully) => {}
            Ok(Passed::Skipped(why)) => skipped.push(format!("{name}: {why}")),
            Err(error) => {
                interrupt.check()?;
                eprintln!("{error:#}");
                failed.push(name);
            }
        }
    }
    println!("==");
    for line in skipped {
        println!("skipped {line}");
    }
    if failed.is_empty() {
        println!("all checks that ran passed");
        return Ok(ExitCode::SUCCESS);
    }
    println!("failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn cargo(project: &Project, interrupt: &Interrupt, args: &[&str]) -> Result<Passed> {
    programs::succeed(project.cargo().args(args), interrupt).map(|()| Passed::Fully)
}

fn documentation(project: &Project, interrupt: &Interrupt) -> Result<Passed> {
    let mut command = project.cargo();
    command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    programs::succeed(&mut command, interrupt).map(|()| Passed::Fully)
}

/// Licences, sources and banned crates. Advisories need a database from the network; the workflow
/// checks them.
fn deny(project: &Project, may_install: bool, interrupt: &Interrupt) -> Result<Passed> {
    // Without optimisation it is built in half the time, and takes some seconds more to look.
    let install = ["install", "cargo-deny", "--locked", "--debug"];
    if !programs::works(project.cargo().args(["deny", "--version"])) {
        if !may_install {
            let line = install.join(" ");
            return Ok(Passed::Skipped(format!("cargo-deny is missing; run: cargo {line}")));
        }
        cargo(project, interrupt, &install)?;
    }
    if !project.path("deny.toml").exists() {
        bail!("deny.toml is missing");
    }
    cargo(project, interrupt, &["deny", "check", "bans", "licenses", "sources"])
}
