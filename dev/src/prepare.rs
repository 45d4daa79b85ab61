//! `cargo dev prepare`: what is generated and checked in, refreshed; `cargo dev check drift` compares it.
//!
//! Everything is generated into a temporary folder first. Only then is the tree written, and only
//! where it differs, so that the check changes nothing and cargo rebuilds nothing without need.

mod alerts;
pub(crate) mod generated;
mod queries;
mod schemas;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};

use crate::{
    features::UNIFIED,
    folder::names,
    graph,
    install::Permission,
    interrupt::Interrupt,
    programs,
    project::Project,
    sandbox::Sandbox,
    servers::{ExternalAddresses, Plan, Servers, Source},
};

/// The package of `dev/template/service`.
const TEMPLATE: &str = "sample-service";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    permission: Permission,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let written = generate(project, args.permission, interrupt, true)?;
    graph::refresh(project)?;
    match written.as_slice() {
        [] => println!("nothing changed"),
        files => files.iter().for_each(|file| println!("written: {}", file.display())),
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when something that is checked in differs from what is generated from it now.
pub(crate) fn check(
    project: &Project,
    permission: Permission,
    interrupt: &Interrupt,
) -> Result<()> {
    let stale = generate(project, permission, interrupt, false)?;
    if stale.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = stale.iter().map(|file| format!("  {}", file.display())).collect();
    bail!("out of date:\n{}\nrun: cargo dev prepare", names.join("\n"))
}

/// Generates everything, and gives the files that differ; writes them when told to.
fn generate(
    project: &Project,
    permission: Permission,
    interrupt: &Interrupt,
    write: bool,
) -> Result<Vec<PathBuf>> {
    let sandbox = Sandbox::take(project)?;
    let servers = database(&sandbox, permission, interrupt)?;
    let mut differing =
        queries::generate(project, &servers.addresses.postgres, interrupt, write, None)?;
    differing.extend(schemas::generate(project, write)?);
    differing.extend(alerts::generate(project, write)?);

    // The template is a service, but no part of the system.
    let template = (TEMPLATE, project.path("dev/template/service"));
    let services = project
        .services()
        .iter()
        .map(|service| (service.name.as_str(), project.path("services").join(&service.name)));
    let (names, folders): (Vec<&str>, Vec<PathBuf>) = services.chain([template]).unzip();
    for (document, folder) in openapi(project, &names, interrupt)?.into_iter().zip(folders) {
        differing.extend(document_of(&folder, document, write)?);
    }
    differing.extend(generated::generate(project, write)?);
    Ok(differing)
}

/// A database of its own, as far as none is given.
fn database(sandbox: &Sandbox, permission: Permission, interrupt: &Interrupt) -> Result<Servers> {
    let plan = Plan {
        postgres: Source::external_or(
            ExternalAddresses::from_environment("TEST").postgres,
            sandbox.source("postgres"),
        ),
        redis: Source::Unused,
        rabbitmq: Source::Unused,
        rabbitmq_api: None,
    };
    Servers::ready(&plan, permission, interrupt)
}

/// The descriptions of one service's queries, written.
pub(crate) fn queries_of(
    project: &Project,
    service: &str,
    permission: Permission,
    interrupt: &Interrupt,
) -> Result<()> {
    let sandbox = Sandbox::take(project)?;
    let servers = database(&sandbox, permission, interrupt)?;
    let postgres = &servers.addresses.postgres;
    let only = Some(service);
    queries::generate(project, postgres, interrupt, true, only).map(drop)
}

/// The schemas of the events, written; gives the files that changed, from the root.
pub(crate) fn schemas(project: &Project) -> Result<Vec<String>> {
    let files = schemas::generate(project, true)?;
    let files = files.iter().filter_map(|file| file.strip_prefix(project.root()).ok());
    Ok(files.map(|file| file.to_string_lossy().into_owned()).collect())
}

/// The API documents of services, which are built for it, in their order. The template's rules stand beside those
/// of the services.
pub(crate) fn openapi(
    project: &Project,
    services: &[&str],
    interrupt: &Interrupt,
) -> Result<Vec<String>> {
    let mut build = project.cargo();
    build.arg("build").args(services.iter().flat_map(|name| ["-p", *name])).args(UNIFIED);
    programs::succeed(build.arg("--bins"), interrupt)?;
    let rules = ["config/auth.tsk", "dev/template/config/auth.tsk"];
    let rules = rules
        .map(|file| fs::read_to_string(project.path(file)).with_context(|| format!("read {file}")));
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let [ours, of_template] = rules;
    fs::write(folder.path().join("auth.tsk"), ours? + &of_template?).context("write auth.tsk")?;
    let print = |service: &&str| {
        let mut print = Command::new(project.binaries().join(service));
        print.arg("--print-openapi").env("CONFIG_DIR", folder.path());
        programs::output(&mut print)
    };
    services.iter().map(print).collect()
}

/// Keeps a service's API document in its folder.
fn document_of(folder: &Path, document: String, write: bool) -> Result<Vec<PathBuf>> {
    let fresh = BTreeMap::from([("openapi.json".to_owned(), document)]);
    synchronise(folder, &fresh, |name| name == "openapi.json", write)
}

/// Makes the files of `folder` whose names are `ours` the ones in `fresh`, and gives those that
/// differed, were missing or were too many.
fn synchronise(
    folder: &Path,
    fresh: &BTreeMap<String, String>,
    ours: impl Fn(&str) -> bool,
    write: bool,
) -> Result<Vec<PathBuf>> {
    let mut differing = Vec::new();
    for (name, text) in fresh {
        let file = folder.join(name);
        if fs::read_to_string(&file).ok().as_ref() != Some(text) {
            if write {
                fs::create_dir_all(folder)
                    .and_then(|()| fs::write(&file, text))
                    .with_context(|| format!("write {}", file.display()))?;
            }
            differing.push(file);
        }
    }
    for name in names(folder).into_iter().filter(|name| ours(name) && !fresh.contains_key(name)) {
        let file = folder.join(name);
        if write {
            fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
        }
        differing.push(file);
    }
    Ok(differing)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_compared_without_being_changed_and_then_made_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["same.json", "other.json", "extra.json", "readme"] {
            fs::write(path(name), "old").unwrap();
        }
        let fresh = ["same.json", "other.json", "new.json"].map(|name| {
            (name.to_owned(), if name == "same.json" { "old" } else { "fresh" }.to_owned())
        });
        let fresh = BTreeMap::from(fresh);
        let ours = |name: &str| name != "readme";
        let expected = ["new.json", "other.json", "extra.json"].map(path);

        assert_eq!(synchronise(folder.path(), &fresh, ours, false).unwrap(), expected);
        assert_eq!(fs::read_to_string(path("other.json")).unwrap(), "old");
        assert_eq!(synchronise(folder.path(), &fresh, ours, true).unwrap(), expected);
        assert!(synchronise(folder.path(), &fresh, ours, true).unwrap().is_empty());
        assert_eq!(names(folder.path()), ["new.json", "other.json", "readme", "same.json"]);
    }
}
