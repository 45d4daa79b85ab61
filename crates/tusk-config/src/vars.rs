//! The variables that a configuration may read: the only door to the process environment.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use crate::fault::{Errors, Fault};
use crate::loader::SIZE_MAX;
use crate::syntax::is_name;

/// What some editors write before a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How much of the file behind a `NAME_FILE` variable is read, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// Named variables; either the environment of the process or, in tests, a given set.
///
/// Wherever `NAME` is asked for and not set, the content of the file named by `NAME_FILE` stands in
/// for it (the convention of Docker and Kubernetes secrets). Line ends at the end of that file and a byte
/// order mark at its beginning are no part of the value; white space alone is none.
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
        Self::empty().with_all(all)
    }

    /// These and one more, which replaces one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let variable = Variable { value: value.into(), content: OnceLock::new() };
        self.values.insert(name.into(), variable);
        self
    }

    /// These and more, which replace those of the same names.
    #[must_use]
    pub fn with_all(
        self,
        variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        variables.into_iter().fold(self, |vars, (name, value)| vars.with(name, value))
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
                let path = file.value.clone();
                let reason = reason.clone();
                Err(Unreadable { variable, path, reason })
            }
        }
    }

    /// In words, where the value of `name` comes from; `None` when it is not set.
    pub(crate) fn origin(&self, name: &str) -> Option<String> {
        let own = self.values.get(name).is_some_and(|variable| !variable.value.is_empty());
        let file = self.values.get(&file_name(name)).filter(|file| !file.value.is_empty());
        match (own, file) {
            (true, _) => Some(format!("{name} is set")),
            (false, Some(file)) => {
                let variable = file_name(name);
                let path = file.value.escape_debug();
                Some(format!("{name} is set by the file that {variable} names: {path}"))
            }
            (false, None) => self.values.get(name).map(|_| format!("{name} is set, but empty")),
        }
    }

    /// Adds the variables of a file of lines `NAME=VALUE`, which win over those of the same name.
    ///
    /// Blank lines and lines that begin with `#` are skipped, `export` before a name too. A value
    /// in single quotes is taken as it stands; in double quotes `\n`, `\"`, `\\` and `\$` are
    /// escapes; without quotes it ends at a `#` after a blank and loses blanks at its ends. Errors
    /// name the line and never its value.
    pub fn with_file(self, path: impl AsRef<Path>) -> Result<Self, Errors> {
        let shown = path.as_ref().display();
        let text = crate::loader::read(path.as_ref(), SIZE_MAX)
            .map_err(|error| Fault::error(None, format!("cannot read {shown}: {error}")))?;
        let mut vars = self;
        let mut faults = Vec::new();
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK);
        if unmarked.is_some() {
            let text = format!("{shown}:1: the file begins with a byte order mark (BOM)");
            faults.push(Fault::error(None, text).help("save it as UTF-8 without one"));
        }
        let text = unmarked.unwrap_or(&text);
        for (index, line) in text.lines().enumerate() {
            match assignment(line) {
                Ok(None) => {}
                Ok(Some((name, value))) => vars = vars.with(name, value),
                Err(reason) => {
                    faults.push(Fault::error(None, format!("{shown}:{}: {reason}", index + 1)));
                }
            }
        }
        if faults.is_empty() { Ok(vars) } else { Err(Errors::new(faults)) }
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

/// A line of a file of variables.
fn assignment(line: &str) -> Result<Option<(&str, String)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let exported = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let (name, written) = exported.unwrap_or(line).split_once('=').ok_or("expected NAME=VALUE")?;
    let name = name.trim();
    let value = written.trim();
    if !is_name(name) {
        return Err("expected the name of a variable before `=`");
    }
    let value = match value.as_bytes().first() {
        Some(b'\'') => {
            let (text, rest) = value[1..].split_once('\'').ok_or("nothing closes the quote")?;
            ended(rest)?;
            text.to_owned()
        }
        Some(b'"') => double_quoted(&value[1..])?,
        _ => {
            let mut signs = written.match_indices('#').map(|(at, _)| at);
            let comment = signs.find(|at| written[..*at].ends_with([' ', '\t']));
            written[..comment.unwrap_or(written.len())].trim().to_owned()
        }
    };
    Ok(Some((name, value)))
}

