//! The variables that files read: what `tusk env` lists.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::fault::{Errors, Severity};
use crate::paths;
use crate::source::{Home, Place, Source, Sources, Span};
use crate::syntax;
use crate::tree::{Entry, Expr, Node, Part, Table};

/// One variable, with all places that read it.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What stands in when it is not set, as written in the file; without the quotes of a text.
    pub default: Option<String>,
    /// Nothing can be loaded without it.
    pub required: bool,
    /// Read by `@env.secure`; a file may hold it, named by `NAME_FILE`.
    pub secret: bool,
    /// Where it is read.
    pub places: Vec<Place>,
    /// The comment behind the entry or right above it, without its sign; empty when there is none.
    pub meaning: String,
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

/// The variables as a Markdown table.
pub fn variables_table(variables: &[Variable]) -> String {
    let mut table = "| variable | default | meaning | read in |\n|---|---|---|---|\n".to_owned();
    for variable in variables {
        let default = match &variable.default {
            _ if variable.secret => "**required**, a secret".to_owned(),
            _ if variable.required => "**required**".to_owned(),
            Some(default) if default.is_empty() => "empty".to_owned(),
            Some(default) => format!("`{}`", default.replace('|', "\\|")),
            None => "none".to_owned(),
        };
        let mut files: Vec<&str> = Vec::new();
        for place in &variable.places {
            let name = Path::new(place.file()).file_stem().and_then(|name| name.to_str());
            files.extend(name.filter(|name| !files.contains(name)));
        }
        let (name, meaning) = (&variable.name, variable.meaning.replace('|', "\\|"));
        let row = format!("| `{name}` | {default} | {meaning} | {} |\n", files.join(", "));
        table.push_str(&row);
    }
    table
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
                let default = env.default.as_ref().map(|default| self.written(default));
                let required = env.secure && default.is_none();
                self.add(&env.name, default, required, env.secure, node.span, entry);
            }
            Expr::Template(parts) => {
                for part in parts {
                    if let Part::Variable { name, default, span } = part {
                        let default = default.as_deref().map(str::to_owned);
                        let required = default.is_none();
                        self.add(name, default, required, false, *span, entry);
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

    fn add(
        &mut self,
        name: &str,
        default: Option<String>,
        required: bool,
        secret: bool,
        span: Span,
        entry: &Entry,
    ) {
        let place = self.sources.place(span);
        let meaning = self.sources.place(entry.key_span).map_or(String::new(), |key| meaning(&key));
        let variable = self.variables.entry(name.to_owned()).or_insert_with(|| Variable {
            name: name.to_owned(),
            default: None,
            required: false,
            secret: false,
            places: Vec::new(),
            meaning: String::new(),
        });
        variable.default = variable.default.take().or(default);
        variable.required |= required;
        variable.secret |= secret;
        variable.places.extend(place);
        if variable.meaning.is_empty() {
            variable.meaning = meaning;
        }
    }
}

/// The comment behind an entry on its line, or the comment lines right above it.
fn meaning(key: &Place) -> String {
    let behind = key.source_line().split_once(" #").or_else(|| key.source_line().split_once(" //"));
    if let Some((_, comment)) = behind.filter(|(entry, _)| !entry.trim().is_empty()) {
        return comment.trim().to_owned();
    }
    let text = key.source.text.get(..key.span.start as usize).unwrap_or("");
    let above = text.lines().rev().skip(usize::from(!text.ends_with('\n')));
    let comment = |line: &str| {
        let line = line.trim();
        line.strip_prefix('#')
            .or_else(|| line.strip_prefix("//"))
            .map(|text| text.trim().to_owned())
    };
    let mut lines: Vec<String> = above.map_while(comment).collect();
    lines.reverse();
    lines.join(" ")
}
