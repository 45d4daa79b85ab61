//! What a file says, before anything is looked up: tables, values and where each stands.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::source::Span;

/// From this many entries on, a table keeps an index; below it, a scan is quicker.
const INDEX_FROM: usize = 12;

/// How many replaced entries are remembered for one key.
const BEFORE_MAX: usize = 32;

/// A value as written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) expr: Expr,
    pub(crate) span: Span,
}

/// The forms a value can have. What is large stands in a box: most values are small, and a file has
/// many.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number that does not fit into 64 bits.
    Large(Box<i128>),
    Float(f64),
    /// `8000-9000`; the first is not above the second.
    Range(u64, u64),
    /// Text without interpolation; `bare` when it had no quotes.
    Text {
        text: Box<str>,
        bare: bool,
    },
    /// Text with interpolation.
    Template(Box<[Part]>),
    List(Vec<Node>),
    Table(Box<Table>),
    /// `@path` or, with its `$`, `$global`.
    Reference(Box<str>),
    Env(Box<Env>),
    Http(Box<Http>),
    /// Every other `@name(…)`.
    Call(Box<Call>),
    /// `@file.tsk.get("key")`
    Import(Box<Import>),
    Operation(Box<Operation>),
    /// `key: type = value`
    Typed(Box<Typed>),
    /// Could not be read; the fault is already reported.
    Broken,
}

/// A piece of a text with interpolation.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(Box<str>),
    /// `#{path}`, `${path | other}`
    Value(Node),
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

/// `@name(a, name: b)`, and what is called on it: `.name(…)`, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: Box<str>,
    pub(crate) arguments: Vec<Argument>,
    /// In the order of the file; none of these has any of its own.
    pub(crate) then: Vec<Call>,
    /// What came from outside of the files, once somebody asked for it.
    pub(crate) answer: OnceLock<Result<Node, String>>,
}

/// An argument with the name it may have been given.
#[derive(Debug, Clone)]
pub(crate) struct Argument {
    pub(crate) name: Option<Box<str>>,
    pub(crate) value: Node,
}

/// A key of another file.
#[derive(Debug, Clone)]
pub(crate) struct Import {
    /// With its `.tsk`, relative to the folder of the file that says it.
    pub(crate) file: Box<str>,
    pub(crate) key: Box<str>,
    pub(crate) key_span: Span,
}

/// An expression.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Not(Node),
    Negative(Node),
    Binary { operator: Operator, left: Node, right: Node },
    Choice { condition: Node, yes: Node, no: Node },
}

/// What stands between two values of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `??` and `|`: the right one when there is no left one.
    Default,
    /// `||`: the right one when the left one is null, false, zero or empty.
    Or,
    And,
    Equal,
    Unequal,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divided,
    Remainder,
}

/// A value with the type it must have.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub(crate) kind: Kind,
    pub(crate) value: Node,
}

/// The types of the typed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
    Float,
    Number,
    Bool,
    List,
    Table,
}

/// One key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Box<str>,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
    /// What it replaced last, in this file or in one before; that one's own history hangs on it.
    pub(crate) before: Option<Box<Entry>>,
}

impl Entry {
    pub(crate) fn new(key: Box<str>, key_span: Span, value: Node) -> Self {
        Self { key, key_span, value, before: None }
    }

    /// Cuts the history to `count` entries.
    fn forget_beyond(&mut self, count: usize) {
        let mut last = self;
        for _ in 0..count {
            let Some(before) = &mut last.before else { return };
            last = before;
        }
        last.before = None;
    }
}

/// Keys and values in the order of the file; a section, an object or a whole file.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    index: Option<HashMap<Box<str>, usize>>,
    /// The header of a section, the braces of an object.
    pub(crate) span: Span,
    /// Something in it could not be read, so that a missing key means nothing.
    pub(crate) broken: bool,
}

impl Table {
    pub(crate) fn new(span: Span) -> Self {
        Self::with_room(span, 0)
    }

    /// With room for so many entries.
    pub(crate) fn with_room(span: Span, entries: usize) -> Self {
        Self { entries: Vec::with_capacity(entries), index: None, span, broken: false }
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

    /// Adds an entry; tables of the same name become one, anything else is replaced and kept as what
    /// was there before. `replaced` sees the old and the new entry of each replacement.
    pub(crate) fn put(&mut self, mut new: Entry, replaced: &mut dyn FnMut(&Entry, &Entry)) {
        let Some(position) = self.position(&new.key) else {
            self.push(new);
            return;
        };
        let old = &mut self.entries[position];
        match (&mut old.value.expr, new.value.expr) {
            (Expr::Table(table), Expr::Table(added)) => table.merge(*added, replaced),
            (_, expr) => {
                new.value.expr = expr;
                replaced(old, &new);
                let before = std::mem::replace(old, new);
                old.before = Some(Box::new(before));
                old.forget_beyond(BEFORE_MAX);
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
        if let Some(index) = &mut self.index {
            index.insert(entry.key.clone(), self.entries.len());
        }
        self.entries.push(entry);
        if self.entries.len() == INDEX_FROM {
            let all = self.entries.iter().enumerate();
            let index = all.map(|(position, entry)| (entry.key.clone(), position)).collect();
            self.index = Some(index);
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.entries.iter().position(|entry| &*entry.key == key),
        }
    }
}

impl From<i128> for Expr {
    fn from(value: i128) -> Self {
        i64::try_from(value).map_or_else(|_| Self::Large(Box::new(value)), Self::Int)
    }
}

impl Node {
    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.expr {
            Expr::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Calls `see` with this value and each one inside of it, outside before inside.
    pub(crate) fn each<'n>(&'n self, see: &mut dyn FnMut(&'n Self)) {
        see(self);
        match &self.expr {
            Expr::Template(parts) => parts.iter().for_each(|part| {
                if let Part::Value(node) = part {
                    node.each(see);
                }
            }),
            Expr::List(items) => items.iter().for_each(|item| item.each(see)),
            Expr::Table(table) => table.entries.iter().for_each(|entry| entry.value.each(see)),
            Expr::Env(env) => env.default.iter().for_each(|default| default.each(see)),
            Expr::Http(http) => {
                http.method.iter().chain([&http.url]).for_each(|part| part.each(see));
            }
            Expr::Call(call) => {
                call.then.iter().chain([&**call]).flat_map(|call| &call.arguments).for_each(
                    |one| {
                        one.value.each(see);
                    },
                );
            }
            Expr::Typed(typed) => typed.value.each(see),
            Expr::Operation(operation) => match &**operation {
                Operation::Not(inner) | Operation::Negative(inner) => inner.each(see),
                Operation::Binary { left, right, .. } => {
                    left.each(see);
                    right.each(see);
                }
                Operation::Choice { condition, yes, no } => {
                    condition.each(see);
                    yes.each(see);
                    no.each(see);
                }
            },
            _ => {}
        }
    }
}
