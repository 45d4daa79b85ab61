//! What is laid over the files: variables with a prefix, and single values.

use std::sync::Arc;

use crate::config::Config;
use crate::fault::{Fault, Severity};
use crate::source::{Home, Source, Span};
use crate::syntax;
use crate::tree::{Entry, Env, Expr, Node, Table};

/// What stands between two keys, and between the prefix and the first key.
const BETWEEN: &str = "__";

/// Lays the variables that begin with `prefix` over the tree, in the order of their names.
pub(crate) fn environment(config: &mut Config, prefix: &str) {
    let start = format!("{prefix}{BETWEEN}");
    let names = config.vars.names().filter(|name| name.starts_with(&start));
    let names: Vec<String> = names.map(str::to_owned).collect();
    for name in names {
        let keys: Vec<&str> = name[start.len()..].split(BETWEEN).collect();
        if keys.iter().any(|key| key.is_empty()) {
            let text = format!("{name} names no key");
            let help = format!("write {start}SECTION{BETWEEN}KEY");
            config.faults.push(Fault::error(None, text).help(help));
            continue;
        }
        let span = source(config, format!("the variable {name}"), String::new());
        let path: Vec<String> = existing(&config.root, &keys, spelt_like, str::to_lowercase);
        let value = variable(&name, old(&config.root, &path), span);
        put(config, path, value, span);
    }
}

/// Puts one value, written as in a file, at a path of keys joined with dots.
pub(crate) fn set(config: &mut Config, path: &str, value: &str) {
    let keys = sections_first(&config.root, path);
    let path: Vec<String> = existing(&config.root, &keys, str::eq, str::to_owned);
    let Some(last) = path.last().filter(|_| path.iter().all(|key| !key.is_empty())) else {
        config.faults.push(Fault::error(None, format!("`{path:?}` is no path of keys")));
        return;
    };
    let name = format!("the value given for {}", path.join("."));
    let text = format!("\"{}\": {value}", last.replace(['"', '\\'], ""));
    let span = source(config, name.clone(), text.clone());
    let document = syntax::parse(&Arc::new(Source { name, text }), span.source);
    let failed = document.faults.iter().any(|fault| fault.severity() == Severity::Error);
    config.faults.extend(document.faults);
    match document.root.entries() {
        [entry] => put(config, path, entry.value.clone(), entry.key_span),
        _ if failed => {}
        _ => {
            let location = config.sources.location(span);
            config.faults.push(Fault::error(location, "expected one value"));
        }
    }
}

fn source(config: &mut Config, name: String, text: String) -> Span {
    let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let source = config.sources.add(Arc::new(Source { name, text }), Home::Main);
    Span { source, start: 0, end }
}

/// The keys as the tree spells them, where it has them.
fn existing(
    root: &Table,
    keys: &[&str],
    same: impl Fn(&str, &str) -> bool,
    new: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut table = Some(root);
    let mut path = Vec::new();
    for key in keys {
        let entry =
            table.and_then(|table| table.entries().iter().find(|entry| same(&entry.key, key)));
        table = entry.and_then(|entry| entry.value.as_table());
        path.push(entry.map_or_else(|| new(key), |entry| entry.key.to_string()));
    }
    path
}

/// Letters and digits are the same but for their case; anything else is an underscore.
fn spelt_like(key: &str, name: &str) -> bool {
    let plain = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    key.chars().map(plain).eq(name.chars().map(plain))
}

/// The keys of a path; a name of a section may have dots of its own.
fn sections_first<'p>(root: &Table, path: &'p str) -> Vec<&'p str> {
    let section = root.keys().filter_map(|key| path.strip_prefix(key)?.strip_prefix('.'));
    let longest = section.min_by_key(|rest| rest.len());
    match longest {
        Some(rest) => {
            let section = &path[..path.len() - rest.len() - 1];
            std::iter::once(section).chain(rest.split('.')).collect()
        }
        None => path.split('.').collect(),
    }
}

fn old<'t>(root: &'t Table, path: &[String]) -> Option<&'t Node> {
    let (last, outer) = path.split_last()?;
    let table = outer.iter().try_fold(root, |table, key| table.entry(key)?.value.as_table())?;
    Some(&table.entry(last)?.value)
}

/// The value of a variable with the type of the value that it replaces.
fn variable(name: &str, old: Option<&Node>, span: Span) -> Node {
    let mut default = old;
    let mut secure = false;
    if let Some(Node { expr: Expr::Env(env), .. }) = old {
        (default, secure) = (env.default.as_ref(), env.secure);
    }
    let typed = |node: &&Node| {
        matches!(
            node.expr,
            Expr::Int(_) | Expr::Large(_) | Expr::Float(_) | Expr::Bool(_) | Expr::List(_)
        )
    };
    let default = default.filter(typed).cloned();
    Node { expr: Expr::Env(Box::new(Env { name: name.into(), default, secure })), span }
}

fn put(config: &mut Config, path: Vec<String>, value: Node, span: Span) {
    let mut path = path.into_iter().rev();
    let last = path.next().unwrap_or_default();
    let entry = path.fold(Entry::new(last.into(), span, value), |inner, key| {
        let mut table = Table::new(span);
        table.put(inner, &mut |_, _| {});
        let value = Node { expr: Expr::Table(Box::new(table)), span };
        Entry::new(key.into(), span, value)
    });
    config.root.put(entry, &mut |_, _| {});
}
