//! Checks files without loading them into anything: what `tusk check` does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::config::Config;
use crate::evaluate::{Context, NoValue, Value};
use crate::fault::{Fault, Severity};
use crate::loader::{SIZE_MAX, read};
use crate::tree::{Entry, Expr, Node, Part, Table};
use crate::vars::Vars;

/// How deep folders are gone into.
const FOLDERS_MAX: usize = 16;

/// What to look for.
///
/// Always: grammar, references that lead nowhere or in a circle, operators that nothing evaluates,
/// keys given twice or without a value (warnings), and texts that look like something else
/// (warnings).
#[derive(Debug, Clone, Default)]
pub struct Check {
    strict: bool,
    vars: Option<Vars>,
}

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// Errors and warnings, file by file.
    pub faults: Vec<Fault>,
    /// How many files were read.
    pub files: usize,
    /// The variables that the files name.
    pub variables: BTreeSet<String>,
}

impl Report {
    /// Something is wrong, rather than odd.
    pub fn has_errors(&self) -> bool {
        self.faults.iter().any(|fault| fault.severity() == Severity::Error)
    }
}

impl Check {
    /// A check of the files alone: variables are taken as set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A key given twice or without a value is an error.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Evaluates everything with these variables, so that unset and mistyped ones are errors.
    #[must_use]
    pub fn resolve(mut self, vars: Vars) -> Self {
        self.vars = Some(vars);
        self
    }

    /// Checks these files, and all `*.tsk` files in these folders and their sub-folders.
    ///
    /// A reference may lead to any file of the check, because services load several together; an
    /// overlay `environments/<name>/x.tsk` is read over the `x.tsk` it belongs to.
    pub fn run<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Report {
        let (mut files, mut faults) = (Vec::new(), Vec::new());
        for path in paths {
            let before = files.len();
            if let Err(error) = collect(path.as_ref(), FOLDERS_MAX, true, &mut files) {
                let text = format!("cannot read {}: {error}", path.as_ref().display());
                faults.push(Fault::error(None, text));
            } else if files.len() == before {
                let text = format!("no .tsk file in {}", path.as_ref().display());
                faults.push(Fault::error(None, text));
            }
        }
        let mut texts = Vec::new();
        for path in files {
            match read(&path, SIZE_MAX) {
                Ok(text) => texts.push((path, text)),
                Err(error) => {
                    faults.push(Fault::error(
                        None,
                        format!("cannot read {}: {error}", path.display()),
                    ));
                }
            }
        }
        let mut report = Report { faults, files: texts.len(), variables: BTreeSet::new() };
        for index in 0..texts.len() {
            self.file(index, &texts, &mut report);
        }
        report
    }

    fn file(&self, index: usize, files: &[(PathBuf, String)], report: &mut Report) {
        let path = &files[index].0;
        let base = base(path);
        let own = files.iter().filter(|(other, _)| Some(other) == base.as_ref());
        let alone = self.values(own, &files[index], &mut report.variables);
        let mut found = match alone {
            found if found.iter().any(|fault| fault.severity() == Severity::Error) => {
                let others = files.iter().filter(|(other, _)| other != path);
                self.values(others, &files[index], &mut report.variables)
            }
            found => found,
        };
        found.sort_by_key(Fault::position);
        report.faults.append(&mut found);
    }

    /// The faults of one file, read over others.
    fn values<'f>(
        &self,
        others: impl Iterator<Item = &'f (PathBuf, String)>,
        (path, text): &(PathBuf, String),
        variables: &mut BTreeSet<String>,
    ) -> Vec<Fault> {
        let mut config = Config::new(self.vars.clone().unwrap_or_default());
        for (path, text) in others {
            config.add(path.display().to_string(), text.clone());
        }
        config.faults.clear();
        config.add(path.display().to_string(), text.clone());
        let mut faults = std::mem::take(&mut config.faults);
        if self.strict {
            for fault in &mut faults {
                fault.severity = Severity::Error;
            }
        }
        let context = Context { assume_set: self.vars.is_none(), ..config.context() };
        let source = u32::try_from(config.sources.names().count() - 1).unwrap_or(u32::MAX);
        let mut values = Values { context, source, strict: self.strict, faults, variables };
        values.table(&config.globals, &mut Vec::new());
        values.table(&config.root, &mut Vec::new());
        values.faults
    }
}

