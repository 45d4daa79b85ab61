//! The description of every SQL query that sqlx checks at compile time, per crate in its `.sqlx/`.
//!
//! No sqlx-cli is needed: the macros write the descriptions themselves when they see a database and
//! `SQLX_OFFLINE_DIR`. Libraries and binaries are described; tests ask by `sqlx::query(…)`, which is not checked, so
//! that no crate is compiled with its tests for this.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Seek},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::native::psql;

use super::synchronise;
use crate::{
    features::UNIFIED, folder::below, folder::names, interrupt::Interrupt, programs,
    project::Project, template::hex,
};

/// Its tables are in every service's database.
const SHARED: &str = "messaging";
/// How often a crate is compiled at most, while other builds come in between.
const COMPILATIONS_MAX: usize = 5;

/// A crate whose queries are checked.
#[derive(Debug)]
struct Crate {
    name: String,
    folder: PathBuf,
    /// The variable in which its macros look for a database.
    variable: String,
}

/// Generates the descriptions of all crates, or of one; gives the files that differ.
pub(super) fn generate(
    project: &Project,
    superuser: &str,
    interrupt: &Interrupt,
    write: bool,
    only: Option<&str>,
) -> Result<Vec<PathBuf>> {
    let crates = find(project)?;
    let shared = crates.iter().find(|found| found.name == SHARED);
    let mut differing = Vec::new();
    for one in crates.iter().filter(|one| only.is_none_or(|only| only == one.name)) {
        let stamp = project.binaries().with_file_name("prepare").join(&one.name);
        let shared_folder = shared.map(|shared| shared.folder.join("migrations"));
        let known = fs::read_to_string(&stamp).ok();
        if known == Some(digest(project, one, shared_folder.as_deref())?) {
            println!("queries of {}: as they were", one.name);
            continue;
        }
        println!("queries of {}", one.name);
        let database = format!("prepare_{}", one.name.replace('-', "_"));
        psql::run(
            superuser,
            &format!("drop database if exists {database}; create database {database};"),
        )?;
        let url = psql::with_database(superuser, &database);
        for source in shared.into_iter().filter(|shared| shared.name != one.name).chain([one]) {
            migrate(&url, &source.folder.join("migrations"))?;
        }
        let fresh = describe(project, one, &url, interrupt);
        psql::run(superuser, &format!("drop database {database} with (force);"))?;
        let is_query = |name: &str| name.starts_with("query-");
        let other = synchronise(&one.folder.join(".sqlx"), &fresh?, is_query, write)?;
        if write || other.is_empty() {
            let digest = digest(project, one, shared_folder.as_deref())?;
            fs::create_dir_all(stamp.parent().unwrap_or(&stamp))
                .and_then(|()| fs::write(&stamp, digest))
                .with_context(|| format!("write {}", stamp.display()))?;
        } else {
            // What was compiled knows descriptions that are not checked in.
            touch(&one.folder.join("src/lib.rs"))?;
        }
        differing.extend(other);
    }
    Ok(differing)
}

/// The crates with a `sqlx.toml`, the shared one first.
fn find(project: &Project) -> Result<Vec<Crate>> {
    let mut found = Vec::new();
    for base in ["crates", "services", "dev/template"] {
        let base = project.path(base);
        for name in names(&base) {
            let folder = base.join(&name);
            let Ok(settings) = fs::read_to_string(folder.join("sqlx.toml")) else {
                continue;
            };
            let manifest = fs::read_to_string(folder.join("Cargo.toml"))
                .with_context(|| format!("read {name}/Cargo.toml"))?;
            let value =
                |text, key| value(text, key).with_context(|| format!("{name} has no {key}"));
            let variable = value(&settings, "database-url-var")?;
            let name = value(&manifest, "name")?;
            found.push(Crate { name, folder, variable });
        }
    }
    found.sort_by_key(|one| one.name != SHARED);
    Ok(found)
}

