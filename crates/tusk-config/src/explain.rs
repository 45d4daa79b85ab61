//! Where a value came from: what `tusk explain` shows.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::config::Config;
use crate::fault::Errors;
use crate::render::{Render, Rendered};
use crate::source::{Location, Span};
use crate::tree::{Entry, Expr, Import, Node, Part, Table};

/// How many references deep the origins of a value are followed.
const DEPTH_MAX: usize = 8;

/// How many origins of one place are told; references that double each other would have millions.
const ORIGINS_MAX: usize = 100;

/// How much of a value that is referred to is shown, in characters.
const VALUE_SHOWN_MAX: usize = 80;

/// The history of one key. Serialized, its places are texts, `file:line:column`.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The path that was asked for, keys joined with dots.
    pub path: String,
    /// The value, secrets redacted; `None` when it cannot be had, for which `fault` has the reason.
    pub value: Option<Rendered>,
    /// Why there is no value.
    pub fault: Option<String>,
    /// Where it stands and what it was before, newest first; at least one.
    pub steps: Vec<Step>,
}

/// One place that gives, or gave, the key a value.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The place; `None` for what stands nowhere.
    #[serde(rename = "place", serialize_with = "location")]
    pub location: Option<Location>,
    /// What is written there. Never the value of a variable.
    pub written: String,
    /// What it is made of, in order.
    pub origins: Vec<Origin>,
}

/// One thing that a value is made of.
#[derive(Debug, Clone, Serialize)]
pub struct Origin {
    /// In words, for example `PORT is not set, its default stands in`.
    pub text: String,
    /// The name of the variable that it is, unless it is a reference.
    pub variable: Option<String>,
    /// Where that stands, when it is in a file.
    #[serde(rename = "place", serialize_with = "location")]
    pub location: Option<Location>,
    /// How many references it is away, from 0.
    pub depth: usize,
}

#[allow(clippy::ref_option, reason = "serde gives it so")]
fn location<S: Serializer>(location: &Option<Location>, serializer: S) -> Result<S::Ok, S::Error> {
    location.as_ref().map(ToString::to_string).serialize(serializer)
}

impl Config {
    /// The history of the key at a path: its value, the place, the variable or default that it came
    /// from, what it refers to, and everything that it replaced.
    pub fn explain(&self, path: &str) -> Result<Explanation, Errors> {
        let (entry, mut scope) = self.find(path)?;
        let mut steps = Vec::new();
        let mut next = Some(entry);
        while let Some(entry) = next {
            steps.push(self.step(entry, &scope));
            next = entry.before.as_deref();
        }
        let mut render = Render::new(self.context(), false);
        let value = render.node(&entry.value, &mut scope);
        let fault = render.faults.iter().chain(&render.circles).chain(&render.beyond).next();
        let fault = fault.map(|fault| fault.text().to_owned());
        let value = fault.is_none().then_some(value);
        Ok(Explanation { path: path.to_owned(), value, fault, steps })
    }

