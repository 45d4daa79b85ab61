//! From what is written to what it means: variables, references, interpolation.
//!
//! Evaluation is lazy. A value is evaluated when the typed reading asks for it, so an unset variable
//! in a section that nobody reads is no fault. Values are borrowed from the tree and the variables
//! wherever they can be; a secret is copied once, into the setting itself.

use std::borrow::Cow;

use crate::fault::Fault;
use crate::source::{Place, Sources, Span};
use crate::suggest::nearest;
use crate::syntax::DEPTH_MAX;
use crate::tree::{Entry, Expr, Http, Node, Part, Table};
use crate::vars::Vars;

mod variable;

/// The longest text that interpolation may build, in bytes.
const TEXT_MAX: usize = 64 * 1024;

/// How many references one value may follow in all; a few lines that double each other would
/// otherwise take forever.
const LOOKUPS_MAX: usize = 4096;

/// Everything that a value may refer to.
#[derive(Clone, Copy)]
pub(crate) struct Context<'t> {
    pub(crate) root: &'t Table,
    pub(crate) globals: &'t Table,
    pub(crate) sources: &'t Sources,
    pub(crate) vars: &'t Vars,
    /// Take every variable as set; for checks of the files alone.
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
    List(&'t [Node]),
    /// A list out of one variable.
    Texts(Vec<&'t str>),
    Table(&'t Table),
    Http {
        method: String,
        url: String,
    },
}

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum NoValue {
    /// The fault was reported when the file was read.
    Broken,
    Fault(Box<Fault>),
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
        let first = Step { node, name: "", span: node.span };
        Walk { context: *self, steps: vec![first], lookups: 0 }.node(node, scope)
    }

    pub(crate) fn place(&self, span: Span) -> Option<Place> {
        self.sources.place(span)
    }
}

impl<'t> Evaluated<'t> {
    fn new(value: Value<'t>, span: Span) -> Self {
        Self { value, span, raw: None, variable: None, secret: false }
    }

    pub(crate) fn table(table: &'t Table) -> Self {
        Self::new(Value::Table(table), table.span)
    }
}

/// A reference that is being followed.
struct Step<'t> {
    node: &'t Node,
    name: &'t str,
    span: Span,
}

struct Walk<'t> {
    context: Context<'t>,
    steps: Vec<Step<'t>>,
    lookups: usize,
}