fn double_quoted(value: &str) -> Result<String, &'static str> {
    let mut text = String::new();
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => return ended(rest.as_str()).map(|()| text),
            '\\' => match rest.next() {
                Some('n') => text.push('\n'),
                Some(c @ ('"' | '\\' | '$')) => text.push(c),
                _ => return Err("unknown escape; there are \\n, \\\", \\\\ and \\$"),
            },
            c => text.push(c),
        }
    }
    Err("nothing closes the quote")
}

/// Only a comment may follow a value in quotes.
fn ended(rest: &str) -> Result<(), &'static str> {
    let rest = rest.trim();
    let ended = rest.is_empty() || rest.starts_with('#');
    ended.then_some(()).ok_or("something follows the closing quote")
}

fn read(path: &str) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut content = String::new();
    let limit = FILE_MAX + 1;
    file.take(limit).read_to_string(&mut content).map_err(|error| error.to_string())?;
    if content.len() as u64 > FILE_MAX {
        return Err(format!("longer than {FILE_MAX} bytes"));
    }
    let value = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&content);
    if value.trim().is_empty() {
        return Ok(String::new());
    }
    Ok(value.trim_end_matches(['\r', '\n']).to_owned())
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
    fn a_byte_order_mark_and_line_ends_are_no_part_of_a_value_out_of_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let value = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            let vars = Vars::of([("A_FILE", file.path().to_str().unwrap())]);
            vars.get("A").map(str::to_owned).unwrap()
        };
        assert_eq!(value("\u{feff}hunter2\r\n"), "hunter2");
        assert_eq!(value(" hunter2 \n\n"), " hunter2 ");
        for empty in ["", "\n", "\u{feff}", " \t\r\n", "\u{feff}\r\n"] {
            assert_eq!(value(empty), "", "{empty:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_of_a_file_of_variables_is_reported_as_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\u{feff}A=hunter2\r\nB=2\r\n").unwrap();
        let errors = Vars::empty().with_file(file.path()).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors}");
        assert!(errors.to_string().contains(":1: the file begins with a byte order mark (BOM)"));
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
    }

    #[test]
    fn a_file_of_variables_has_the_usual_forms_and_its_errors_tell_no_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "# c\n\nA=1\nexport B = two words # c\nC='#{x} \"\\n'\nD=\"a\\n\\\"b\\\\\" # c\nE=\nF=a#b\nG= # c\nexport\tH=1\t# c\n";
        std::fs::write(file.path(), text).unwrap();
        let vars = Vars::of([("A", "0"), ("Z", "z")]).with_file(file.path()).unwrap();
        let values = ["A", "B", "C", "D", "E", "F", "G", "H", "Z"];
        let values = values.map(|name| vars.get(name).unwrap());
        let expected = ["1", "two words", "#{x} \"\\n", "a\n\"b\\", "", "a#b", "", "1", "z"];
        assert_eq!(values, expected);
        std::fs::write(file.path(), "A hunter2\n1B=hunter2\nC='hunter2\nD='x' hunter2\nE=\"\\q\"")
            .unwrap();
        let errors = Vars::empty().with_file(file.path()).unwrap_err();
        assert_eq!(errors.len(), 5, "{errors}");
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
    }

    #[test]
    fn debug_shows_names_only() {
        let shown = format!("{:?}", Vars::of([("JWT_SECRET", "hunter2")]));
        assert!(shown.contains("JWT_SECRET") && !shown.contains("hunter2"), "{shown}");
    }
}
