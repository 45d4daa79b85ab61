//! The JSON Schemas of the events, in `crates/contracts/schemas`, for whoever reads or writes our
//! messages without our types.
//!
//! Made of the types by the tests of `contracts`, each of which knows one event. The file of an
//! old version stays where it is: its messages may still come. A change that is not additive is
//! refused.

mod additive;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::synchronise;
use crate::{features::UNIFIED, folder::names, programs, project::Project};

/// Where they are kept.
const FOLDER: &str = "crates/contracts/schemas";
/// The package of the template's events, and where their schemas are kept.
const TEMPLATE: &str = "sample-contracts";
const TEMPLATE_FOLDER: &str = "dev/template/contracts/schemas";

/// Generates the schemas; gives the files that differ.
pub(super) fn generate(project: &Project, write: bool) -> Result<Vec<PathBuf>> {
    println!("schemas of the events");
    let mut differing = of_package(project, "contracts", FOLDER, write)?;
    differing.extend(of_package(project, TEMPLATE, TEMPLATE_FOLDER, write)?);
    Ok(differing)
}

fn of_package(project: &Project, name: &str, folder: &str, write: bool) -> Result<Vec<PathBuf>> {
    let made = tempfile::tempdir().context("make a temporary folder")?;
    let mut command = project.cargo();
    command.args(["test", "--quiet", "-p", name]).args(UNIFIED);
    command.args(["--features", &format!("{name}/schema"), "--lib"]);
    programs::output(command.env("SCHEMAS", made.path()))?;
    let (mut fresh, mut schemas) = (BTreeMap::new(), BTreeMap::new());
    for file in names(made.path()) {
        let text = fs::read_to_string(made.path().join(&file)).context("read a schema")?;
        let schema: Value = serde_json::from_str(&text).with_context(|| format!("read {file}"))?;
        schemas.insert(file.clone(), schema);
        fresh.insert(file, text);
    }
    ensure!(!fresh.is_empty(), "the tests of {name} made no schema");
    if name == TEMPLATE {
        // Its tests know the one of `contracts`, too.
        fresh.retain(|file, _| file != "envelope.json");
    }
    let folder = project.path(folder);
    refuse_breaks(&folder, &schemas)?;
    synchronise(&folder, &fresh, |_| false, write)
}

/// Fails when a message of a version that is checked in would no longer be what it was.
fn refuse_breaks(folder: &Path, schemas: &BTreeMap<String, Value>) -> Result<()> {
    let mut breaks = Vec::new();
    for (name, schema) in schemas {
        let Ok(text) = fs::read_to_string(folder.join(name)) else {
            continue;
        };
        let published = serde_json::from_str(&text).with_context(|| format!("read {name}"))?;
        let found = additive::breaks(&published, schema);
        breaks.extend(found.into_iter().map(|found| format!("  {name}: {found}")));
    }
    if breaks.is_empty() {
        return Ok(());
    }
    bail!(
        "an event changed in a way that breaks who writes or reads it:\n{}\n\
         make it an optional field, or raise the event's VERSION",
        breaks.join("\n")
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_break_is_refused_and_a_new_version_is_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.v1.json"), r#"{"type":"string"}"#).unwrap();
        let schemas = |name: &str| BTreeMap::from([(name.to_owned(), json!({"type": "integer"}))]);

        let refused = refuse_breaks(folder.path(), &schemas("a.v1.json")).unwrap_err().to_string();
        assert!(refused.contains("a.v1.json: `type` changed"), "{refused}");
        refuse_breaks(folder.path(), &schemas("a.v2.json")).unwrap();
    }
}
