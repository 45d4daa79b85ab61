//! The tables in the documents that are made of code: the services, the variables that the files in
//! `config/` read, and the commands of this tool.

mod commands;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;
use tusk_config::{variables, variables_table};

use crate::{cli, project::Project, services};

/// The documents that have such a table, each one; the last one does not depend on the settings.
pub(crate) const DOCUMENTS: [&str; 3] = [SERVICES.document, VARIABLES.document, COMMANDS.document];

/// What stands after each table.
const END: &str = "<!-- end of what is made -->";

const SERVICES: Place = Place {
    document: "README.md",
    mark: "<!-- made by `cargo dev prepare` from services.tsk and the API documents -->\n",
};
const VARIABLES: Place = Place {
    document: "docs/settings.md",
    mark: "<!-- made by `cargo dev prepare` from `cargo tusk env config` -->\n",
};
const COMMANDS: Place = Place {
    document: "docs/commands.md",
    mark: "<!-- made by `cargo dev prepare` from the tool's own definitions -->\n",
};

/// Where a table stands.
struct Place {
    document: &'static str,
    /// The line before it.
    mark: &'static str,
}

/// A table made of code.
pub(crate) struct Table {
    place: Place,
    rows: String,
}

impl Table {
    /// The document that it belongs to, from the root.
    pub(crate) fn document(&self) -> &'static str {
        self.place.document
    }

    /// The text of its document with this table in place of the one that is there.
    pub(crate) fn put_into(&self, text: &str) -> Result<String> {
        let Place { document, mark } = self.place;
        let parts = text.split_once(mark).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(END)?;
            Some((before, after))
        });
        let place = || format!("{document} has no place for the table: {}", mark.trim());
        let (before, after) = parts.with_context(place)?;
        Ok(format!("{before}{mark}\n{}\n{END}{after}", self.rows))
    }
}

/// Puts the tables into their documents, or only tells which documents differ.
pub(crate) fn generate(project: &Project, write: bool) -> Result<Vec<PathBuf>> {
    let read =
        |path: &str| fs::read_to_string(project.path(path)).with_context(|| format!("read {path}"));
    let openapi = |service: &str| read(&format!("services/{service}/openapi.json"));
    let mut tables = of_settings(&project.path("config"), openapi)?;
    tables.push(Table { place: COMMANDS, rows: commands::table(cli::definition()) });
    let mut differing = Vec::new();
    for table in tables {
        let (document, text) = (table.document(), read(table.document())?);
        let fresh = table.put_into(&text)?;
        if fresh == text {
            continue;
        }
        let file = project.path(document);
        if write {
            fs::write(&file, fresh).with_context(|| format!("write {document}"))?;
        }
        differing.push(file);
    }
    Ok(differing)
}

/// The tables that say what the settings in a folder and the API document of each service say.
pub(crate) fn of_settings(
    config: &Path,
    openapi: impl Fn(&str) -> Result<String>,
) -> Result<Vec<Table>> {
    let mut rows = vec!["| service | port | what |\n|---|---|---|\n".to_owned()];
    for service in services::read(config)? {
        let name = &service.name;
        let document: Value = serde_json::from_str(&openapi(name)?)
            .with_context(|| format!("read openapi.json of {name}"))?;
        let what = document["info"]["description"].as_str().unwrap_or_default();
        rows.push(format!("| [{name}](services/{name}) | {} | {what} |\n", service.port));
    }
    Ok(vec![
        Table { place: SERVICES, rows: rows.concat() },
        Table { place: VARIABLES, rows: variables_table(&variables([config])?) },
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let (commands, services) = (COMMANDS.mark, SERVICES.mark);
        let text = format!("a\n{commands}old\n{END}\nb\n{services}{END}\n");
        let table = Table { place: COMMANDS, rows: "| new |\n".to_owned() };
        let once = table.put_into(&text).unwrap();
        let expected = format!("a\n{commands}\n| new |\n\n{END}\nb\n{services}{END}\n");
        assert_eq!(once, expected);
        assert_eq!(table.put_into(&once).unwrap(), once);
        let fault = table.put_into("a").unwrap_err().to_string();
        assert!(fault.starts_with("docs/commands.md has no place for the table"), "{fault}");
    }

    #[test]
    fn the_tables_in_the_documents_say_what_the_code_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let write = env::var_os("UPDATE_GOLDEN").is_some();
        let differing = generate(&Project::at(root).unwrap(), write).unwrap();
        assert!(write || differing.is_empty(), "run `cargo dev prepare`: {differing:?}");
    }
}