    fn step<'t>(&'t self, entry: &'t Entry, scope: &[&'t Table]) -> Step {
        let mut origins = Vec::new();
        self.origins(&entry.value, scope, 0, &mut origins);
        let written = match &entry.value.expr {
            Expr::Table(table) => format!("a group of {} keys", table.entries().len()),
            _ => self.sources.slice(entry.value.span).to_owned(),
        };
        let written = match (&entry.value.expr, written.is_empty()) {
            (Expr::Env(env), true) => format!("the variable {}", env.name),
            _ => written,
        };
        Step { location: self.sources.location(entry.value.span), written, origins }
    }

    fn origins<'t>(
        &'t self,
        node: &'t Node,
        scope: &[&'t Table],
        depth: usize,
        origins: &mut Vec<Origin>,
    ) {
        if node.as_table().is_some() {
            return;
        }
        let mut references = Vec::new();
        let mut follow = |target, span| references.push((target, span));
        node.each(&mut |node| match &node.expr {
            Expr::Env(env) => {
                origins.push(self.variable(&env.name, env.default.is_some(), node.span, depth));
            }
            Expr::Template(parts) => {
                for part in parts {
                    match part {
                        Part::Variable { name, default, span } => {
                            origins.push(self.variable(name, default.is_some(), *span, depth));
                        }
                        Part::Global { name, span } => follow(Target::Global(name), *span),
                        Part::Text(_) | Part::Value(_) => {}
                    }
                }
            }
            Expr::Reference(path) => follow(Target::Path(path), node.span),
            Expr::Import(import) => follow(Target::Import(import), node.span),
            _ => {}
        });
        for (target, span) in references {
            let Some((name, entry, mut trail)) = self.target(target, span, scope) else { continue };
            if depth == DEPTH_MAX || origins.len() >= ORIGINS_MAX {
                return;
            }
            let text = format!("{name} is {}", self.valued(&entry.value, &mut trail));
            let location = self.sources.location(entry.value.span);
            origins.push(Origin { text, variable: None, location, depth });
            self.origins(&entry.value, &trail, depth + 1, origins);
        }
    }

    /// Where a reference leads, what it is called, and the tables around it.
    fn target<'t>(
        &'t self,
        target: Target<'t>,
        span: Span,
        scope: &[&'t Table],
    ) -> Option<(String, &'t Entry, Vec<&'t Table>)> {
        let path = match target {
            Target::Path(path) => path.to_owned(),
            Target::Global(name) => format!("${name}"),
            Target::Import(import) => {
                let mut trail = Vec::new();
                let file = self.imports.file(span, &import.file).ok()?;
                let entry = file.root.find(&import.key, &mut trail)?;
                return Some((format!("{} of {}", import.key, import.file), entry, trail));
            }
        };
        let (entry, trail) = self.context().lookup(&path, span, scope)?;
        Some((path, entry, trail))
    }

    /// The value of `node`, and what is written there where that says more.
    fn valued<'t>(&'t self, node: &'t Node, scope: &mut Vec<&'t Table>) -> String {
        let written = self.sources.slice(node.span);
        let literal = matches!(
            node.expr,
            Expr::Text { .. }
                | Expr::Null
                | Expr::Bool(_)
                | Expr::Range(..)
                | Expr::Int(_)
                | Expr::Large(_)
                | Expr::Float(_)
                | Expr::List(_)
                | Expr::Table(_)
        );
        if literal {
            return written.to_owned();
        }
        let mut render = Render::new(self.context(), false);
        let value = render.node(node, scope);
        if render.faults.is_empty() && render.circles.is_empty() && render.beyond.is_none() {
            let shown = serde_json::to_string(&value).unwrap_or_default();
            let more = if shown.chars().count() > VALUE_SHOWN_MAX { "…" } else { "" };
            let shown: String = shown.chars().take(VALUE_SHOWN_MAX).collect();
            format!("{shown}{more}, by {written}")
        } else {
            format!("without a value, by {written}")
        }
    }

    /// How things are with a variable; never its value.
    fn variable(&self, name: &str, has_default: bool, span: Span, depth: usize) -> Origin {
        let text = match (self.vars.origin(name), has_default) {
            (Some(origin), _) => origin,
            (None, true) => format!("{name} is not set, its default stands in"),
            (None, false) => format!("{name} is not set"),
        };
        Origin {
            text,
            variable: Some(name.to_owned()),
            location: self.sources.location(span),
            depth,
        }
    }
}

/// What a reference names.
#[derive(Clone, Copy)]
enum Target<'t> {
    Path(&'t str),
    Global(&'t str),
    Import(&'t Import),
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.value, &self.fault) {
            (Some(value), _) => {
                let value = serde_json::to_string(value).map_err(|_| fmt::Error)?;
                write!(f, "{} = {value}", self.path)?;
            }
            (None, fault) => {
                let fault = fault.as_deref().unwrap_or("it could not be read");
                write!(f, "{} has no value: {fault}", self.path)?;
            }
        }
        for (index, step) in self.steps.iter().enumerate() {
            let before = if index == 0 { "" } else { "replaced " };
            let location =
                step.location.as_ref().map_or(String::new(), |location| format!("{location}  "));
            write!(f, "\n  {before}{location}{}", one_line(&step.written))?;
            for origin in &step.origins {
                let indent = " ".repeat(4 + 2 * origin.depth);
                write!(f, "\n{indent}{}", one_line(&origin.text))?;
                let elsewhere = origin.location.as_ref().filter(|_| origin.variable.is_none());
                elsewhere.into_iter().try_for_each(|location| write!(f, " ({location})"))?;
            }
        }
        Ok(())
    }
}

/// What spans lines is cut, and control characters (a terminal would obey them) are dots.
fn one_line(text: &str) -> String {
    let (first, more) = match text.split_once('\n') {
        Some((first, _)) => (first.trim_end(), " …"),
        None => (text, ""),
    };
    let visible = |c: char| if c.is_control() { '·' } else { c };
    format!("{}{more}", first.chars().map(visible).collect::<String>())
}