/// Goes through all values of one file.
struct Values<'a, 't> {
    context: Context<'t>,
    /// Only what stands in this file is looked at.
    source: u32,
    strict: bool,
    faults: Vec<Fault>,
    variables: &'a mut BTreeSet<String>,
}

impl<'t> Values<'_, 't> {
    fn table(&mut self, table: &'t Table, scope: &mut Vec<&'t Table>) {
        scope.push(table);
        for entry in table.entries() {
            self.lint(entry, table);
            self.node(&entry.value, scope);
        }
        scope.pop();
    }

    fn node(&mut self, node: &'t Node, scope: &mut Vec<&'t Table>) {
        match &node.expr {
            Expr::Table(table) => return self.table(table, scope),
            Expr::List(items) => return items.iter().for_each(|item| self.node(item, scope)),
            _ => self.name_variables(node),
        }
        if node.span.source != self.source {
            return;
        }
        match self.context.evaluate(node, scope) {
            Err(NoValue::Fault(fault)) => self.faults.push(*fault),
            Err(NoValue::Broken) => {}
            Ok(evaluated) => {
                if let (Value::Null, Some(variable), true) =
                    (&evaluated.value, evaluated.variable, self.strict)
                {
                    let place = self.context.place(evaluated.span);
                    let fault = Fault::error(place, format!("{variable} is not set"));
                    self.faults.push(fault.help("set it, or give @env a default"));
                }
            }
        }
    }

    fn name_variables(&mut self, node: &Node) {
        match &node.expr {
            Expr::Env(env) => {
                self.variables.insert(env.name.to_string());
                env.default.iter().for_each(|default| self.name_variables(default));
            }
            Expr::Http(http) => {
                http.method.iter().chain([&http.url]).for_each(|part| self.name_variables(part));
            }
            Expr::Template(parts) => {
                let names = parts.iter().filter_map(|part| match part {
                    Part::Variable { name, .. } => Some(name.to_string()),
                    _ => None,
                });
                self.variables.extend(names);
            }
            _ => {}
        }
    }

    /// Texts that look as if something else was meant.
    fn lint(&mut self, entry: &Entry, table: &Table) {
        let Expr::Text { text, bare } = &entry.value.expr else { return };
        if entry.value.span.source != self.source {
            return;
        }
        let place = self.context.place(entry.value.span);
        let sibling = *bare && *text != entry.key && table.entry(text).is_some();
        let name = text.strip_prefix('@').and_then(|rest| rest.split(['(', '.']).next());
        if sibling {
            let what = format!("this is the text `{text}`, not the value of the key `{text}`");
            let help = format!("write \"#{{{text}}}\" for the value, or quotes around the text");
            self.faults.push(Fault::warning(place, what).help(help));
        } else if !bare && text.contains('(') && name.is_some_and(|name| name.starts_with("env")) {
            let what = "an operator in quotes is a text and is not evaluated";
            self.faults.push(Fault::warning(place, what).help("remove the quotes around it"));
        } else if text.contains("{{") && text.contains("}}") {
            let what = "`{{…}}` is a text and is not filled in";
            self.faults.push(Fault::warning(place, what).help("write \"#{name}\""));
        }
    }
}

/// The file that an overlay belongs to.
fn base(path: &Path) -> Option<PathBuf> {
    let environments = path.parent()?.parent()?;
    let overlay = environments.file_name() == Some(OsStr::new("environments"));
    overlay.then(|| Some(environments.parent()?.join(path.file_name()?)))?
}

fn collect(path: &Path, depth: usize, given: bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let kind = if given { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
    if !kind.is_dir() {
        if given || path.extension() == Some(OsStr::new("tsk")) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    if depth == 0 || (hidden && !given) {
        return Ok(());
    }
    let entries =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut entries = entries?;
    entries.sort();
    entries.iter().try_for_each(|entry| collect(entry, depth - 1, false, files))
}
