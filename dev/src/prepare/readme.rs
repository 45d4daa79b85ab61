//! The lists in the README: the services, and the variables that the files in `config/` read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tusk_config::{variables, variables_table};

use crate::{project::Project, services};

/// The file that has the lists.
const README: &str = "README.md";
/// What stands before and after each of them there.
const VARIABLES: &str = "<!-- made by `cargo dev prepare` from `cargo tusk env config` -->\n";
const SERVICES: &str = "<!-- made by `cargo dev prepare` from services.tsk and the documents -->\n";
const END: &str = "<!-- end of what is made -->";

/// Puts the lists into the README, or only tells whether they differ.
pub(crate) fn generate(project: &Project, write: bool) -> Result<Vec<PathBuf>> {
    let file = project.path(README);
    let text = fs::read_to_string(&file).with_context(|| format!("read {README}"))?;
    let document = |service: &str| {
        let path = format!("services/{service}/openapi.json");
        fs::read_to_string(project.path(&path)).with_context(|| format!("read {path}"))
    };
    let fresh = with_lists(&text, &project.path("config"), document)?;
    if fresh == text {
        return Ok(Vec::new());
    }
    if write {
        fs::write(&file, fresh).with_context(|| format!("write {README}"))?;
    }
    Ok(vec![file])
}

/// The README with what the settings in a folder and the document of each service say.
pub(crate) fn with_lists(
    text: &str,
    config: &Path,
    document: impl Fn(&str) -> Result<String>,
) -> Result<String> {
    let mut rows = vec!["| service | port | what |\n|---|---|---|\n".to_owned()];
    for service in services::read(config)? {
        let name = &service.name;
        let document: Value = serde_json::from_str(&document(name)?)
            .with_context(|| format!("read openapi.json of {name}"))?;
        let what = document["info"]["description"].as_str().unwrap_or_default();
        rows.push(format!("| [{name}](services/{name}) | {} | {what} |\n", service.port));
    }
    let text = with_table(text, SERVICES, &rows.concat())?;
    with_table(&text, VARIABLES, &variables_table(&variables([config])?))
}

fn with_table(text: &str, begin: &str, table: &str) -> Result<String> {
    let parts = text.split_once(begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    match parts {
        Some((before, after)) => Ok(format!("{before}{begin}\n{table}\n{END}{after}")),
        None => bail!("{README} has no place for the table: {}", begin.trim()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("a\n{VARIABLES}old\n{END}\nb\n{SERVICES}{END}\n");
        let once = with_table(&text, VARIABLES, "| new |\n").unwrap();
        let expected = format!("a\n{VARIABLES}\n| new |\n\n{END}\nb\n{SERVICES}{END}\n");
        assert_eq!(once, expected);
        assert_eq!(with_table(&once, VARIABLES, "| new |\n").unwrap(), once);
        assert!(with_table("a", VARIABLES, "b").is_err());
    }
}
