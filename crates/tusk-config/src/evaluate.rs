//! From what is written to what it means: variables, references, interpolation, expressions.
//!
//! Evaluation is lazy. A value is evaluated when the typed reading asks for it, so an unset variable
//! in a section that nobody reads is no fault. Values are borrowed from the tree and the variables
//! wherever they can be; a secret is copied once, into the setting itself.

use std::borrow::Cow;

use crate::evaluate::reference::Walk;
use crate::fault::Fault;
use crate::imports::Imports;
use crate::outside::Outside;
use crate::source::{Location, Sources, Span};
use crate::syntax::DEPTH_MAX;
use crate::tree::{Argument, Call, Expr, Http, Node, Part, Table};
use crate::vars::Vars;

mod call;
mod operation;
mod reference;
mod variable;

/// The longest text that interpolation may build, in bytes.
const TEXT_MAX: usize = 64 * 1024;

/// How deep values may lie within values, references followed.
const NESTED_MAX: usize = 256;

/// How deep values that are read may lie, groups that references lead to included. What holds itself
/// ends here.
const READ_DEPTH_MAX: usize = 2 * DEPTH_MAX;

/// How many values one read may come to beyond those that are written: a group that is referred to
/// counts each time. A few lines that double each other would otherwise fill the memory.
const READ_VALUES_MAX: usize = 100_000;

/// Everything that a value may refer to.
#[derive(Clone, Copy)]
pub(crate) struct Context<'t> {
    pub(crate) root: &'t Table,
    pub(crate) globals: &'t Table,
    pub(crate) sources: &'t Sources,
    pub(crate) vars: &'t Vars,
    pub(crate) imports: &'t Imports,
    pub(crate) outside: &'t Outside,
    /// Take every variable as set to nobody knows what; for checks of the files alone.
    pub(crate) assume_set: bool,
}

