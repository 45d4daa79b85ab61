//! The features of third-party crates, the same in every build of this workspace.
//!
//! Cargo turns on, for each choice of packages, the features that just these packages ask for; a crate whose
//! features differ is compiled again, and so is all that depends on it: the tests of `cache` after those of
//! the workspace would compile 82 units of third-party crates. So [`UNIFIED`] stands beside every choice: a package
//! that asks for all features and of which nothing is ever compiled. Images are built without it, with the few
//! features that the services themselves need.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use crate::{graph, programs, project::Project, services};

/// What follows a choice of packages (`-p NAME`) of a build in cargo's profiles `dev` and `test`.
pub(crate) const UNIFIED: [&str; 2] = ["-p", "workspace-hack"];
const MANIFEST: &str = "dev/workspace-hack/Cargo.toml";

/// A crate with its version, and the sets of features that it is compiled with.
type Features = BTreeMap<String, BTreeSet<String>>;

/// Compares the features of third-party crates in each build that is made with those in the build of the
/// workspace's tests; names the crates that differ.
pub(crate) fn check(project: &Project) -> Result<()> {
    let tests = "normal,build,dev";
    let reference = tree(project, tests, &["--workspace", "--exclude", "bench"])?;
    let mut lines: Vec<String> = several(&reference);
    lines.extend(differing("all targets", &tree(project, tests, &["--workspace"])?, &reference));
    for package in graph::members(project)?.iter().filter(|name| *name != "bench") {
        let features = tree(project, tests, &[&["-p", package], &UNIFIED[..]].concat())?;
        lines.extend(differing(&format!("tests of {package}"), &features, &reference));
    }
    let chosen = services::packages(project);
    let chosen: Vec<&str> = chosen.iter().map(String::as_str).collect();
    for (build, choice) in [("the services", chosen.as_slice()), ("dev", &["-p", "dev"])] {
        let features = tree(project, "normal,build", choice)?;
        lines.extend(differing(build, &features, &reference));
    }
    if lines.is_empty() {
        return Ok(());
    }
    bail!(
        "third-party crates are compiled more than once, with other features:\n{}\n\
         add what is missing to {MANIFEST} (for dev: to dev/Cargo.toml)",
        lines.join("\n")
    )
}

/// The crates that are compiled with several sets of features in one build: for what runs, and for what
/// runs while it is compiled (macros, build scripts).
fn several(features: &Features) -> Vec<String> {
    let several = features.iter().filter(|(_, sets)| sets.len() > 1);
    several
        .map(|(name, sets)| {
            let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
            format!("  {name} within one build: {}", sets.join(" | "))
        })
        .collect()
}

fn differing(build: &str, features: &Features, reference: &Features) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, sets) in features {
        let known = reference.get(name);
        for set in sets.iter().filter(|set| known.is_some_and(|known| !known.contains(*set))) {
            let known: Vec<&str> = known.into_iter().flatten().map(String::as_str).collect();
            lines.push(format!("  {name} in {build}: {set}; in the tests: {}", known.join(" | ")));
        }
    }
    lines
}

/// The third-party crates of a choice of packages, as cargo resolves it.
fn tree(project: &Project, edges: &str, choice: &[&str]) -> Result<Features> {
    let mut command = project.cargo();
    command.args(["tree", "--offline", "--prefix", "none", "--format", "{p}\t{f}"]);
    Ok(parse(&programs::output(command.args(["--edges", edges]).args(choice))?))
}

fn parse(tree: &str) -> Features {
    let mut found = Features::new();
    for line in tree.lines() {
        let line = line.strip_suffix(" (*)").unwrap_or(line);
        let Some((package, features)) = line.split_once('\t') else { continue };
        // Those of the workspace bear their path; a macro is one whoever uses it.
        let package = package.strip_suffix(" (proc-macro)").unwrap_or(package);
        if !package.contains(" (") {
            found.entry(package.to_owned()).or_default().insert(features.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
cache v1.0.0 (/work/crates/cache)\tdefault
redis v1.8.1\taio,tls
serde_derive v1.0.229 (proc-macro)\tdefault
syn v3.0.10\tfull (*)

redis v1.8.1\taio,tls (*)
syn v3.0.10\tfold,full
";

    #[test]
    fn crates_of_others_are_read_with_every_set_of_their_features() {
        let read = parse(TREE);
        let names: Vec<&str> = read.keys().map(String::as_str).collect();
        assert_eq!(names, ["redis v1.8.1", "serde_derive v1.0.229", "syn v3.0.10"]);
        assert_eq!(several(&read), ["  syn v3.0.10 within one build: fold,full | full"]);
    }

    #[test]
    fn a_crate_that_differs_is_named_and_one_that_the_tests_do_not_have_is_not() {
        let reference = parse("redis v1.8.1\taio,tls\n");
        let features = parse("redis v1.8.1\taio\ntoml v1.2.1\tdisplay\n");
        let lines = differing("dev", &features, &reference);
        assert_eq!(lines, ["  redis v1.8.1 in dev: aio; in the tests: aio,tls"]);
        assert!(differing("dev", &reference, &reference).is_empty());
    }
}
