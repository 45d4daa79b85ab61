//! The template's files as they are for one service.
//!
//! | in `dev/template/` | in the workspace |
//! |---|---|
//! | `service/` | `services/<name>/` |
//! | `contracts/` | `crates/contracts/`: what bears the template's name |
//! | `config/` | `config/` |
//! | `wiring/` | the same path from the root |
//! | `event/`, `route/*/` | the same, once such a thing is added to a service |
//!
//! A file that bears the template's name, or is the service's, is a new one; any other is a fragment
//! of the file that is there.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    FOLDER,
    optional::choose,
    parts::{Language, Piece},
    plan::Plan,
    words::Words,
};
use crate::folder::below;

/// Where the template's contracts are, as its `Cargo.toml` says it and as a service does.
const CONTRACTS: [&str; 2] = [
    "contracts = { package = \"sample-contracts\", path = \"../contracts\" }",
    "contracts.workspace = true",
];

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
            let is_fragment =
                !path.starts_with("crates/contracts/") || inner.starts_with("wiring/");
            if is_own || words.are_in(&path) || is_fragment {
                files.lay(&file, &path, is_own, words, chosen)?;
            }
        }
        Ok(files)
    }

    /// Renders what is added to a service that is there: folders of the template whose files stand
    /// at their paths from the root.
    pub(super) fn addition(
        root: &Path,
        folders: &[&str],
        words: &Words,
        chosen: &[String],
    ) -> Result<Self> {
        let mut files = Self::default();
        for folder in folders {
            let folder = root.join(FOLDER).join(folder);
            for file in below(&folder)? {
                let path = file.strip_prefix(&folder)?.to_string_lossy().into_owned();
                files.lay(&file, &path, false, words, chosen)?;
            }
        }
        Ok(files)
    }

    /// Takes up a file of the template for a path of the workspace: a new one, or pieces of one that is there.
    fn lay(
        &mut self,
        file: &Path,
        path: &str,
        is_own: bool,
        words: &Words,
        chosen: &[String],
    ) -> Result<()> {
        let place = || file.display().to_string();
        let text = fs::read_to_string(file).with_context(place)?;
        let text = choose(&text, chosen).with_context(place)?;
        if text.trim().is_empty() {
            return Ok(());
        }
        if is_own || words.are_in(path) {
            let (path, text) = rendered(path, &text, words).with_context(place)?;
            self.new.push((words.rename(&path), text));
        } else {
            let language = Language::of(path).context("it is in no language that is known");
            let language = language.with_context(place)?;
            let pieces = language.pieces(&text, words).with_context(place)?.into_iter();
            self.pieces.extend(pieces.map(|piece| (words.rename(path), language, piece)));
        }
        Ok(())
    }

    /// The pieces that are as asked, with the files that they belong to: `docker-compose.yml:
    /// services / …`.
    pub(super) fn pieces_that(
        &self,
        root: &Path,
        is_so: impl Fn(Language, &str, &Piece) -> Result<bool>,
    ) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for (path, language, piece) in &self.pieces {
            let text = Plan::of(root).existing(path)?;
            if is_so(*language, &text, piece).with_context(|| path.clone())? {
                found.push(format!("{path}: {}", piece.shown()));
            }
        }
        Ok(found)
    }

    /// All of it written, the Rust of it as `cargo fmt` has it.
    pub(super) fn added(&self, root: &Path) -> Result<Plan> {
        let mut plan = Plan::of(root);
        for (path, text) in &self.new {
            ensure!(!root.join(path).exists(), "{path} is there: move it away first");
            plan.set(path, Some(text.clone()))?;
        }
        for (path, language, piece) in &self.pieces {
            let text = plan.existing(path)?;
            let text = language.add(&text, piece).with_context(|| path.clone())?;
            plan.set(path, Some(text))?;
        }
        let paths = self.new.iter().map(|(path, _)| path);
        let paths = paths.chain(self.pieces.iter().map(|(path, ..)| path));
        for path in paths.filter(|path| ends_in(path, "rs")).collect::<BTreeSet<_>>() {
            let text = plan.existing(path)?;
            let text = formatted(root, &text).with_context(|| format!("format {path}"))?;
            plan.set(path, Some(text))?;
        }
        Ok(plan)
    }
}

/// As `cargo fmt` writes it: other names are longer or shorter, and sort otherwise.
pub(super) fn formatted(root: &Path, text: &str) -> Result<String> {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--quiet", "--edition", "2024", "--config-path"]).arg(root);
    let mut process = rustfmt
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start rustfmt; get it by: rustup component add rustfmt")?;
    if let Some(mut input) = process.stdin.take() {
        input.write_all(text.as_bytes()).context("hand it to rustfmt")?;
    }
    let output = process.wait_with_output().context("wait for rustfmt")?;
    ensure!(output.status.success(), "rustfmt failed ({})", output.status);
    String::from_utf8(output.stdout).context("read what rustfmt gave")
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
    let old = read("query")?;
    let hash = read("hash")?;
    let new = words.rename(old);
    let fresh = hex(&Sha256::digest(&new));
    // The query last: nothing in it is to be replaced twice.
    let (before, after) =
        text.split_once(&serde_json::to_string(old)?).context("its query is written otherwise")?;
    let rest = |text: &str| words.rename(text).replace(hash, &fresh);
    let text = format!("{}{}{}", rest(before), serde_json::to_string(&new)?, rest(after));
    Ok((format!("query-{fresh}.json"), text))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Whether a file's name ends so.
pub(crate) fn ends_in(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == ending)
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
}
