//! The variables that files read: what `tusk env` lists.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::fault::{Errors, Severity};
use crate::paths;
use crate::source::{Home, Location, Source, Sources, Span};
use crate::syntax;
use crate::tree::{Entry, Expr, Node, Part, Table};

mod listing;

pub use listing::{variables_table, variables_template};

/// One variable, with all places that read it.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What stands in when it is not set, as written in the files, without the quotes of a text: one
    /// for each file that says otherwise; none, and it is null or required.
    pub defaults: Vec<String>,
    /// Nothing can be loaded without it.
    pub required: bool,
    /// Read by `@env.secure`; a file may hold it, named by `NAME_FILE`.
    pub secret: bool,
    /// Where it is read.
    pub locations: Vec<Location>,
    /// The comments behind its entries or right above them, without their signs: one for each text, with the
    /// files that have it; none when there is no comment.
    pub meanings: Vec<Meaning>,
    /// The first default as a value of the variable; none for an expression.
    assigned: Option<String>,
}

/// What files say of a variable: two programs may use one name for two things.
#[derive(Debug, Clone)]
pub struct Meaning {
    /// Without the signs of a comment, on one line.
    pub text: String,
    /// The names of the files that say so, without `.tsk`.
    pub files: Vec<String>,
}

impl Variable {
    /// What it is for, in one line; where files differ, what each says. Empty when none says anything.
    ///
    /// ```text
    /// orders: Orders handled at a time. mails: Mails sent at a time.
    /// ```
    pub fn meaning(&self) -> String {
        if let [Meaning { text, .. }] = self.meanings.as_slice() {
            return text.clone();
        }
        let each = self.meanings.iter().map(|Meaning { text, files }| {
            format!("{}: {}.", files.join(", "), text.trim_end_matches('.'))
        });
        each.collect::<Vec<_>>().join(" ")
    }

    fn add_meaning(&mut self, text: String, file: &str) {
        if text.is_empty() {
            return;
        }
        let known = self.meanings.iter_mut().find(|meaning| meaning.text == text);
        match known.map(|meaning| &mut meaning.files) {
            Some(files) if files.iter().any(|known| known == file) => {}
            Some(files) => files.push(file.to_owned()),
            None => self.meanings.push(Meaning { text, files: vec![file.to_owned()] }),
        }
    }
}

/// Every variable that these files, and the `.tsk` files in these folders, read; by name. A file
/// that cannot be read is an error, as it is for loading.
pub fn variables<P: AsRef<Path>>(
    paths: impl IntoIterator<Item = P>,
) -> Result<Vec<Variable>, Errors> {
    let (files, mut faults) = paths::read_all(paths);
    let mut found = Found::default();
    for (path, text) in files {
        let source = Arc::new(Source { name: path.display().to_string(), text });
        let id = found.sources.add(Arc::clone(&source), Home::Main);
        let document = syntax::parse(&source, id);
        faults.extend(document.faults.into_iter().filter(|f| f.severity() == Severity::Error));
        found.table(&document.globals);
        found.table(&document.root);
    }
    if faults.is_empty() {
        Ok(found.variables.into_values().collect())
    } else {
        Err(Errors::new(faults))
    }
}

#[derive(Default)]
struct Found {
    sources: Sources,
    variables: BTreeMap<String, Variable>,
}

impl Found {
    fn table(&mut self, table: &Table) {
        for entry in table.entries() {
            let mut node = Some(entry);
            while let Some(entry) = node {
                self.entry(entry);
                node = entry.before.as_deref();
            }
        }
    }

    fn entry(&mut self, entry: &Entry) {
        match &entry.value.expr {
            Expr::Table(table) => self.table(table),
            Expr::List(items) => items.iter().for_each(|item| self.item(item, entry)),
            _ => self.value(&entry.value, entry),
        }
    }

