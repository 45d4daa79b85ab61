//! What a service remembers of how it was made: `[package.metadata.template]` of its `Cargo.toml`, by which
//! `cargo dev remove-service` knows what was made.

use std::{fs, path::Path};

const HEAD: &str = "\n# What `cargo dev new-service` made this of; `cargo dev remove-service` reads it.\n\
    [package.metadata.template]\n";

/// How a service was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) aggregate: String,
    pub(super) events: Vec<String>,
}

impl Record {
    pub(super) fn new(aggregate: &str, events: &[String]) -> Self {
        Self { aggregate: aggregate.to_owned(), events: events.to_vec() }
    }

    /// The lines for the end of `Cargo.toml`.
    pub(super) fn lines(&self) -> String {
        let events: Vec<String> = self.events.iter().map(|name| format!("{name:?}")).collect();
        format!("{HEAD}aggregate = {:?}\nevents = [{}]\n", self.aggregate, events.join(", "))
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
        Some(Self { aggregate: value("aggregate")?, events })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(folder.path().join("Cargo.toml"), text).unwrap();
        write("[package]\n");
        assert_eq!(Record::read(folder.path()), None);
        let record = Record::new("order", &["user".to_owned(), "payment".to_owned()]);
        write(&format!("[package]\n{}", record.lines()));
        assert_eq!(Record::read(folder.path()).unwrap(), record);
    }
}
