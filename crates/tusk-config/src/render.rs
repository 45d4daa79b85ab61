//! A whole configuration, evaluated, in the order of its files.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::config::Config;
use crate::evaluate::{Context, Evaluated, Value};
use crate::fault::{Errors, Fault, Severity};
use crate::loader::Loader;
use crate::tree::{Argument, Call, Node, Table};

/// What a secret is shown as.
const REDACTED: &str = "[secret]";

/// A value as it came out, for printing in any format of serde's. Groups keep the order of the file.
///
/// A secret is in it only if that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Rendered {
    /// `null`, and variables that are not set and have no default.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction.
    Float(f64),
    /// A text; also a range (`8000-9000`).
    Text(String),
    /// Items in their order.
    List(Vec<Rendered>),
    /// Keys and values in the order of the file.
    Table(Vec<(String, Rendered)>),
    /// Not to be shown; serialized as the text `[secret]`.
    Secret,
}

impl Serialize for Rendered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => serializer.serialize_u64(value),
                (_, Ok(value)) => serializer.serialize_i64(value),
                _ => serializer.serialize_i128(*value),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Secret => serializer.serialize_str(REDACTED),
            Self::List(items) => items.serialize(serializer),
            Self::Table(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl Config {
    /// Evaluates everything, or the section or key at `path`. Secrets come out as `[secret]` unless
    /// `reveal` is set. All faults are reported together.
    pub fn render(&self, path: Option<&str>, reveal: bool) -> Result<Rendered, Errors> {
        let mut render = Render::new(self.context(), reveal);
        let rendered = match path {
            None => render.table(&self.root, &mut Vec::new()),
            Some(path) => {
                let (entry, mut scope) = self.find(path)?;
                render.node(&entry.value, &mut scope)
            }
        };
        finish(rendered, self.errors().cloned(), render)
    }
}

impl Loader {
    /// Reads and evaluates everything, as [`Config::render`] does, and reports what is wrong with
    /// files and with values together. When `strict`, keys given twice or without a value and
    /// variables that are not set and have no default are errors too.
    pub fn render(self, strict: bool, reveal: bool) -> Result<Rendered, Errors> {
        let config = self.config();
        let mut render = Render { strict, ..Render::new(config.context(), reveal) };
        let rendered = render.table(&config.root, &mut Vec::new());
        let counts = |fault: &&Fault| strict || fault.severity == Severity::Error;
        let of_files = config.faults.iter().filter(counts).cloned();
        let of_files = of_files.map(|fault| Fault { severity: Severity::Error, ..fault });
        finish(rendered, of_files, render)
    }
}

/// What was rendered, unless the files or the values are at fault.
fn finish(
    rendered: Rendered,
    of_files: impl Iterator<Item = Fault>,
    render: Render<'_>,
) -> Result<Rendered, Errors> {
    let of_values = render.faults.into_iter().chain(render.circles).chain(render.beyond);
    let faults: Vec<Fault> = of_files.chain(of_values).collect();
    if faults.is_empty() { Ok(rendered) } else { Err(Errors::new(faults)) }
}

impl Evaluated<'_> {
    /// The fault of a value that is null because its variable is not set; for strict reading.
    pub(crate) fn not_set(&self, context: &Context<'_>) -> Option<Fault> {
        let variable = self.variable.filter(|_| matches!(self.value, Value::Null))?;
        let fault = Fault::error(context.location(self.span), format!("{variable} is not set"));
        Some(fault.help("set it, or give @env a default"))
    }
}

/// Evaluates nodes, collecting what is wrong with them.
pub(crate) struct Render<'t> {
    context: Context<'t>,
    reveal: bool,
    /// A variable that is not set and has no default is a fault.
    strict: bool,
    pub(crate) faults: Vec<Fault>,
    depth: usize,
    count: usize,
    /// The groups that are gone through, from the outside in.
    around: Vec<usize>,
    /// Groups that hold themselves.
    pub(crate) circles: Vec<Fault>,
    /// What went beyond a bound, after which nothing more is evaluated.
    pub(crate) beyond: Option<Fault>,
}