impl<'t> Walk<'t> {
    fn node(&mut self, node: &'t Node, scope: &[&'t Table]) -> Result<Evaluated<'t>, NoValue> {
        let span = node.span;
        let literal = |value| {
            let raw = Some(self.context.sources.slice(span));
            Ok(Evaluated { raw, ..Evaluated::new(value, span) })
        };
        match &node.expr {
            Expr::Null => Ok(Evaluated::new(Value::Null, span)),
            Expr::Bool(value) => literal(Value::Bool(*value)),
            Expr::Int(value) => literal(Value::Int(*value)),
            Expr::Float(value) => literal(Value::Float(*value)),
            Expr::Text { text, .. } => Ok(Evaluated::new(Value::Text(Cow::Borrowed(text)), span)),
            Expr::List(items) => Ok(Evaluated::new(Value::List(items), span)),
            Expr::Table(table) => Ok(Evaluated::new(Value::Table(table), span)),
            Expr::Template(parts) => self.template(parts, span, scope),
            Expr::Global(name) => self.global(name, span),
            Expr::Env(env) => self.env(env, span, scope),
            Expr::Http(http) => self.http(http, span, scope),
            Expr::Operator(name) => {
                let text = format!("the operator @{name} is not supported");
                let help = "use @env, @env.secure or @http, or write the value itself";
                Err(Fault::error(self.context.place(span), text).help(help).into())
            }
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
                    let value = self.variable_in_text(name, default.as_deref(), *span)?;
                    text.push_str(value);
                    result.variable = (parts.len() == 1).then_some(name);
                }
                Part::Reference { path, span } => {
                    let value = self.reference(path, *span, scope)?;
                    result.secret |= value.secret;
                    text.push_str(&self.as_text(value, path, *span)?);
                }
                Part::Global { name, span } if self.context.globals.entry(name).is_some() => {
                    let value = self.global(name, *span)?;
                    result.secret |= value.secret;
                    text.push_str(&self.as_text(value, name, *span)?);
                }
                Part::Global { span, .. } => text.push_str(self.context.sources.slice(*span)),
            }
            if text.len() > TEXT_MAX {
                let text = format!("interpolation makes a text of more than {TEXT_MAX} bytes");
                return Err(Fault::error(self.context.place(span), text).into());
            }
        }
        result.value = Value::Text(Cow::Owned(text));
        Ok(result)
    }

    /// A value as a piece of a text.
    fn as_text(&self, value: Evaluated<'t>, path: &str, at: Span) -> Result<Cow<'t, str>, NoValue> {
        let kind = match (value.value, value.raw) {
            (Value::Text(text), _) => return Ok(text),
            (Value::Http { url, .. }, _) => return Ok(Cow::Owned(url)),
            (Value::Bool(_) | Value::Int(_) | Value::Float(_), Some(raw)) => {
                return Ok(Cow::Borrowed(raw));
            }
            (Value::Bool(value), None) => return Ok(Cow::Owned(value.to_string())),
            (Value::Int(value), None) => return Ok(Cow::Owned(value.to_string())),
            (Value::Float(value), None) => return Ok(Cow::Owned(value.to_string())),
            (Value::Null, _) => "is null",
            (Value::List(_) | Value::Texts(_), _) => "is a list",
            (Value::Table(_), _) => "is a group of keys",
        };
        let text = format!("`{path}` {kind}, which cannot stand in a text");
        let fault = Fault::error(self.context.place(at), text);
        Err(fault.note(self.context.place(value.span), "its value is here").into())
    }

    fn global(&mut self, name: &'t str, span: Span) -> Result<Evaluated<'t>, NoValue> {
        let globals = self.context.globals;
        match globals.entry(name) {
            Some(entry) => self.follow(entry, name, span, &[globals]),
            None => Err(self.undefined(&format!("${name}"), span, &[])),
        }
    }

    /// `#{path}`: a sibling, then one of an enclosing table, then a global, then from the root.
    fn reference(
        &mut self,
        path: &'t str,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        if let Some(global) = path.strip_prefix('$') {
            return match self.context.globals.entry(global) {
                Some(_) => self.global(global, span),
                None => Err(self.undefined(path, span, scope)),
            };
        }
        let enclosing = usize::from(scope.len() > 1);
        for depth in (enclosing..scope.len()).rev() {
            let mut trail = scope[..depth].to_vec();
            if let Some(entry) = scope[depth].find(path, &mut trail) {
                return self.follow(entry, path, span, &trail);
            }
        }
        for table in [self.context.globals, self.context.root] {
            let mut trail = Vec::new();
            if let Some(entry) = table.find(path, &mut trail) {
                return self.follow(entry, path, span, &trail);
            }
        }
        Err(self.undefined(path, span, scope))
    }

    fn follow(
        &mut self,
        entry: &'t Entry,
        name: &'t str,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        let node = &entry.value;
        if let Some(first) = self.steps.iter().position(|step| std::ptr::eq(step.node, node)) {
            return Err(self.circle(first, name, span));
        }
        self.lookups += 1;
        if self.steps.len() > DEPTH_MAX || self.lookups > LOOKUPS_MAX {
            let text = format!("too many references from one value (at `{name}`)");
            return Err(Fault::error(self.context.place(span), text).into());
        }
        self.steps.push(Step { node, name, span });
        let result = self.node(node, scope);
        self.steps.pop();
        result
    }

    /// The values from step `first` on refer to each other.
    fn circle(&self, first: usize, name: &str, span: Span) -> NoValue {
        let through = self.steps[first + 1..].iter();
        let mut path = format!("`{name}`");
        for step in through.clone() {
            path = format!("{path} -> `{}`", step.name);
        }
        let text = format!("these values refer to each other in a circle: {path} -> `{name}`");
        let mut fault = Fault::error(self.context.place(self.steps[first].node.span), text);
        for step in through {
            fault = fault.note(self.context.place(step.span), format!("here to `{}`", step.name));
        }
        fault.note(self.context.place(span), format!("here back to `{name}`")).into()
    }

    fn undefined(&self, path: &str, span: Span, scope: &[&'t Table]) -> NoValue {
        let text = format!("`{path}` is not defined");
        let fault = Fault::error(self.context.place(span), text);
        let tables = scope.iter().copied().chain([self.context.globals, self.context.root]);
        let nested = self.context.root.entries().iter().filter_map(|entry| {
            let (first, _) = path.split_once('.')?;
            (*entry.key == *first).then(|| entry.value.as_table())?
        });
        let last = path.rsplit('.').next().unwrap_or(path).trim_start_matches('$');
        let near = nearest(last, nested.chain(tables).flat_map(Table::keys));
        match near {
            Some(near) => fault.help(format!("did you mean `{near}`?")).into(),
            None => fault
                .help("a reference names a key beside it, a $global, or a path from the root")
                .into(),
        }
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
        let unknown = method.is_empty() && self.context.assume_set;
        if !unknown && (method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            let at = http.method.as_ref().map_or(span, |method| method.span);
            let text = "expected a method such as GET";
            return Err(Fault::error(self.context.place(at), text).into());
        }
        Ok(Evaluated { secret, ..Evaluated::new(Value::Http { method, url }, span) })
    }
}
