//! `@env`, `@env.secure` and `${NAME:-default}`.

use std::borrow::Cow;

use super::{Evaluated, NoValue, Value, Walk};
use crate::fault::Fault;
use crate::scalar;
use crate::source::Span;
use crate::suggest::nearest;
use crate::syntax::number::{self, Number};
use crate::tree::{Env, Expr, Node, Table};
use crate::vars::Unreadable;

impl<'t> Walk<'t> {
    pub(super) fn env(
        &mut self,
        env: &'t Env,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        let name = &*env.name;
        let result = Evaluated {
            variable: Some(name),
            secret: env.secure,
            ..Evaluated::new(Value::Null, span)
        };
        match (self.lookup(name, span)?, &env.default) {
            (Some(text), _) if env.secure && text.trim().is_empty() => {
                Err(self.unset(name, "is empty", span))
            }
            (Some(text), None) => {
                Ok(Evaluated { value: Value::Text(Cow::Borrowed(text)), ..result })
            }
            (Some(text), Some(default)) => {
                let value = self.typed(name, text, default, span)?;
                Ok(Evaluated { value, raw: Some(text.trim()), ..result })
            }
            (None, Some(default)) => self.node(default, scope),
            (None, None) if self.context.assume_set => {
                Ok(Evaluated { value: Value::Unknown, ..result })
            }
            (None, None) if env.secure => Err(self.unset(name, "is not set", span)),
            (None, None) => Ok(result),
        }
    }

    /// Only the file given for the variable can go wrong.
    fn lookup(&self, name: &str, span: Span) -> Result<Option<&'t str>, NoValue> {
        self.context.vars.lookup(name).map_err(|Unreadable { variable, path, reason }| {
            let text = format!(
                "{variable} names `{}`, which cannot be read: {reason}",
                path.escape_debug()
            );
            Fault::error(self.context.location(span), text).into()
        })
    }

    fn unset(&self, name: &str, what: &str, span: Span) -> NoValue {
        let mut help = format!("set {name}, or {name}_FILE to the name of a file that holds it");
        if let Some(near) = nearest(name, self.context.vars.names()) {
            help = format!("{help}; {near} is set, is that the one?");
        }
        let fault = Fault::error(self.context.location(span), format!("{name} {what}"));
        fault.label("required here").help(help).into()
    }

    /// The type of the default is the type of the variable.
    fn typed(
        &self,
        name: &str,
        text: &'t str,
        default: &Node,
        span: Span,
    ) -> Result<Value<'t>, NoValue> {
        let expected = match &default.expr {
            Expr::Int(_) | Expr::Large(_) | Expr::Float(_) => match number::parse(text.trim()) {
                Some(Number::Int(value)) => return Ok(Value::Int(value)),
                Some(Number::Float(value)) => return Ok(Value::Float(value)),
                _ => "a number",
            },
            Expr::Bool(_) => match scalar::boolean(text) {
                Some(value) => return Ok(Value::Bool(value)),
                None => "true or false",
            },
            Expr::List(_) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                return Ok(Value::Texts(items.collect()));
            }
            _ => return Ok(Value::Text(Cow::Borrowed(text))),
        };
        let shown = scalar::shown(text);
        let what = format!("{name} is {shown}, not {expected}, which its default says it is");
        let help = if is_service_link(name, text) {
            format!(
                "Kubernetes sets {name} in the pod for a Service of that name (service links): write \
                 `enableServiceLinks: false` into the pod's spec, or set {name} there"
            )
        } else {
            format!("correct {name}; a default in quotes would take any text")
        };
        let fault = Fault::error(self.context.location(span), what);
        Err(fault.label("the default is here").help(help).into())
    }

    /// `${NAME:-default}` takes the default on empty too. `None` when only files are checked.
    pub(super) fn variable_in_text(
        &self,
        name: &str,
        default: Option<&'t str>,
        span: Span,
    ) -> Result<Option<&'t str>, NoValue> {
        match (self.lookup(name, span)?, default) {
            (Some(value), None) => Ok(Some(value)),
            (Some(value), Some(_)) if !value.is_empty() => Ok(Some(value)),
            (_, Some(default)) => Ok(Some(default)),
            (None, None) if self.context.assume_set => Ok(None),
            (None, None) => {
                let help = format!("set {name}, or write ${{{name}:-default}}");
                let text = format!("{name} is not set");
                Err(Fault::error(self.context.location(span), text).help(help).into())
            }
        }
    }
}

/// Whether a variable is one that Kubernetes sets for a Service: `USER_SERVICE_PORT` is
/// `tcp://10.96.0.1:80` where there is a Service named `user-service`.
fn is_service_link(name: &str, text: &str) -> bool {
    let schemes = ["tcp://", "udp://", "sctp://"];
    name.ends_with("_PORT") && schemes.iter().any(|scheme| text.starts_with(scheme))
}
