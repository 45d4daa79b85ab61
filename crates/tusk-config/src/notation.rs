//! Trees in a short notation, for tests: what a file says without where it says it.

use crate::tree::{Entry, Expr, Node, Operation, Part, Table};

pub(crate) fn table(table: &Table) -> String {
    let entry = |entry: &Entry| format!("{}={}", entry.key, node(&entry.value));
    let entries: Vec<String> = table.entries().iter().map(entry).collect();
    format!("{{{}}}", entries.join(" "))
}

pub(crate) fn node(value: &Node) -> String {
    match &value.expr {
        Expr::Null => "null".to_owned(),
        Expr::Bool(value) => value.to_string(),
        Expr::Int(value) => value.to_string(),
        Expr::Large(value) => value.to_string(),
        Expr::Float(value) => format!("{value}f"),
        Expr::Range(first, last) => format!("{first}..{last}"),
        Expr::Text { text, bare: false } => format!("{text:?}"),
        Expr::Text { text, bare: true } => format!("<{text}>"),
        Expr::Template(parts) => parts.iter().map(part).collect(),
        Expr::List(items) => format!("[{}]", all(items)),
        Expr::Table(inner) => table(inner),
        Expr::Reference(path) => format!("@{path}"),
        Expr::Env(env) => {
            let default = env.default.as_ref().map_or(String::new(), node);
            format!("env({} {default}{})", env.name, if env.secure { "secure" } else { "" })
        }
        Expr::Http(http) => {
            let method = http.method.as_ref().map_or(String::new(), node);
            format!("http({method} {})", node(&http.url))
        }
        Expr::Call(call) => {
            let argument = |argument: &crate::tree::Argument| match &argument.name {
                Some(name) => format!("{name}:{}", node(&argument.value)),
                None => node(&argument.value),
            };
            let arguments: Vec<String> = call.arguments.iter().map(argument).collect();
            let own = format!("@{}({})", call.name, arguments.join(" "));
            let then = call.then.iter().map(|call| {
                let arguments: Vec<String> = call.arguments.iter().map(argument).collect();
                format!(".{}({})", call.name, arguments.join(" "))
            });
            then.fold(own, |all, one| all + &one)
        }
        Expr::Import(import) => format!("@{}.get({})", import.file, import.key),
        Expr::Operation(operation) => operator(operation),
        Expr::Typed(typed) => format!("{:?}:{}", typed.kind, node(&typed.value)),
        Expr::Broken => "broken".to_owned(),
    }
}

fn all<'n>(nodes: impl IntoIterator<Item = &'n Node>) -> String {
    nodes.into_iter().map(node).collect::<Vec<_>>().join(" ")
}

fn operator(operation: &Operation) -> String {
    match operation {
        Operation::Not(inner) => format!("(! {})", node(inner)),
        Operation::Negative(inner) => format!("(- {})", node(inner)),
        Operation::Binary { operator, left, right } => {
            format!("({operator:?} {})", all([left, right]))
        }
        Operation::Choice { condition, yes, no } => format!("(? {})", all([condition, yes, no])),
    }
}

fn part(part: &Part) -> String {
    match part {
        Part::Text(text) => format!("{text:?}"),
        Part::Value(value) => match &value.expr {
            Expr::Reference(path) => format!("#{{{path}}}"),
            _ => format!("#{{{}}}", node(value)),
        },
        Part::Variable { name, default, .. } => format!("${{{name} {default:?}}}"),
        Part::Global { name, .. } => format!("${name}"),
    }
}
