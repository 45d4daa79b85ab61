//! The variables that a configuration may read: the only door to the process environment.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::sync::OnceLock;

/// How much of the file behind a `NAME_FILE` variable is read, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// Named variables; either the environment of the process or, in tests, a given set.
///
/// Wherever `NAME` is asked for and not set, the content of the file named by `NAME_FILE` stands in
/// for it (the convention of Docker and Kubernetes secrets). Line ends at the end of that file are
/// dropped.
#[derive(Clone, Default)]
pub struct Vars {
    values: BTreeMap<String, Variable>,
}

#[derive(Clone)]
struct Variable {
    value: String,
    /// Content of the file that `value` names, read when first asked for.
    content: OnceLock<Result<String, String>>,
}

/// A `NAME_FILE` variable whose file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) variable: String,
    pub(crate) path: String,
    pub(crate) reason: String,
}

impl Vars {
    /// The environment of this process. Variables that are not UTF-8 are left out.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    pub fn process() -> Self {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::of(std::env::vars_os().filter_map(unicode))
    }

    /// No variables at all.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// These variables only.
    #[must_use]
    pub fn of<N: Into<String>, V: Into<String>>(all: impl IntoIterator<Item = (N, V)>) -> Self {
        all.into_iter().fold(Self::empty(), |vars, (name, value)| vars.with(name, value))
    }

    /// These and one more, which replaces one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let variable = Variable { value: value.into(), content: OnceLock::new() };
        self.values.insert(name.into(), variable);
        self
    }

    /// These and one more, unless `name` (or the file for it, `name_FILE`) is set already.
    #[must_use]
    pub fn with_default(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        let set = self.values.contains_key(&name) || self.values.contains_key(&file_name(&name));
        if set { self } else { self.with(name, value) }
    }

    /// The value of `name`, or the content of the file named by `name_FILE`; `None` when neither is
    /// set or the file cannot be read.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.lookup(name).ok().flatten()
    }

    /// As [`Vars::get`], telling an unreadable file from an unset variable. An empty `NAME` yields
    /// to `NAME_FILE`, as in the entry points of the usual images.
    pub(crate) fn lookup(&self, name: &str) -> Result<Option<&str>, Unreadable> {
        let plain = self.values.get(name).map(|variable| variable.value.as_str());
        if plain.is_some_and(|value| !value.is_empty()) {
            return Ok(plain);
        }
        let variable = file_name(name);
        let Some(file) = self.values.get(&variable).filter(|file| !file.value.is_empty()) else {
            return Ok(plain);
        };
        match file.content.get_or_init(|| read(&file.value)) {
            Ok(content) => Ok(Some(content)),
            Err(reason) => {
                let (path, reason) = (file.value.clone(), reason.clone());
                Err(Unreadable { variable, path, reason })
            }
        }
    }

    /// The names of all variables, for suggestions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}

/// Names only: any value may be a secret.
impl fmt::Debug for Vars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

fn file_name(name: &str) -> String {
    format!("{name}_FILE")
}

fn read(path: &str) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut content = String::new();
    let limit = FILE_MAX + 1;
    file.take(limit).read_to_string(&mut content).map_err(|error| error.to_string())?;
    if content.len() as u64 > FILE_MAX {
        return Err(format!("longer than {FILE_MAX} bytes"));
    }
    content.truncate(content.trim_end_matches(['\r', '\n']).len());
    Ok(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_default_yields_to_a_set_variable_and_to_its_file() {
        let vars = Vars::of([("A", "1"), ("B_FILE", "/nowhere")]);
        let vars = vars.with_default("A", "2").with_default("B", "2").with_default("C", "2");
        assert_eq!(vars.get("A"), Some("1"));
        assert_eq!(vars.get("B"), None);
        assert_eq!(vars.get("C"), Some("2"));
    }

    #[test]
    fn the_file_stands_in_for_an_unset_or_empty_variable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from the file\n").unwrap();
        let path = file.path().to_str().unwrap();
        let vars = Vars::of([("A_FILE", path), ("B", ""), ("B_FILE", path), ("C", "own")]);
        let vars = vars.with("C_FILE", path);
        assert_eq!(vars.get("A"), Some("from the file"));
        assert_eq!(vars.get("B"), Some("from the file"));
        assert_eq!(vars.get("C"), Some("own"));
    }

    #[test]
    fn debug_shows_names_only() {
        let shown = format!("{:?}", Vars::of([("JWT_SECRET", "hunter2")]));
        assert!(shown.contains("JWT_SECRET") && !shown.contains("hunter2"), "{shown}");
    }
}
