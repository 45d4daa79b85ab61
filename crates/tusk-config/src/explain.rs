//! Where a value came from: what `tusk explain` shows.

use std::fmt;

use crate::config::Config;
use crate::fault::Errors;
use crate::render::{Render, Rendered};
use crate::source::Place;
use crate::tree::{Entry, Expr, Node, Part, Table};

/// How many references deep the origins of a value are followed.
const DEPTH_MAX: usize = 8;

/// The history of one key.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub struct Step {
    /// The place; `None` for what stands nowhere.
    pub place: Option<Place>,
    /// What is written there. Never the value of a variable.
    pub written: String,
    /// What it is made of, in order.
    pub origins: Vec<Origin>,
}

/// One thing that a value is made of.
#[derive(Debug, Clone)]
pub struct Origin {
    /// In words, for example `PORT is not set, its default stands in`.
    pub text: String,
    /// Where that stands, when it is in a file.
    pub place: Option<Place>,
    /// How many references it is away, from 0.
    pub depth: usize,
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
        Step { place: self.sources.place(entry.value.span), written, origins }
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
        node.each(&mut |node| match &node.expr {
            Expr::Env(env) => {
                let text = self.variable(&env.name, env.default.is_some());
                origins.push(Origin { text, place: self.sources.place(node.span), depth });
            }
            Expr::Template(parts) => {
                for part in parts {
                    match part {
                        Part::Variable { name, default, span } => {
                            let text = self.variable(name, default.is_some());
                            origins.push(Origin { text, place: self.sources.place(*span), depth });
                        }
                        Part::Global { name, span } => references.push((format!("${name}"), *span)),
                        Part::Text(_) | Part::Value(_) => {}
                    }
                }
            }
            Expr::Reference(path) => references.push((path.to_string(), node.span)),
            _ => {}
        });
        for (path, span) in references {
            let Some((entry, trail)) = self.context().lookup(&path, span, scope) else { continue };
            let text = format!("{path} is {}", self.sources.slice(entry.value.span));
            origins.push(Origin { text, place: self.sources.place(entry.value.span), depth });
            if depth < DEPTH_MAX {
                self.origins(&entry.value, &trail, depth + 1, origins);
            }
        }
    }

    /// How things are with a variable; never its value.
    fn variable(&self, name: &str, has_default: bool) -> String {
        match (self.vars.origin(name), has_default) {
            (Some(origin), _) => origin,
            (None, true) => format!("{name} is not set, its default stands in"),
            (None, false) => format!("{name} is not set"),
        }
    }
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
            let place = step.place.as_ref().map_or(String::new(), |place| format!("{place}  "));
            let (written, _) = step.written.split_once('\n').unwrap_or((&step.written, ""));
            write!(f, "\n  {before}{place}{written}")?;
            for origin in &step.origins {
                let indent = " ".repeat(4 + 2 * origin.depth);
                write!(f, "\n{indent}{}", origin.text)?;
                let elsewhere = origin.place.as_ref().filter(|_| !origin.text.contains(" set"));
                elsewhere.into_iter().try_for_each(|place| write!(f, " ({place})"))?;
            }
        }
        Ok(())
    }
}