/// Of all that the descriptions are made of, and of themselves: while it is the same, so are they.
fn digest(project: &Project, one: &Crate, shared: Option<&Path>) -> Result<String> {
    let mut hash = Sha256::new();
    let inner = ["Cargo.toml", "sqlx.toml", "src", "migrations", ".sqlx"];
    let inner = inner.map(|name| one.folder.join(name));
    let paths = inner.iter().map(PathBuf::as_path).chain(shared);
    for path in paths.chain([project.path("Cargo.lock").as_path()]) {
        let files = if path.is_dir() { below(path)? } else { vec![path.to_owned()] };
        for file in files {
            hash.update(file.to_string_lossy().as_bytes());
            let text = fs::read(&file).unwrap_or_default();
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
    }
    Ok(hex(&hash.finalize()))
}

/// The first text that a key has in a TOML file.
fn value(toml: &str, key: &str) -> Option<String> {
    toml.lines().find_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Applies a folder's migrations in the order of their names.
fn migrate(url: &str, folder: &Path) -> Result<()> {
    let is_forward = |name: &String| {
        name.strip_suffix(".sql").is_some_and(|stem| stem.strip_suffix(".down").is_none())
    };
    for name in names(folder).into_iter().filter(is_forward) {
        let file = folder.join(name);
        let sql = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        psql::run(url, &sql).with_context(|| format!("apply {}", file.display()))?;
    }
    Ok(())
}

/// Has the crate compiled against the database, and gives what its macros wrote. It is the build that
/// `up` and the tests make, so that what it compiles is compiled once. A build that somebody else
/// began in between may have compiled a part of the crate without the database: then once more.
fn describe(
    project: &Project,
    one: &Crate,
    url: &str,
    interrupt: &Interrupt,
) -> Result<BTreeMap<String, String>> {
    for _ in 0..COMPILATIONS_MAX {
        let output = tempfile::tempdir().context("make a temporary folder")?;
        if compile(project, one, (url, output.path()), interrupt)? {
            let read = |name: String| {
                let text = fs::read_to_string(output.path().join(&name));
                Ok((name, text.context("read a description")?))
            };
            return names(output.path()).into_iter().map(read).collect();
        }
    }
    bail!("another build compiles {} again and again: try it when that is over", one.name)
}

/// Compiles a crate's code, with its descriptions written into a folder; false when a part of it was
/// compiled already.
fn compile(
    project: &Project,
    one: &Crate,
    (url, output): (&str, &Path),
    interrupt: &Interrupt,
) -> Result<bool> {
    let mut messages = tempfile::tempfile().context("make a temporary file")?;
    touch(&one.folder.join("src/lib.rs"))?;
    let mut command = project.cargo();
    command
        .args(["build", "--quiet", "--message-format", "json-render-diagnostics", "-p", &one.name])
        .args(UNIFIED)
        .args(["--lib", "--bins"])
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", output)
        .env(&one.variable, url)
        .stdout(messages.try_clone().context("share a temporary file")?);
    programs::succeed(&mut command, interrupt)?;
    let mut text = String::new();
    messages.rewind().and_then(|()| messages.read_to_string(&mut text)).context("read messages")?;
    Ok(!has_fresh(&text, &one.folder.join("Cargo.toml")))
}

/// Whether code of the package was compiled before, by what cargo says of each thing that it has built; its build
/// script has no queries.
fn has_fresh(messages: &str, manifest: &Path) -> bool {
    let mut artifacts =
        messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    artifacts.any(|artifact| {
        let is_own =
            artifact["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest);
        is_own && artifact["fresh"] == true && artifact["target"]["kind"] != json!(["custom-build"])
    })
}

/// Makes cargo compile the crate again: what its macros saw in the environment is no part of what
/// cargo compares.
fn touch(file: &Path) -> Result<()> {
    fs::File::options()
        .append(true)
        .open(file)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .with_context(|| format!("touch {}", file.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_crate_that_was_compiled_before_is_seen_and_its_build_script_is_none() {
        let manifest = Path::new("/w/services/orders/Cargo.toml");
        let message = |folder: &str, kind: &str, fresh: bool| {
            let path = format!("/w/services/{folder}/Cargo.toml");
            let artifact = serde_json::json!({
                "reason": "compiler-artifact", "manifest_path": path, "target": {"kind": [kind]},
                "fresh": fresh,
            });
            format!("{artifact}\n")
        };
        let others = message("users", "lib", true) + &message("orders", "custom-build", true);
        let compiled = message("orders", "lib", false) + "{\"reason\":\"build-finished\"}\n";

        assert!(!has_fresh(&(others.clone() + &compiled), manifest));
        assert!(has_fresh(&(others + &compiled + &message("orders", "bin", true)), manifest));
    }

    #[test]
    fn the_variable_is_read_from_the_settings() {
        let settings = "[common]\ndatabase-url-var = \"ORDERS_DATABASE_URL\"\n";
        assert_eq!(value(settings, "database-url-var").as_deref(), Some("ORDERS_DATABASE_URL"));
        assert_eq!(value("[common]\n", "database-url-var"), None);
    }
}
