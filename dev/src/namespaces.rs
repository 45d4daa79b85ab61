//! Systems beside each other in one checkout, each with data, secrets, logs, mails and ports of its own:
//! `.dev/namespaces/NAME` instead of `.dev`.

use std::{env, path::Path};

use anyhow::{Result, bail};

use crate::{
    folder::names,
    project::Project,
    state::{Process, State},
    unrecorded,
};

/// The variable that names one, for a shell that works on it.
pub(crate) const VARIABLE: &str = "DEV_NAMESPACE";
/// The folder of their folders, under `.dev`.
pub(crate) const FOLDER: &str = "namespaces";
const LENGTH_MAX: usize = 32;

/// Reads a name: it is a folder's, and part of commands that are shown.
pub(crate) fn parse(name: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > LENGTH_MAX || name.starts_with('-') {
        return Err(format!(
            "a namespace has 1 to {LENGTH_MAX} characters, and none begins with -"
        ));
    }
    if !name.chars().all(is_allowed) {
        return Err("a namespace is made of a to z, 0 to 9 and -".to_owned());
    }
    Ok(name.to_owned())
}

/// The one that the command line names, else the variable; none when that is absent or empty.
pub(crate) fn chosen(flag: Option<String>) -> Result<Option<String>> {
    let variable = || env::var(VARIABLE).ok().filter(|name| !name.is_empty());
    match flag.or_else(variable).map(|name| parse(&name)).transpose() {
        Ok(name) => Ok(name),
        Err(why) => bail!("{VARIABLE}: {why}"),
    }
}

/// The other systems of this checkout of which something runs, by what shows them.
pub(crate) fn others_up(project: &Project) -> Vec<String> {
    let mut names: Vec<Option<String>> = vec![None];
    names.extend(known(project.root()).into_iter().map(Some));
    names
        .into_iter()
        .filter(|name| name.as_deref() != project.namespace())
        .map(|name| project.clone().in_namespace(name))
        .filter(is_up)
        .map(|other| match other.namespace() {
            Some(name) => format!("namespace {name} is up, too: {}", other.command("status")),
            None => "the system without a namespace is up, too: cargo dev status".to_owned(),
        })
        .collect()
}

/// The names of those that have a folder, sorted.
fn known(root: &Path) -> Vec<String> {
    let mut names = names(&root.join(".dev").join(FOLDER));
    names.retain(|name| parse(name).is_ok());
    names
}

fn is_up(project: &Project) -> bool {
    let state = State::load(project).ok().flatten();
    let recorded = state.iter().flat_map(|state| &state.processes);
    recorded.into_iter().any(Process::is_running)
        || !unrecorded::find(project, state.as_ref()).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path_and_no_flag() {
        for name in ["a", "feature-12", &"a".repeat(LENGTH_MAX)] {
            assert!(parse(name).is_ok(), "{name}");
        }
        for name in ["", "..", "a/b", "A", "a b", "-a", "ä", &"a".repeat(LENGTH_MAX + 1)] {
            assert!(parse(name).is_err(), "{name}");
        }
    }
}
