//! The template's files as they are for one service.
//!
//! | in `dev/template/` | in the workspace |
//! |---|---|
//! | `service/` | `services/<name>/` |
//! | `contracts/` | `crates/contracts/`: what bears the template's name |
//! | `config/` | `config/` |
//! | `wiring/` | the same path from the root |
//!
//! A file that bears the template's name, or is the service's, is a new one; any other is a fragment
//! of the file that is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    FOLDER,
    optional::choose,
    parts::{Language, Piece},
    words::Words,
};

/// Where the template's contracts are, as its `Cargo.toml` says it and as a service does.
const CONTRACTS: [&str; 2] = [
    "contracts = { package = \"sample-contracts\", path = \"../contracts\" }",
    "contracts.workspace = true",
];

/// Folders of others.
const NOT_OURS: [&str; 3] = ["target", ".dev", ".git"];

/// What the template makes of one service.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Paths from the root, and texts.
    pub(super) new: Vec<(String, String)>,
    /// Paths of files that are there, and what they get.
    pub(super) pieces: Vec<(String, Language, Piece)>,
}

impl Files {
    /// Renders the template. `chosen`: what its optional parts ask for.
    pub(super) fn render(
        root: &Path,
        service: &str,
        words: &Words,
        chosen: &[String],
    ) -> Result<Self> {
        let template = root.join(FOLDER);
        let mut files = Self::default();
        for file in below(&template)? {
            let inner = file.strip_prefix(&template)?.to_string_lossy().into_owned();
            let Some((path, is_own)) = target(&inner, service) else {
                continue;
            };
            let place = || format!("{FOLDER}/{inner}");
            let text = fs::read_to_string(&file).with_context(place)?;
            let text = choose(&text, chosen).with_context(place)?;
            if text.trim().is_empty() {
                continue;
            }
            if is_own || words.are_in(&path) {
                let (path, text) = rendered(&path, &text, words).with_context(place)?;
                files.new.push((words.rename(&path), text));
            } else if !path.starts_with("crates/contracts/") || inner.starts_with("wiring/") {
                let language = Language::of(&path).with_context(place)?;
                let pieces = language.pieces(&text, words).with_context(place)?;
                let pieces = pieces.into_iter().map(|piece| (path.clone(), language, piece));
                files.pieces.extend(pieces);
            }
        }
        Ok(files)
    }
}

/// Where a file of the template belongs, and whether it is of the service's own folder.
fn target(inner: &str, service: &str) -> Option<(String, bool)> {
    let (part, rest) = inner.split_once('/')?;
    Some(match part {
        "service" => (format!("services/{service}/{rest}"), true),
        "contracts" => (format!("crates/contracts/{rest}"), false),
        "config" => (format!("config/{rest}"), false),
        "wiring" => (rest.to_owned(), false),
        _ => return None,
    })
}

fn rendered(path: &str, text: &str, words: &Words) -> Result<(String, String)> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name.starts_with("query-") && folder.ends_with("/.sqlx") {
        let (name, text) = query(text, words)?;
        return Ok((format!("{folder}/{name}"), text));
    }
    if name == "Cargo.toml" {
        return Ok((path.to_owned(), words.rename(&text.replace(CONTRACTS[0], CONTRACTS[1]))));
    }
    let text = words.rename(text);
    if folder.ends_with("/schemas") {
        // Sorted by name, as `cargo dev prepare` writes it.
        let schema: Value = serde_json::from_str(&text)?;
        return Ok((path.to_owned(), serde_json::to_string_pretty(&schema)? + "\n"));
    }
    Ok((path.to_owned(), text))
}

/// What sqlx knows of a query. It is found by the hash of the query, which is another one now.
fn query(text: &str, words: &Words) -> Result<(String, String)> {
    let known: Value = serde_json::from_str(text)?;
    let read = |key: &str| known[key].as_str().with_context(|| format!("it has no `{key}`"));
    let (old, hash) = (read("query")?, read("hash")?);
    let new = words.rename(old);
    let fresh = hex(&Sha256::digest(&new));
    // The query last: nothing in it is to be replaced twice.
    let (before, after) =
        text.split_once(&serde_json::to_string(old)?).context("its query is written otherwise")?;
    let rest = |text: &str| words.rename(text).replace(hash, &fresh);
    let text = format!("{}{}{}", rest(before), serde_json::to_string(&new)?, rest(after));
    Ok((format!("query-{fresh}.json"), text))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Whether a file's name ends so.
pub(super) fn ends_in(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == ending)
}

/// All files below a folder, sorted, but for what is built, left behind, or git's.
pub(super) fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            // A link leads to a file that is found elsewhere, or is none of ours.
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_file() {
                files.push(path);
            } else if kind.is_dir() && !NOT_OURS.iter().any(|name| path.ends_with(name)) {
                folders.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn orders() -> Words {
        Words::new("orders-service", "order", "orders", 3004)
    }

    #[test]
    fn a_query_keeps_its_form_and_gets_the_hash_of_its_new_text() {
        let query_of = |sql: &str| {
            let hash = hex(&Sha256::digest(sql));
            let query = serde_json::to_string(sql).unwrap();
            let text = format!("{{\n  \"query\": {query},\n  \"hash\": \"{hash}\"\n}}\n");
            (format!("query-{hash}.json"), text)
        };
        let (_, old) = query_of("select id from\nsamples where title = \"x\"");
        let expected = query_of("select id from\norders where title = \"x\"");
        assert_eq!(query(&old, &orders()).unwrap(), expected);
    }

    #[test]
    fn a_file_belongs_where_the_table_says() {
        let path = |inner: &str| target(inner, "orders-service").map(|(path, _)| path);
        assert_eq!(
            path("service/src/lib.rs").as_deref(),
            Some("services/orders-service/src/lib.rs")
        );
        assert_eq!(path("contracts/golden/x").as_deref(), Some("crates/contracts/golden/x"));
        assert_eq!(path("config/auth.tsk").as_deref(), Some("config/auth.tsk"));
        assert_eq!(path("wiring/k8s/base/x.yaml").as_deref(), Some("k8s/base/x.yaml"));
        assert_eq!(path("README.md"), None);
    }
}
