//! The graph of the workspace's packages, held to a reviewed file: a new arrow is a decision.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{programs, project::Project};

/// The reviewed graph, under the workspace's root: one `a -> b` per line.
pub(crate) const GOLDEN: &str = "dev/golden/crate-graph.txt";

/// Compares the graph with the reviewed one.
pub(crate) fn check(project: &Project) -> Result<()> {
    let now = arrows(&metadata(project)?)?;
    let text =
        fs::read_to_string(project.path(GOLDEN)).with_context(|| format!("read {GOLDEN}"))?;
    let reviewed: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let lines: Vec<String> = now
        .difference(&reviewed)
        .map(|arrow| format!("  new:  {arrow}"))
        .chain(reviewed.difference(&now).map(|arrow| format!("  gone: {arrow}")))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    bail!(
        "the packages depend on each other otherwise than {GOLDEN} says:\n{}\n\
         if that is meant, say why in ARCHITECTURE.md and run: cargo dev prepare",
        lines.join("\n")
    )
}

/// Writes the graph as it is now.
pub(crate) fn refresh(project: &Project) -> Result<()> {
    let arrows: Vec<String> = arrows(&metadata(project)?)?.into_iter().collect();
    fs::write(project.path(GOLDEN), arrows.join("\n") + "\n")
        .with_context(|| format!("write {GOLDEN}"))
}

/// The names of the workspace's packages.
pub(crate) fn members(project: &Project) -> Result<Vec<String>> {
    let metadata = metadata(project)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    Ok(packages.filter_map(|package| package["name"].as_str().map(str::to_owned)).collect())
}

fn metadata(project: &Project) -> Result<Value> {
    let mut command = project.cargo();
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    serde_json::from_str(&programs::output(&mut command)?).context("read cargo's metadata")
}

/// The normal dependencies between members, sorted. Those of tests and build scripts are left out:
/// they are not in what runs.
fn arrows(metadata: &Value) -> Result<BTreeSet<String>> {
    let packages = metadata["packages"].as_array().context("cargo's metadata has no packages")?;
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    let mut arrows = BTreeSet::new();
    for package in packages {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for dependency in dependencies.filter(|dependency| dependency["kind"].is_null()) {
            let target = name(dependency);
            if members.contains(&target) && dependency["path"].is_string() {
                arrows.insert(format!("{} -> {target}", name(package)));
            }
        }
    }
    Ok(arrows)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_normal_arrows_between_members_count() {
        let metadata = json!({"packages": [
            {"name": "a", "dependencies": [
                {"name": "b", "kind": null, "path": "/b"},
                {"name": "c", "kind": "dev", "path": "/c"},
                {"name": "serde", "kind": null},
            ]},
            {"name": "b", "dependencies": []},
            {"name": "c", "dependencies": []},
        ]});
        assert_eq!(arrows(&metadata).unwrap(), BTreeSet::from(["a -> b".to_owned()]));
    }
}