    fn item(&mut self, item: &Node, entry: &Entry) {
        match &item.expr {
            Expr::Table(table) => self.table(table),
            Expr::List(items) => items.iter().for_each(|item| self.item(item, entry)),
            _ => self.value(item, entry),
        }
    }

    fn value(&mut self, value: &Node, entry: &Entry) {
        value.each(&mut |node| match &node.expr {
            Expr::Env(env) => {
                let (default, assigned) = match &env.default {
                    Some(default) => (Some(self.written(default)), self.assigned(default)),
                    None => (None, None),
                };
                let variable = self.add(&env.name, default, assigned, node.span, entry);
                variable.required |= env.secure;
                variable.secret |= env.secure;
            }
            Expr::Template(parts) => {
                for part in parts {
                    if let Part::Variable { name, default, span } = part {
                        let default = default.as_deref().map(str::to_owned);
                        let required = default.is_none();
                        let variable = self.add(name, default.clone(), default, *span, entry);
                        variable.required |= required;
                    }
                }
            }
            _ => {}
        });
    }

    /// A default as it stands in the file.
    fn written(&self, node: &Node) -> String {
        match &node.expr {
            Expr::Text { text, .. } => text.to_string(),
            _ => self.sources.slice(node.span).to_owned(),
        }
    }

    /// A default as the variable would have to say it: a list has its items between commas.
    fn assigned(&self, node: &Node) -> Option<String> {
        match &node.expr {
            Expr::List(items) => {
                let items: Option<Vec<_>> = items.iter().map(|item| self.listed(item)).collect();
                items.map(|items| items.join(","))
            }
            Expr::Text { .. }
            | Expr::Bool(_)
            | Expr::Range(..)
            | Expr::Int(_)
            | Expr::Large(_)
            | Expr::Float(_) => Some(self.written(node)),
            _ => None,
        }
    }

    /// An item of such a list, unless it would come back as another.
    fn listed(&self, item: &Node) -> Option<String> {
        let item = self.assigned(item).filter(|_| !matches!(item.expr, Expr::List(_)))?;
        (!item.is_empty() && item.trim() == item && !item.contains(',')).then_some(item)
    }

    /// One more place that reads the variable `name`.
    fn add(
        &mut self,
        name: &str,
        default: Option<String>,
        assigned: Option<String>,
        span: Span,
        entry: &Entry,
    ) -> &mut Variable {
        let location = self.sources.location(span);
        let key = self.sources.location(entry.key_span);
        let variable = self.variables.entry(name.to_owned()).or_insert_with(|| Variable {
            name: name.to_owned(),
            defaults: Vec::new(),
            required: false,
            secret: false,
            locations: Vec::new(),
            meanings: Vec::new(),
            assigned: None,
        });
        if variable.defaults.is_empty() {
            variable.assigned = assigned;
        }
        variable.defaults.extend(default.filter(|default| !variable.defaults.contains(default)));
        variable.locations.extend(location);
        if let Some(key) = key {
            let file = Path::new(key.file()).file_stem().unwrap_or_default().to_string_lossy();
            variable.add_meaning(meaning(&key, entry.value.span), &file);
        }
        variable
    }
}

/// The comment behind a value on its line, or the comment lines right above its key.
fn meaning(key: &Location, value: Span) -> String {
    let text = key.source.text.as_str();
    let rest = text.get(value.end as usize..).unwrap_or("").lines().next().unwrap_or("");
    let rest = rest.trim_start_matches([' ', '\t', ',', ';']);
    if let Some(comment) = comment(rest) {
        return comment.to_owned();
    }
    let before = text.get(..key.span.start as usize).unwrap_or("");
    let above = before.lines().rev().skip(usize::from(!before.ends_with('\n')));
    let mut lines: Vec<&str> = above.map_while(comment).collect();
    lines.reverse();
    lines.join(" ")
}

/// The text of a line that is nothing but a comment.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim();
    line.strip_prefix('#').or_else(|| line.strip_prefix("//")).map(str::trim)
}
