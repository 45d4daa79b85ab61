//! What a service remembers of how it was made: `[package.metadata.template]` of its `Cargo.toml`.
//!
//! `cargo dev remove-service` reads it: the names that it was made with, and whether its files still
//! are what was made.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::files::{below, hex};

const HEAD: &str = "\n# What `cargo dev new-service` made this of; `cargo dev remove-service` reads it.\n\
    [package.metadata.template]\n";

/// How a service was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) aggregate: String,
    pub(super) events: Vec<String>,
    /// Of all files of the service, when they were made.
    digest: Option<String>,
}

impl Record {
    pub(super) fn new(aggregate: &str, events: &[String]) -> Self {
        Self { aggregate: aggregate.to_owned(), events: events.to_vec(), digest: None }
    }

    /// The lines for the end of `Cargo.toml`.
    pub(super) fn lines(&self) -> String {
        let events: Vec<String> = self.events.iter().map(|name| format!("{name:?}")).collect();
        let digest = self.digest.as_ref().map(|digest| format!("digest = {digest:?}\n"));
        format!(
            "{HEAD}aggregate = {:?}\nevents = [{}]\n{}",
            self.aggregate,
            events.join(", "),
            digest.unwrap_or_default()
        )
    }

    /// Of the service in this folder; none when it was not made of the template.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        let (_, lines) = text.split_once(HEAD)?;
        let value = |key: &str| {
            let found = lines.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
            found.map(|value| value.trim_matches(['"', '[', ']']).to_owned())
        };
        let events = value("events")?;
        let events = events.split(", ").map(|name| name.trim_matches('"').to_owned());
        let events = events.filter(|name| !name.is_empty()).collect();
        Some(Self { aggregate: value("aggregate")?, events, digest: value("digest") })
    }

    /// Notes what the files are like now: those of the service's folder, and `others` by their paths
    /// from the root.
    pub(super) fn seal(mut self, root: &Path, folder: &str, others: &[String]) -> Result<()> {
        let file = root.join(folder).join("Cargo.toml");
        let text = fs::read_to_string(&file).context("read Cargo.toml of the service")?;
        let (own, _) = text.split_once(HEAD).context("the record is not there any more")?;
        self.digest = Some(digest(root, folder, others)?);
        fs::write(&file, format!("{own}{}", self.lines())).context("write Cargo.toml")
    }

    /// Whether the files are as they were then.
    pub(super) fn holds(&self, root: &Path, folder: &str, others: &[String]) -> Result<bool> {
        Ok(self.digest.as_ref() == Some(&digest(root, folder, others)?))
    }
}

/// Of the names and texts of all files, but for the record itself.
fn digest(root: &Path, folder: &str, others: &[String]) -> Result<String> {
    let mut hash = Sha256::new();
    let others = others.iter().map(|path| root.join(path));
    for file in below(&root.join(folder))?.into_iter().chain(others) {
        let text = fs::read(&file).unwrap_or_default();
        hash.update(file.strip_prefix(root)?.to_string_lossy().as_bytes());
        hash.update([0]);
        match std::str::from_utf8(&text).ok().and_then(|text| text.split_once(HEAD)) {
            Some((own, _)) => hash.update(own.as_bytes()),
            None => hash.update(&text),
        }
        hash.update([0]);
    }
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_again_and_sees_a_change() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("orders");
        fs::create_dir(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("Cargo.toml", "[package]\n");
        write("lib.rs", "//! one\n");
        fs::write(root.path().join("other"), "one").unwrap();
        assert_eq!(Record::read(&folder), None);

        let record = Record::new("order", &["user".to_owned(), "payment".to_owned()]);
        write("Cargo.toml", &format!("[package]\n{}", record.lines()));
        assert_eq!(Record::read(&folder).unwrap(), record);
        let others = ["other".to_owned()];
        record.seal(root.path(), "orders", &others).unwrap();
        let record = Record::read(&folder).unwrap();
        assert_eq!(record.events, ["user", "payment"]);
        let holds = || record.holds(root.path(), "orders", &others).unwrap();
        assert!(holds());

        write("lib.rs", "//! two\n");
        assert!(!holds());
        write("lib.rs", "//! one\n");
        assert!(holds());
        fs::write(root.path().join("other"), "two").unwrap();
        assert!(!holds());
    }
}
