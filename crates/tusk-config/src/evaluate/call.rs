//! `@if`, `@date`, `@cache`; `@file.read` and `@json`; and the operators of the host.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::{Evaluated, NoValue, Value, Walk};
use crate::fault::Fault;
use crate::outside::date;
use crate::source::Span;
use crate::tree::{Call, Entry, Expr, Node, Table};

impl<'t> Walk<'t> {
    pub(super) fn call(
        &mut self,
        call: &'t Call,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        let values: Vec<&'t Node> = call.arguments.iter().map(|argument| &argument.value).collect();
        match (&*call.name, values.as_slice()) {
            ("if", [condition, yes, no]) => self.choice(condition, yes, no, span, scope),
            // The time for which a value may be kept says nothing here: it is read once.
            ("cache", [_, value]) => self.node(value, scope),
            ("date", []) => self.date("c", span),
            ("date", [format]) => {
                let at = format.span;
                let (format, _) = self.argument(format, scope)?;
                self.date(&format, at)
            }
            ("file.read" | "json", [path]) => {
                let at = path.span;
                let (path, secret) = self.argument(path, scope)?;
                self.answer(call, at, secret, scope, |walk| {
                    if walk.context.assume_set {
                        return Ok(None);
                    }
                    let text = walk.context.outside.read(&path)?;
                    Ok(Some(match &*call.name {
                        "json" => serde_json::from_str(&text)
                            .map_err(|error| format!("{path} is no JSON: {error}"))?,
                        _ => Json::String(text),
                    }))
                })
            }
            _ => self.of_the_host(call, span, scope),
        }
    }

    /// An operator that the host answers; any other stays what it is.
    fn of_the_host(
        &mut self,
        call: &'t Call,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        // The host answers operators, not what is called on their answers.
        let operator = self.context.outside.operator(&call.name);
        let Some(operator) = operator.filter(|_| call.then.is_empty()) else {
            return Ok(Evaluated::new(Value::Call(call), span));
        };
        if self.context.assume_set {
            return Ok(Evaluated::new(Value::Unknown, span));
        }
        let (mut arguments, mut secret) = (Vec::new(), false);
        for argument in &call.arguments {
            let (text, is_secret) = self.argument(&argument.value, scope)?;
            arguments.push(text.into_owned());
            secret |= is_secret;
        }
        self.answer(call, span, secret, scope, |_| operator(&arguments).map(Some))
    }

    /// What came from outside, asked for once. A value out of it has the place of the operator. Asked
    /// for with a secret, it is one, and the reason of a failure is not told: it may quote it.
    fn answer(
        &mut self,
        call: &'t Call,
        span: Span,
        secret: bool,
        scope: &[&'t Table],
        ask: impl FnOnce(&Self) -> Result<Option<Json>, String>,
    ) -> Result<Evaluated<'t>, NoValue> {
        if call.answer.get().is_none() {
            let answer = match ask(self) {
                Ok(None) => return Ok(Evaluated::new(Value::Unknown, span)),
                Ok(Some(json)) => Ok(node(json, span)),
                Err(reason) => Err(reason),
            };
            drop(call.answer.set(answer));
        }
        match call.answer.get() {
            Some(Ok(node)) => {
                let found = self.node(node, scope)?;
                Ok(Evaluated { secret: found.secret || secret, ..found })
            }
            Some(Err(reason)) => {
                let reason = if secret { "it was asked with a secret" } else { reason };
                let text = format!("@{} gives nothing: {reason}", call.name);
                Err(Fault::error(self.context.location(span), text).into())
            }
            None => Ok(Evaluated::new(Value::Unknown, span)),
        }
    }

    /// An argument as a text, and whether it is a secret.
    fn argument(
        &mut self,
        node: &'t Node,
        scope: &[&'t Table],
    ) -> Result<(Cow<'t, str>, bool), NoValue> {
        let value = self.node(node, scope)?;
        let name = self.context.sources.slice(node.span);
        let secret = value.secret;
        Ok((self.as_text(value, name, node.span)?, secret))
    }

    fn date(&self, format: &str, span: Span) -> Result<Evaluated<'t>, NoValue> {
        match date::format(self.context.outside.now, format) {
            Ok(text) => Ok(Evaluated::new(Value::Text(Cow::Owned(text)), span)),
            Err(letter) => {
                let text = format!("`{letter}` is no letter of a date");
                let help = date::HELP;
                Err(Fault::error(self.context.location(span), text).help(help).into())
            }
        }
    }
}

/// JSON as a value of a file.
fn node(json: Json, span: Span) -> Node {
    let expr = match json {
        Json::Null => Expr::Null,
        Json::Bool(value) => Expr::Bool(value),
        Json::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(value), _) => value.into(),
            (None, value) => Expr::Float(value.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Expr::Text { text: text.into(), bare: false },
        Json::Array(items) => Expr::List(items.into_iter().map(|item| node(item, span)).collect()),
        Json::Object(entries) => {
            let mut table = Table::new(span);
            for (key, value) in entries {
                table.put(Entry::new(key.into(), span, node(value, span)), &mut |_, _| {});
            }
            Expr::Table(Box::new(table))
        }
    };
    Node { expr, span }
}