/// What a value came out as.
#[derive(Debug, Clone)]
pub(crate) struct Evaluated<'t> {
    pub(crate) value: Value<'t>,
    /// Where it stands.
    pub(crate) span: Span,
    /// A number or a truth value as it was spelt.
    pub(crate) raw: Option<&'t str>,
    /// The variable it came from, or did not come from when it is null.
    pub(crate) variable: Option<&'t str>,
    /// Must not be shown.
    pub(crate) secret: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Value<'t> {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Cow<'t, str>),
    /// The first and the last of a range.
    Range(u64, u64),
    List(&'t [Node]),
    /// A list out of one variable.
    Texts(Vec<&'t str>),
    Table(&'t Table),
    Http {
        method: String,
        url: String,
    },
    /// An operator that nothing evaluates.
    Call(&'t Call),
    /// What is called on an operator.
    Calls(&'t [Call]),
    Arguments(&'t [Argument]),
    Argument(&'t Argument),
    /// Depends on what is outside of the files, when only those are checked.
    Unknown,
}

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum NoValue {
    /// The fault was reported when the file was read.
    Broken,
    /// A reference leads nowhere, so that another value may stand in.
    Undefined(Box<Fault>),
    Fault(Box<Fault>),
}

impl NoValue {
    /// What to report.
    pub(crate) fn into_fault(self) -> Option<Fault> {
        match self {
            Self::Broken => None,
            Self::Undefined(fault) | Self::Fault(fault) => Some(*fault),
        }
    }
}

impl From<Fault> for NoValue {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl<'t> Context<'t> {
    /// The value of `node`, which stands in the last of the tables `scope` (from the root inwards).
    pub(crate) fn evaluate(
        &self,
        node: &'t Node,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        Walk::new(*self, node).node(node, scope)
    }

    pub(crate) fn location(&self, span: Span) -> Option<Location> {
        self.sources.location(span)
    }

    /// A group that holds itself, by a reference at `at`.
    pub(crate) fn holds_itself(&self, at: Span) -> Fault {
        let text = format!("`{}` leads to a group that holds it", self.sources.slice(at));
        Fault::error(self.location(at), text).label("back to a group around it")
    }

    /// Refuses a value that lies too deep, or is one too many; what refers to itself is both.
    pub(crate) fn check_bounds(
        &self,
        depth: usize,
        count: usize,
        at: Option<Span>,
    ) -> Result<(), Fault> {
        // No file has more values than bytes.
        let most = READ_VALUES_MAX + self.sources.bytes();
        let text = if depth > READ_DEPTH_MAX {
            format!("values within values, deeper than {READ_DEPTH_MAX} levels")
        } else if count > most {
            format!("references make more than {most} values")
        } else {
            return Ok(());
        };
        let location = at.and_then(|span| self.location(span));
        Err(Fault::error(location, text).help("do these values hold each other?"))
    }
}

impl<'t> Evaluated<'t> {
    /// Which group it is, the same for every reference that leads to it.
    pub(crate) fn group(&self) -> Option<usize> {
        match self.value {
            Value::Table(table) => Some(std::ptr::from_ref(table).addr()),
            Value::List(items) if !items.is_empty() => Some(items.as_ptr().addr()),
            _ => None,
        }
    }

    fn new(value: Value<'t>, span: Span) -> Self {
        Self { value, span, raw: None, variable: None, secret: false }
    }

    pub(crate) fn table(table: &'t Table) -> Self {
        Self::new(Value::Table(table), table.span)
    }
}

impl<'t> Walk<'t> {
    /// The value of `node`, unless it lies too deep.
    fn node(&mut self, node: &'t Node, scope: &[&'t Table]) -> Result<Evaluated<'t>, NoValue> {
        if self.depth == NESTED_MAX {
            let text = format!("more than {NESTED_MAX} values within values");
            return Err(Fault::error(self.context.location(node.span), text).into());
        }
        self.depth += 1;
        let result = self.expr(node, scope);
        self.depth -= 1;
        result
    }

    fn expr(&mut self, node: &'t Node, scope: &[&'t Table]) -> Result<Evaluated<'t>, NoValue> {
        let span = node.span;
        let literal = |value| {
            let raw = Some(self.context.sources.slice(span));
            Ok(Evaluated { raw, ..Evaluated::new(value, span) })
        };
        match &node.expr {
            Expr::Null => Ok(Evaluated::new(Value::Null, span)),
            Expr::Bool(value) => literal(Value::Bool(*value)),
            Expr::Int(value) => literal(Value::Int((*value).into())),
            Expr::Large(value) => literal(Value::Int(**value)),
            Expr::Float(value) => literal(Value::Float(*value)),
            Expr::Range(first, last) => literal(Value::Range(*first, *last)),
            Expr::Text { text, .. } => Ok(Evaluated::new(Value::Text(Cow::Borrowed(text)), span)),
            Expr::List(items) => Ok(Evaluated::new(Value::List(items), span)),
            Expr::Table(table) => Ok(Evaluated::new(Value::Table(table), span)),
            Expr::Template(parts) => self.template(parts, span, scope),
            Expr::Reference(path) => self.reference(path, span, scope),
            Expr::Env(env) => self.env(env, span, scope),
            Expr::Http(http) => self.http(http, span, scope),
            Expr::Call(call) => self.call(call, span, scope),
            Expr::Import(import) => self.import(import, span),
            Expr::Operation(operation) => self.operation(operation, span, scope),
            Expr::Typed(typed) => self.typed_entry(typed, span, scope),
            Expr::Broken => Err(NoValue::Broken),
        }
    }

    fn template(
        &mut self,
        parts: &'t [Part],
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        let mut result = Evaluated::new(Value::Null, span);
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Variable { name, default, span } => {
                    let Some(value) = self.variable_in_text(name, default.as_deref(), *span)?
                    else {
                        result.value = Value::Unknown;
                        return Ok(result);
                    };
                    text.push_str(value);
                    result.variable = (parts.len() == 1).then_some(name);
                }
                Part::Value(node) => {
                    let value = self.node(node, scope)?;
                    result.secret |= value.secret;
                    let name = match &node.expr {
                        Expr::Reference(path) => path,
                        _ => self.context.sources.slice(node.span),
                    };
                    if let Value::Unknown = value.value {
                        result.value = Value::Unknown;
                        return Ok(result);
                    }
                    text.push_str(&self.as_text(value, name, node.span)?);
                }
                Part::Global { name, span } if self.globals(*span).entry(name).is_some() => {
                    let value = self.global(name, *span)?;
                    result.secret |= value.secret;
                    text.push_str(&self.as_text(value, name, *span)?);
                }
                Part::Global { span, .. } => text.push_str(self.context.sources.slice(*span)),
            }
            if text.len() > TEXT_MAX {
                let text = format!("interpolation makes a text of more than {TEXT_MAX} bytes");
                return Err(Fault::error(self.context.location(span), text).into());
            }
        }
        result.value = Value::Text(Cow::Owned(text));
        Ok(result)
    }

    /// A value as a piece of a text.
    pub(super) fn as_text(
        &self,
        value: Evaluated<'t>,
        path: &str,
        at: Span,
    ) -> Result<Cow<'t, str>, NoValue> {
        let kind = match (value.value, value.raw) {
            (Value::Text(text), _) => return Ok(text),
            (Value::Http { url, .. }, _) => return Ok(Cow::Owned(url)),
            (Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Range(..), Some(raw)) => {
                return Ok(Cow::Borrowed(raw));
            }
            (Value::Bool(value), None) => return Ok(Cow::Owned(value.to_string())),
            (Value::Int(value), None) => return Ok(Cow::Owned(value.to_string())),
            (Value::Float(value), None) => return Ok(Cow::Owned(value.to_string())),
            (Value::Range(first, last), None) => return Ok(Cow::Owned(format!("{first}-{last}"))),
            (Value::Unknown, _) => return Ok(Cow::Borrowed("")),
            (Value::Null, _) => "is null",
            (Value::List(_) | Value::Texts(_) | Value::Arguments(_) | Value::Calls(_), _) => {
                "is a list"
            }
            (Value::Table(_) | Value::Argument(_), _) => "is a group of keys",
            (Value::Call(_), _) => "is an operator that nothing evaluates",
        };
        let text = format!("`{path}` {kind}, which cannot stand in a text");
        let fault = Fault::error(self.context.location(at), text);
        Err(fault.note(self.context.location(value.span), "its value is here").into())
    }

    fn http(
        &mut self,
        http: &'t Http,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        let mut secret = false;
        let mut text = |walk: &mut Self, node: &'t Node, what| {
            let value = walk.node(node, scope)?;
            secret |= value.secret;
            walk.as_text(value, what, node.span)
        };
        let method = match &http.method {
            Some(method) => text(self, method, "method")?.to_ascii_uppercase(),
            None => "GET".to_owned(),
        };
        let url = text(self, &http.url, "url")?.into_owned();
        if method.is_empty() && self.context.assume_set {
            return Ok(Evaluated { secret, ..Evaluated::new(Value::Http { method, url }, span) });
        }
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let at = http.method.as_ref().map_or(span, |method| method.span);
            let text = "expected a method such as GET";
            return Err(Fault::error(self.context.location(at), text).into());
        }
        Ok(Evaluated { secret, ..Evaluated::new(Value::Http { method, url }, span) })
    }
}