impl<'t> Render<'t> {
    pub(crate) fn new(context: Context<'t>, reveal: bool) -> Self {
        Self {
            context,
            reveal,
            strict: false,
            faults: Vec::new(),
            depth: 0,
            count: 0,
            around: Vec::new(),
            circles: Vec::new(),
            beyond: None,
        }
    }

    pub(crate) fn table(&mut self, table: &'t Table, scope: &mut Vec<&'t Table>) -> Rendered {
        scope.push(table);
        let entries = table.entries().iter();
        let entries =
            entries.map(|entry| (entry.key.to_string(), self.node(&entry.value, scope))).collect();
        scope.pop();
        Rendered::Table(entries)
    }

    pub(crate) fn node(&mut self, node: &'t Node, scope: &mut Vec<&'t Table>) -> Rendered {
        self.count += 1;
        let bounds = self.context.check_bounds(self.depth, self.count, Some(node.span));
        self.beyond = self.beyond.take().or(bounds.err());
        if self.beyond.is_some() {
            return Rendered::Null;
        }
        self.depth += 1;
        let rendered = match self.context.evaluate(node, scope) {
            Ok(evaluated) => match evaluated.group() {
                Some(group) if self.around.contains(&group) => {
                    self.circles.push(self.context.holds_itself(node.span));
                    Rendered::Null
                }
                Some(group) => {
                    self.around.push(group);
                    let rendered = self.value(evaluated, scope);
                    self.around.pop();
                    rendered
                }
                None => self.value(evaluated, scope),
            },
            Err(none) => {
                self.faults.extend(none.into_fault());
                Rendered::Null
            }
        };
        self.depth -= 1;
        rendered
    }

    fn value(&mut self, found: Evaluated<'t>, scope: &mut Vec<&'t Table>) -> Rendered {
        if self.strict {
            self.faults.extend(found.not_set(&self.context));
        }
        if found.secret && !self.reveal && !matches!(found.value, Value::Null) {
            return Rendered::Secret;
        }
        let text = |text: &str| Rendered::Text(text.to_owned());
        match found.value {
            Value::Null | Value::Unknown => Rendered::Null,
            Value::Bool(value) => Rendered::Bool(value),
            Value::Int(value) => Rendered::Int(value),
            Value::Float(value) => Rendered::Float(value),
            Value::Text(text) => Rendered::Text(text.into_owned()),
            Value::Range(first, last) => Rendered::Text(format!("{first}-{last}")),
            Value::Texts(texts) => Rendered::List(texts.into_iter().map(text).collect()),
            Value::List(items) => {
                Rendered::List(items.iter().map(|item| self.node(item, scope)).collect())
            }
            Value::Table(table) => self.table(table, scope),
            Value::Http { method, url } => Rendered::Table(vec![
                ("method".to_owned(), Rendered::Text(method)),
                ("url".to_owned(), Rendered::Text(url)),
            ]),
            Value::Call(call) => {
                let mut parts = self.call(call, scope);
                if !call.then.is_empty() {
                    let then = call.then.iter();
                    let then = then.map(|call| Rendered::Table(self.call(call, scope))).collect();
                    parts.push(("then".to_owned(), Rendered::List(then)));
                }
                Rendered::Table(parts)
            }
            Value::Calls(calls) => Rendered::List(
                calls.iter().map(|call| Rendered::Table(self.call(call, scope))).collect(),
            ),
            Value::Arguments(arguments) => self.arguments(arguments, scope),
            Value::Argument(argument) => self.node(&argument.value, scope),
        }
    }

    fn call(&mut self, call: &'t Call, scope: &mut Vec<&'t Table>) -> Vec<(String, Rendered)> {
        let arguments = self.arguments(&call.arguments, scope);
        vec![
            ("name".to_owned(), Rendered::Text(call.name.to_string())),
            ("arguments".to_owned(), arguments),
        ]
    }

    fn arguments(&mut self, arguments: &'t [Argument], scope: &mut Vec<&'t Table>) -> Rendered {
        Rendered::List(arguments.iter().map(|one| self.node(&one.value, scope)).collect())
    }
}
