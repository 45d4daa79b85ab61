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
                let format = self.argument(format, scope)?;
                self.date(&format, format_span(values[0]))
            }
            ("file.read" | "json", [path]) => {
                let at = path.span;
                let path = self.argument(path, scope)?;
                self.answer(call, at, scope, |walk| {
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
        let Some(operator) = self.context.outside.operator(&call.name) else {
            return Ok(Evaluated::new(Value::Call(call), span));
        };
        if self.context.assume_set {
            return Ok(Evaluated::new(Value::Unknown, span));
        }
        let mut arguments = Vec::new();
        for argument in &call.arguments {
            arguments.push(self.argument(&argument.value, scope)?.into_owned());
        }
        self.answer(call, span, scope, |_| operator(&arguments).map(Some))
    }

    /// What came from outside, asked for once. A value out of it has the place of the operator.
    fn answer(
        &mut self,
        call: &'t Call,
        span: Span,
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
            Some(Ok(node)) => self.node(node, scope),
            Some(Err(reason)) => Err(Fault::error(
                self.context.place(span),
                format!("@{} gives nothing: {reason}", call.name),
            )
            .into()),
            None => Ok(Evaluated::new(Value::Unknown, span)),
        }
    }

    fn argument(&mut self, node: &'t Node, scope: &[&'t Table]) -> Result<Cow<'t, str>, NoValue> {
        let value = self.node(node, scope)?;
        let name = self.context.sources.slice(node.span);
        self.as_text(value, name, node.span)
    }

    fn date(&self, format: &str, span: Span) -> Result<Evaluated<'t>, NoValue> {
        match date::format(self.context.outside.now, format) {
            Ok(text) => Ok(Evaluated::new(Value::Text(Cow::Owned(text)), span)),
            Err(letter) => {
                let text = format!("`{letter}` is no letter of a date");
                let help = date::HELP;
                Err(Fault::error(self.context.place(span), text).help(help).into())
            }
        }
    }
}

fn format_span(node: &Node) -> Span {
    node.span
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
