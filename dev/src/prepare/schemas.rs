//! The JSON Schemas of the events, in `crates/contracts/schemas`, for whoever reads or writes our
//! messages without our types.
//!
//! Made of the types by an example of `contracts`, which alone builds what that takes. The file of an
//! old version stays where it is: its messages may still come. A change that is not additive is
//! refused.

mod additive;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::synchronise;
use crate::{project::Project, run};

/// Where they are kept.
const FOLDER: &str = "crates/contracts/schemas";

/// Generates the schemas; gives the files that differ.
pub(super) fn generate(project: &Project, write: bool) -> Result<Vec<PathBuf>> {
    println!("schemas of the events");
    let mut command = project.cargo();
    command.args(["run", "--quiet", "-p", "contracts", "--features", "schema"]);
    command.args(["--example", "schemas"]);
    let printed = run::output(&mut command)?;
    let schemas: BTreeMap<String, Value> =
        serde_json::from_str(&printed).context("read the schemas of contracts")?;
    let folder = project.path(FOLDER);
    refuse_breaks(&folder, &schemas)?;
    let mut fresh = BTreeMap::new();
    for (name, schema) in schemas {
        fresh.insert(name, serde_json::to_string_pretty(&schema)? + "\n");
    }
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
