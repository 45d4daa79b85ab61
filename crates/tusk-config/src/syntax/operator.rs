//! Operators: `@env`, `@env.secure`, `@http`; any other is kept by name and refused when read.

use super::text::is_name;
use super::value::Within;
use super::{Parser, Stop};
use crate::source::Span;
use crate::tree::{Env, Expr, Http, Node};

/// An argument with the name it may have been given.
struct Argument {
    name: Option<Box<str>>,
    value: Node,
}

impl Parser<'_> {
    pub(super) fn operator(&mut self) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos += 1;
        let mut name = self.word().to_owned();
        while !name.is_empty() && self.peek() == Some(b'.') {
            self.pos += 1;
            name.push('.');
            name.push_str(self.word());
        }
        let call = self.peek() == Some(b'(');
        let span = self.span(start);
        let expr = match (name.as_str(), call) {
            ("env", true) => self.env(span, false)?,
            ("env.secure", true) => self.env(span, true)?,
            ("http", true) => self.http(span)?,
            ("env" | "env.secure" | "http", false) => {
                let text = format!("@{name} needs its arguments in parentheses");
                return Err(self.error_with_help(
                    span,
                    text,
                    "for example @env(\"NAME\", default)",
                ));
            }
            (name, false) if name.starts_with("env.") => self.env_path(&name[4..], span)?,
            ("", _) => return Err(self.error(span, "expected the name of an operator after `@`")),
            (name, true) => {
                self.skip_arguments()?;
                Expr::Operator(name.into())
            }
            (name, false) => Expr::Operator(name.into()),
        };
        Ok(Node { expr, span: self.span(start) })
    }

    fn env(&mut self, span: Span, secure: bool) -> Result<Expr, Stop> {
        let mut arguments = self.arguments()?.into_iter();
        let (first, second) = (arguments.next(), arguments.next());
        if let Some(extra) = arguments.next() {
            return Err(self.error(extra.value.span, "@env takes a name and a default only"));
        }
        let Some(Argument {
            name: None,
            value: Node { expr: Expr::Text { text: name, .. }, span: at },
        }) = first
        else {
            let at = first.map_or(span, |first| first.value.span);
            let text = "expected the name of a variable";
            return Err(self.error_with_help(at, text, "for example @env(\"NAME\", default)"));
        };
        if !is_name(&name) {
            let text = format!("`{}` is no name of a variable", name.escape_debug());
            let help = "use letters, digits and `_`, not beginning with a digit";
            return Err(self.error_with_help(at, text, help));
        }
        if let Some(second) = &second {
            let other = second.name.as_deref().is_some_and(|name| name != "default");
            if secure || other {
                let text = if secure { "a secret has no default" } else { "expected `default`" };
                return Err(self.error(second.value.span, text));
            }
            if second.value.as_table().is_some() {
                let text = "a variable cannot stand for an object";
                return Err(self.error(second.value.span, text));
            }
        }
        let default = second.map(|second| second.value);
        Ok(Expr::Env(Box::new(Env { name, default, secure })))
    }

    /// `@env.NAME`
    fn env_path(&mut self, name: &str, span: Span) -> Result<Expr, Stop> {
        if is_name(name) && self.peek() != Some(b'(') {
            let env = Env { name: name.into(), default: None, secure: false };
            return Ok(Expr::Env(Box::new(env)));
        }
        let text = format!("`{}` is no name of a variable", name.escape_debug());
        Err(self.error_with_help(span, text, "write @env.NAME or @env(\"NAME\", default)"))
    }

    fn http(&mut self, span: Span) -> Result<Expr, Stop> {
        let arguments = self.arguments()?;
        let (mut method, mut url) = (None, None);
        let alone = arguments.len() == 1;
        for argument in arguments {
            let at = argument.value.span;
            let slot = match argument.name.as_deref() {
                Some("method") => &mut method,
                None if method.is_none() && !alone => &mut method,
                None | Some("url") => &mut url,
                Some(_) => return Err(self.error(at, "@http takes a method and a URL only")),
            };
            if slot.replace(argument.value).is_some() {
                return Err(self.error(at, "@http takes a method and a URL only"));
            }
        }
        let Some(url) = url else {
            let help = "for example @http(\"GET\", \"http://#{host}/health\")";
            return Err(self.error_with_help(span, "@http needs a URL", help));
        };
        Ok(Expr::Http(Box::new(Http { method, url })))
    }

    /// `(a, name: b)`, over any number of lines.
    fn arguments(&mut self) -> Result<Vec<Argument>, Stop> {
        let start = self.pos;
        self.pos += 1;
        let mut arguments = Vec::new();
        self.nested(start, |parser| {
            loop {
                parser.blank()?;
                if parser.eat(b')') {
                    return Ok(());
                }
                if parser.pos == parser.bytes.len() {
                    let span = parser.span_of(start, start + 1);
                    return Err(parser.error(span, "nothing closes this; expected `)`"));
                }
                let name = parser.argument_name();
                parser.spaces()?;
                arguments.push(Argument { name, value: parser.value(Within::Arguments)? });
                parser.blank()?;
                if !parser.eat(b',') && parser.peek() != Some(b')') {
                    return Err(parser.after_value());
                }
            }
        })?;
        Ok(arguments)
    }

    /// `name:` or `name=` before an argument. `http://…` without quotes is none.
    fn argument_name(&mut self) -> Option<Box<str>> {
        let start = self.pos;
        let name: Box<str> = self.word().into();
        while self.eat(b' ') {}
        let named = !name.is_empty() && matches!(self.peek(), Some(b':' | b'='));
        if named && !self.starts("://") {
            self.pos += 1;
            return Some(name);
        }
        self.pos = start;
        None
    }

    /// Arguments of an operator that is not evaluated: only their end is looked for.
    fn skip_arguments(&mut self) -> Result<(), Stop> {
        let start = self.pos;
        let (mut open, mut quote) = (0_usize, None);
        while let Some(byte) = self.peek() {
            self.pos += 1;
            match (quote, byte) {
                (Some(_), b'\\') => self.pos = (self.pos + 1).min(self.bytes.len()),
                (Some(closing), _) if byte == closing => quote = None,
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'(') => open += 1,
                (None, b')') => open -= 1,
                _ => {}
            }
            if open == 0 {
                return Ok(());
            }
        }
        let span = self.span_of(start, start + 1);
        Err(self.error(span, "nothing closes this; expected `)`"))
    }
}
