//! What a file says, before anything is looked up: tables, values and where each stands.

use std::collections::HashMap;

use crate::source::Span;

/// From this many entries on, a table keeps an index; below it, a scan is quicker.
const INDEX_FROM: usize = 12;

/// A value as written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) expr: Expr,
    pub(crate) span: Span,
}

/// The forms a value can have.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// Text without interpolation; `bare` when it had no quotes.
    Text {
        text: Box<str>,
        bare: bool,
    },
    /// Text with interpolation.
    Template(Vec<Part>),
    List(Vec<Node>),
    Table(Table),
    /// `$name`
    Global(Box<str>),
    Env(Box<Env>),
    Http(Box<Http>),
    /// An operator that nothing here evaluates, kept by name; its arguments are in the span.
    Operator(Box<str>),
    /// Could not be read; the fault is already reported.
    Broken,
}

/// A piece of a text with interpolation.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(Box<str>),
    /// `#{path}`
    Reference {
        path: Box<str>,
        span: Span,
    },
    /// `${NAME}` or `${NAME:-default}`
    Variable {
        name: Box<str>,
        default: Option<Box<str>>,
        span: Span,
    },
    /// `$name`: the global of that name when there is one, else the text as it stands.
    Global {
        name: Box<str>,
        span: Span,
    },
}

/// `@env(NAME, default)`, `@env.NAME`, `@env.secure(NAME)`
#[derive(Debug, Clone)]
pub(crate) struct Env {
    pub(crate) name: Box<str>,
    pub(crate) default: Option<Node>,
    pub(crate) secure: bool,
}

/// `@http(method, url)`; without a method, GET.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pub(crate) method: Option<Node>,
    pub(crate) url: Node,
}

/// One key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Box<str>,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// Keys and values in the order of the file; a section, an object or a whole file.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    index: HashMap<Box<str>, usize>,
    /// The header of a section, the braces of an object.
    pub(crate) span: Span,
    /// Something in it could not be read, so that a missing key means nothing.
    pub(crate) broken: bool,
}

impl Table {
    pub(crate) fn new(span: Span) -> Self {
        Self { entries: Vec::new(), index: HashMap::new(), span, broken: false }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.key)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(self.position(key)?)
    }

    /// The entry at a path, keys joined with dots, and the tables on the way to it in `trail`. A key
    /// that has a dot in it wins over two keys.
    pub(crate) fn find<'t>(&'t self, path: &str, trail: &mut Vec<&'t Self>) -> Option<&'t Entry> {
        trail.push(self);
        if let Some(entry) = self.entry(path) {
            return Some(entry);
        }
        let found = path.match_indices('.').find_map(|(dot, _)| {
            let table = self.entry(&path[..dot])?.value.as_table()?;
            table.find(&path[dot + 1..], trail)
        });
        if found.is_none() {
            trail.pop();
        }
        found
    }

    /// Adds an entry; tables of the same name become one, anything else is replaced. `replaced`
    /// sees the old and the new entry of each replacement.
    pub(crate) fn put(&mut self, new: Entry, replaced: &mut dyn FnMut(&Entry, &Entry)) {
        let Some(position) = self.position(&new.key) else {
            self.push(new);
            return;
        };
        let old = &mut self.entries[position];
        match (&mut old.value.expr, new.value.expr) {
            (Expr::Table(table), Expr::Table(added)) => table.merge(added, replaced),
            (_, expr) => {
                let new = Entry { value: Node { expr, ..new.value }, ..new };
                replaced(old, &new);
                *old = new;
            }
        }
    }

    /// Puts every entry of `other`.
    pub(crate) fn merge(&mut self, other: Self, replaced: &mut dyn FnMut(&Entry, &Entry)) {
        self.broken |= other.broken;
        for entry in other.entries {
            self.put(entry, replaced);
        }
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        if self.entries.len() == INDEX_FROM {
            let all = self.entries.iter().enumerate();
            self.index = all.map(|(position, entry)| (entry.key.clone(), position)).collect();
        } else if self.entries.len() > INDEX_FROM {
            let last = self.entries.len() - 1;
            self.index.insert(self.entries[last].key.clone(), last);
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        if self.entries.len() < INDEX_FROM {
            return self.entries.iter().position(|entry| &*entry.key == key);
        }
        self.index.get(key).copied()
    }
}

impl Node {
    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.expr {
            Expr::Table(table) => Some(table),
            _ => None,
        }
    }
}
