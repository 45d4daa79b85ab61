//! What begins with `@`: operators, references, keys of other files.

use std::sync::OnceLock;

use super::interpolation::is_name;
use super::scan::is_word;
use super::value::Within;
use super::{DEPTH_MAX, Parser, Stop};
use crate::source::Span;
use crate::tree::{Argument, Call, Env, Expr, Http, Import, Node};

/// Operators that this crate evaluates itself, with the fewest and the most arguments of each.
const EVALUATED: [(&str, usize, usize); 5] =
    [("if", 3, 3), ("date", 0, 1), ("file.read", 1, 1), ("json", 1, 1), ("cache", 2, 2)];

/// Operators of the scripting language.
const SCRIPTS: [&str; 2] = ["lambda", "foreach"];

/// How many files one file may take keys from.
const IMPORTS_MAX: usize = 64;

/// A call with nothing called on it.
fn call(name: &str, arguments: Vec<Argument>) -> Call {
    Call { name: name.into(), arguments, then: Vec::new(), answer: OnceLock::new() }
}

impl Parser<'_> {
    pub(super) fn operator(&mut self) -> Result<Node, Stop> {
        let start = self.pos;
        self.pos += 1;
        self.pos = self.run(self.pos, |byte| is_word(byte) || byte == b'.' || byte == b'-');
        let name = &self.text[start + 1..self.pos];
        let span = self.span(start);
        let expr = match (name, self.peek() == Some(b'(')) {
            ("env", true) => self.env(span, false)?,
            ("env.secure", true) => self.env(span, true)?,
            ("http", true) => self.http(span)?,
            ("env" | "env.secure" | "http", false) => {
                let text = format!("@{name} needs its arguments in parentheses");
                let help = "for example @env(\"NAME\", default)";
                return Err(self.error_with_help(span, text, help));
            }
            (name, false) if name.starts_with("env.") => self.env_path(&name[4..], span)?,
            ("", _) => return Err(self.error(span, "expected the name of an operator after `@`")),
            (name, _) if SCRIPTS.contains(&name) => {
                return Err(self.script(span, &format!("@{name}")));
            }
            (name, true) if name.ends_with(".tsk.get") => {
                self.import(&name[..name.len() - 4], span)?
            }
            (name, true) => self.call(name, span)?,
            (name, false) if name.ends_with('.') => {
                return Err(self.error(span, "expected a name after the dot"));
            }
            (name, false) => Expr::Reference(name.into()),
        };
        Ok(Node { expr, span: self.span(start) })
    }

    /// `@name(…)`; of those that are evaluated here, the number of arguments is known.
    fn call(&mut self, name: &str, span: Span) -> Result<Expr, Stop> {
        let arguments = self.arguments()?;
        if let Some((_, least, most)) = EVALUATED.iter().find(|(known, ..)| *known == name) {
            let count = arguments.len();
            if !(*least..=*most).contains(&count) {
                let wanted =
                    if least == most { most.to_string() } else { format!("at most {most}") };
                let text = format!("@{name} takes {wanted} arguments, not {count}");
                return Err(self.error(span, text));
            }
        }
        let is_evaluated = EVALUATED.iter().any(|(known, ..)| *known == name);
        let then = if is_evaluated { Vec::new() } else { self.chained()? };
        Ok(Expr::Call(Box::new(Call { then, ..call(name, arguments) })))
    }

    /// `.name(…)`, any number of times, on the same line or on lines below.
    fn chained(&mut self) -> Result<Vec<Call>, Stop> {
        let mut then = Vec::new();
        while let Some(start) = self.next_in_chain() {
            self.pos = start + 1;
            let name = self.word();
            if then.len() == DEPTH_MAX {
                let span = self.span(start);
                return Err(self.error(span, format!("more than {DEPTH_MAX} calls in one chain")));
            }
            then.push(call(name, self.arguments()?));
        }
        Ok(then)
    }

    /// Where the dot of `.name(` stands, when that is what comes next.
    fn next_in_chain(&self) -> Option<usize> {
        let dot = self.run(self.pos, |byte| byte.is_ascii_whitespace());
        let end = self.run(dot.saturating_add(1).min(self.bytes.len()), is_word);
        let is_call = self.bytes.get(dot) == Some(&b'.') && self.bytes.get(end) == Some(&b'(');
        (is_call && end > dot + 1).then_some(dot)
    }

    /// `@file.tsk.get("key")`
    fn import(&mut self, file: &str, span: Span) -> Result<Expr, Stop> {
        let mut arguments = self.arguments()?.into_iter();
        let first = arguments.next();
        let second = arguments.next();
        let Some((
            Argument { value: Node { expr: Expr::Text { text: key, .. }, span: key_span }, .. },
            None,
        )) = first.map(|first| (first, second))
        else {
            let help = "for example @database.tsk.get(\"database.url\")";
            return Err(self.error_with_help(span, "expected the path of one key", help));
        };
        if !self.imports.iter().any(|(known, _)| **known == *file) {
            if self.imports.len() == IMPORTS_MAX {
                return Err(self.error(span, format!("keys from more than {IMPORTS_MAX} files")));
            }
            self.imports.push((file.into(), span));
        }
        Ok(Expr::Import(Box::new(Import { file: file.into(), key, key_span })))
    }

    fn env(&mut self, span: Span, secure: bool) -> Result<Expr, Stop> {
        let mut arguments = self.arguments()?.into_iter();
        let first = arguments.next();
        let second = arguments.next();
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
        self.bracket(start, b')', |parser| {
            loop {
                let before = parser.pos;
                parser.blank()?;
                parser.not_beyond(start, before)?;
                if parser.eat(b')') {
                    return Ok(());
                }
                if parser.pos == parser.bytes.len() {
                    let span = parser.span_of(start, start + 1);
                    return Err(parser.error(span, "nothing closes this; expected `)`"));
                }
                let name = parser.argument_name();
                parser.spaces()?;
                let value = parser.unmarked(|parser| parser.value(Within::Arguments))?;
                arguments.push(Argument { name, value });
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
}
