//! Checks files without loading them into anything: what `tusk check` does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::evaluate::{Context, NoValue};
use crate::fault::{Fault, Severity};
use crate::loader::SIZE_MAX;
use crate::paths;
use crate::render::Render;
use crate::source::Source;
use crate::suggest::nearest;
use crate::tree::{Expr, Node, Operation, Operator, Part, Table};
use crate::vars::Vars;

/// Operators that are evaluated; another one with nearly such a name is a slip.
const OPERATORS: [&str; 8] =
    ["env", "env.secure", "http", "if", "date", "cache", "file.read", "json"];

/// What to look for.
///
/// Always: grammar, references that lead nowhere or in a circle, keys of other files that are not
/// there, keys given twice or without a value (warnings), and texts that look like something else
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

    /// A key given twice or without a value is an error, and so is, with [`resolve`](Self::resolve),
    /// a variable that is not set and has no default.
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
        let paths: Vec<P> = paths.into_iter().collect();
        let (texts, faults) = paths::read_all(&paths);
        let folders = paths.iter().map(AsRef::as_ref).filter(|path| path.is_dir()).collect();
        let mut report = Report { faults, files: texts.len(), variables: BTreeSet::new() };
        let files = Files { texts: &texts, folders };
        for index in 0..texts.len() {
            self.file(index, &files, &mut report);
        }
        // A file that others take keys from is read with each of them.
        let mut seen = BTreeSet::new();
        let location = |fault: &Fault| fault.location().map(ToString::to_string);
        report.faults.retain(|fault| seen.insert((location(fault), fault.text().to_owned())));
        report
    }

    fn file(&self, index: usize, files: &Files<'_>, report: &mut Report) {
        let path = &files.texts[index].0;
        let base = base(path);
        let is_base = |other: &Path| Some(other) == base.as_deref();
        let alone = self.values(files, index, &is_base, &mut report.variables);
        let mut found = match alone {
            found if found.iter().any(|fault| fault.severity() == Severity::Error) => {
                let is_other = |other: &Path| other != path;
                self.values(files, index, &is_other, &mut report.variables)
            }
            found => found,
        };
        found.sort_by_key(Fault::position);
        report.faults.append(&mut found);
    }

    /// The faults of one file, read over those that are `below` it.
    fn values(
        &self,
        files: &Files<'_>,
        index: usize,
        below: &dyn Fn(&Path) -> bool,
        variables: &mut BTreeSet<String>,
    ) -> Vec<Fault> {
        let mut config = Config::new(self.vars.clone().unwrap_or_default());
        let mut importers = Vec::new();
        for (path, text) in files.texts.iter().filter(|(path, _)| below(path)) {
            config.add(&source(path, text), Some(path), folder(path));
            importers.push((files.root(path), std::mem::take(&mut config.importers)));
        }
        config.faults.clear();
        let (path, text) = &files.texts[index];
        config.add(&source(path, text), Some(path), folder(path));
        let source = config.sources.next() - 1;
        config.read_imports(files.root(path), SIZE_MAX);
        let mut faults = std::mem::take(&mut config.faults);
        // What is wrong with the imports of the others is said with them.
        for (root, importers) in importers {
            config.importers = importers;
            config.read_imports(root, SIZE_MAX);
        }
        if self.strict {
            for fault in &mut faults {
                fault.severity = Severity::Error;
            }
        }
        let context = Context { assume_set: self.vars.is_none(), ..config.context() };
        let mut values = Values { context, source, strict: self.strict, faults, variables };
        values.table(&config.globals, &mut Vec::new());
        values.table(&config.root, &mut Vec::new());
        // Groups that hold each other: each of their values alone is well.
        let mut render = Render::new(context, false);
        render.table(&config.root, &mut Vec::new());
        let own =
            |fault: &Fault| fault.location().is_some_and(|location| location.span.source == source);
        let found = render.circles.into_iter().chain(render.beyond);
        values.faults.extend(found.filter(own));
        values.faults
    }
}

/// What is checked.
struct Files<'a> {
    texts: &'a [(PathBuf, String)],
    /// Those of the paths given that are folders.
    folders: Vec<&'a Path>,
}

