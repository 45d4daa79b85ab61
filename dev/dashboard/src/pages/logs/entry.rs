//! An entry: as a row of the page, as JSON, as a line.

use chrono::SecondsFormat;
use log_files::{Entry, Level};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::words::and_field;
use super::{Question, Shown};

/// Fields that are shown elsewhere, or are for tools.
const HIDDEN: [&str; 3] = ["service", "target", "span_id"];

pub(super) fn row(question: &Question, shown: &Shown<'_>) -> Markup {
    let Shown { id, name, entry } = shown;
    let level = entry.level.map(Level::name).unwrap_or_default();
    html! {
        tr id=(id) class=(level) {
            td.time { (time(entry)) }
            td { (name) }
            td { (level) }
            td { (said(question, id, entry)) }
            td { @if let Some(trace) = &entry.trace_id { a href=(format!("/traces/{trace}")) { (trace.get(..8).unwrap_or(trace)) } } }
        }
    }
}

fn said(question: &Question, id: &str, entry: &Entry) -> Markup {
    let fields = entry.fields.iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str()));
    html! {
        (entry.message)
        @for (name, value) in fields {
            @let text = text(value);
            " "
            @if let Some(filter) = and_field(&question.filter, name, &text) {
                a.field href=(question.link("/logs", &filter)) { span.dim { (name) "=" } (text) }
            } @else { span.field { span.dim { (name) "=" } (text) } }
        }
        @if !entry.more.is_empty() {
            details id=(format!("{id}-more")) { summary { (entry.more.len()) " more lines" } pre { @for line in &entry.more { (line) "\n" } } }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// `2026-01-15T09:30:00.123Z`.
fn time(entry: &Entry) -> String {
    entry.time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default()
}

/// As `cargo dev logs` shows it: the line, and those behind it.
pub(super) fn as_text(name: &str, entry: &Entry) -> String {
    let level = entry.level.map(Level::name).unwrap_or_default().to_uppercase();
    let first = format!("{} {name} {level:>5} {}", time(entry), entry.said());
    let more = entry.more.iter().map(String::as_str);
    std::iter::once(first.as_str()).chain(more).collect::<Vec<_>>().join("\n")
}

/// Names as in the services' own lines.
pub(crate) fn as_json(name: &str, entry: &Entry) -> Value {
    let mut line = Map::new();
    let time = entry.time.map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true));
    for (name, value) in [
        ("timestamp", json!(time)),
        ("service", json!(name)),
        ("level", json!(entry.level.map(Level::name))),
        ("message", json!(entry.message)),
        ("trace_id", json!(entry.trace_id)),
        ("fields", json!(entry.fields)),
        ("more", json!(entry.more)),
    ] {
        let is_nothing = value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty);
        if !is_nothing {
            line.insert(name.to_owned(), value);
        }
    }
    Value::Object(line)
}