impl Files<'_> {
    /// The folder that a file may take keys from: the one that was given, else its own.
    fn root<'p>(&'p self, path: &'p Path) -> &'p Path {
        let given = self.folders.iter().copied().filter(|given| path.starts_with(given));
        let own = Some(folder(path)).filter(|own| !own.as_os_str().is_empty());
        let given = given.min_by_key(|given| given.components().count());
        given.or(own).unwrap_or(Path::new("."))
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
            self.node(&entry.value, &entry.key, scope);
        }
        scope.pop();
    }

    /// The value of `key`, or an item in it.
    fn node(&mut self, node: &'t Node, key: &str, scope: &mut Vec<&'t Table>) {
        match &node.expr {
            Expr::Table(table) => return self.table(table, scope),
            Expr::List(items) => {
                return items.iter().for_each(|item| self.node(item, key, scope));
            }
            _ => {
                self.name_variables(node);
                self.lint(node, key, scope.last().copied());
                self.lint_back_ticks(node, scope);
            }
        }
        if node.span.source != self.source {
            return;
        }
        match self.context.evaluate(node, scope) {
            Err(none) => self.faults.extend(none.into_fault()),
            Ok(evaluated) => {
                self.faults.extend(evaluated.not_set(&self.context).filter(|_| self.strict));
            }
        }
    }

    fn name_variables(&mut self, node: &Node) {
        node.each(&mut |node| match &node.expr {
            Expr::Env(env) => drop(self.variables.insert(env.name.to_string())),
            Expr::Template(parts) => {
                let names = parts.iter().filter_map(|part| match part {
                    Part::Variable { name, .. } => Some(name.to_string()),
                    _ => None,
                });
                self.variables.extend(names);
            }
            _ => {}
        });
    }

    /// What looks like a reference in a text in back ticks, and leads nowhere.
    fn lint_back_ticks(&mut self, node: &'t Node, scope: &[&'t Table]) {
        let mut parts = Vec::new();
        node.each(&mut |node| {
            if let Expr::Template(all) = &node.expr {
                parts.extend(all.iter().filter_map(in_back_ticks));
            }
        });
        for reference in parts.into_iter().filter(|node| node.span.source == self.source) {
            if let Err(NoValue::Undefined(fault)) = self.context.evaluate(reference, scope) {
                let what = format!("{}; the text keeps it as it stands", fault.text());
                let warning = Fault::warning(self.context.location(reference.span), what);
                self.faults.push(match fault.help_text() {
                    Some(help) => warning.help(help),
                    None => warning,
                });
            }
        }
    }

    /// Values that look as if something else was meant.
    fn lint(&mut self, node: &Node, key: &str, table: Option<&Table>) {
        let mut found = Vec::new();
        node.each(&mut |node| {
            let odd = oddity(node, key, table).filter(|_| node.span.source == self.source);
            found.extend(odd.map(|(what, help)| (node.span, what, help)));
        });
        for (span, what, help) in found {
            let location = self.context.location(span);
            self.faults.push(Fault::warning(location, what).help(help));
        }
    }
}

/// The reference in back ticks that a part of a text is, which stands for itself when it leads nowhere.
fn in_back_ticks(part: &Part) -> Option<&Node> {
    let Part::Value(Node { expr: Expr::Operation(operation), .. }) = part else { return None };
    let Operation::Binary { operator: Operator::Default, left, right } = &**operation else {
        return None;
    };
    (left.span == right.span).then_some(left)
}

/// What is odd about a value of `key` in `table`, and what to write instead.
fn oddity(node: &Node, key: &str, table: Option<&Table>) -> Option<(String, String)> {
    let (text, bare) = match &node.expr {
        Expr::Text { text, bare } => (text, *bare),
        Expr::Call(call) => {
            let near = nearest(&call.name, OPERATORS)?;
            let what = format!("nothing evaluates the operator @{}", call.name);
            return Some((what, format!("did you mean @{near}?")));
        }
        _ => return None,
    };
    let name = text.strip_prefix('@').and_then(|rest| rest.split(['(', '.']).next());
    if bare && **text != *key && table.is_some_and(|table| table.entry(text).is_some()) {
        let what = format!("this is the text `{text}`, not the value of the key `{text}`");
        return Some((
            what,
            format!("write @{text} or \"#{{{text}}}\" for the value, or quotes around the text"),
        ));
    }
    if !bare && text.contains('(') && name.is_some_and(|name| name.starts_with("env")) {
        let what = "an operator in quotes is a text and is not evaluated";
        return Some((what.to_owned(), "remove the quotes around it".to_owned()));
    }
    if text.contains("{{") && text.contains("}}") {
        let what = "`{{…}}` is a text and is not filled in";
        return Some((what.to_owned(), "write \"#{name}\"".to_owned()));
    }
    None
}

fn source(path: &Path, text: &str) -> Arc<Source> {
    Arc::new(Source { name: path.display().to_string(), text: text.to_owned() })
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The file that an overlay belongs to.
fn base(path: &Path) -> Option<PathBuf> {
    let environments = path.parent()?.parent()?;
    let overlay = environments.file_name() == Some(OsStr::new("environments"));
    overlay.then(|| Some(environments.parent()?.join(path.file_name()?)))?
}
