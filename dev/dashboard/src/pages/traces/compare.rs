//! Two traces side by side.

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::link::link;
use super::super::{Asked, page, shown};
use super::waterfall::find;
use super::{OfRun, Signs, look};
use crate::app::App;
use crate::spans::{self, Pair, Row, Span, Summary, hex, pairs, rows};

/// Traces that are offered for comparison.
const OFFERED: usize = 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    a: String,
    b: String,
    run: String,
    /// The run of the second one, when it is of another.
    run_b: String,
}

pub(super) async fn show(
    State(app): State<App>,
    Query(question): Query<Question>,
    asked: Asked,
) -> Response {
    // It does not change, but by being asked for again.
    if asked.is_fragment {
        return page(&app, &asked, "Compare traces", &html! {});
    }
    let run_b = if question.run_b.is_empty() { &question.run } else { &question.run_b };
    // An empty id is the beginning of all.
    let a = if question.a.is_empty() { None } else { find(&app, &question.run, &question.a).await };
    let b = if question.b.is_empty() { None } else { find(&app, run_b, &question.b).await };
    let offered = match (&a, &b) {
        (Some((id, spans)), None) => alike(&app, run_b, id, spans).await,
        _ => Vec::new(),
    };
    let runs = app.runs.names();
    let main = html! {
        (form(&question, &runs))
        @for (id, found) in [(&question.a, &a), (&question.b, &b)] {
            @if !id.is_empty() && found.is_none() { p.fault role="alert" { "There is no trace " code { (id) } "." } }
        }
        @if !offered.is_empty() { (offers(&question, &offered)) }
        @if let (Some(a), Some(b)) = (&a, &b) { (table(&question, a, b)) }
    };
    page(&app, &asked, "Compare traces", &main)
}

/// The newest traces that begin like this one.
async fn alike(app: &App, run: &str, id: &str, spans: &[Span]) -> Vec<Summary> {
    let of_it = spans.iter().filter(|span| hex(&span.trace) == id);
    // The list names a trace after the same one.
    let root = of_it.min_by_key(|span| (span.parent.is_some(), span.began));
    let query =
        spans::Query { name: root.map(|root| root.name.to_lowercase()), ..spans::Query::default() };
    let found = look(app, run, move |run| run.find(&query, OFFERED + 1).0).await;
    found.unwrap_or_default().into_iter().filter(|it| hex(&it.trace) != id).take(OFFERED).collect()
}

fn form(question: &Question, runs: &[String]) -> Markup {
    let options = |chosen: &str| {
        html! { option value="" { "this run" } @for run in runs { option selected[run == chosen] { (run) } } }
    };
    html! {
        form.fields action="/traces/compare" {
            label for="a" { "First" } input #a name="a" size="34" value=(question.a) required;
            label for="run" { "of run" } select #run name="run" { (options(&question.run)) }
            label for="b" { "Second" } input #b name="b" size="34" value=(question.b);
            label for="run_b" { "of run" } select #run_b name="run_b" { (options(&question.run_b)) }
            button { "Compare" }
        }
    }
}

fn offers(question: &Question, offered: &[Summary]) -> Markup {
    html! {
        h2 { "Compare with one that begins alike" }
        ul {
            @for it in offered {
                @let b = hex(&it.trace);
                li { a href=(link("/traces/compare", &[("a", &question.a), ("run", &question.run), ("b", &b), ("run_b", &question.run_b)])) { (shown::time(it.began)) " " (it.name) }
                    " " (shown::duration(it.took())) ", " (it.spans) " spans" @if it.errors > 0 { ", " span.bad { "✖ " (it.errors) " failed" } } }
            }
        }
    }
}

fn table(question: &Question, a: &(String, Vec<Span>), b: &(String, Vec<Span>)) -> Markup {
    let signs = Signs::of(&[a.1.as_slice(), b.1.as_slice()].concat());
    let rows_a = rows(&a.1);
    let rows_b = rows(&b.1);
    let run_b = if question.run_b.is_empty() { &question.run } else { &question.run_b };
    let [run_a, run_b] = [&question.run, run_b].map(|run| OfRun { run: run.clone() });
    html! {
        div.wide {
            table {
                thead { tr { th scope="col" { "span" } th scope="col" { "service" }
                    th.number scope="col" { "first: " a href=(run_a.trace(&a.0)) { (&a.0[..8]) } }
                    th.number scope="col" { "second: " a href=(run_b.trace(&b.0)) { (&b.0[..8]) } }
                    th.number scope="col" { "difference" } } }
                tbody { @for pair in pairs(&rows_a, &rows_b) { (row(&signs, &pair)) } }
                tfoot { tr { th scope="row" colspan="2" { "from the first moment to the last" }
                    @let [a, b] = [&a.1, &b.1].map(|spans| whole(spans));
                    td.number { (shown::duration(a)) } td.number { (shown::duration(b)) } td.number { (difference(a, b)) } } }
            }
        }
    }
}

fn row(signs: &Signs, pair: &Pair<'_>) -> Markup {
    let Some(shown) = pair.a.or(pair.b) else { return html! {} };
    let (class, sign) = signs.get(&shown.span.service);
    let took = |row: Option<&Row<'_>>| {
        html! { @if let Some(row) = row { (shown::duration(row.span.took)) @if row.span.error.is_some() { " " span.bad { "✖ failed" } } } }
    };
    html! {
        tr {
            td { span class=(format!("d{}", shown.depth.min(20))) { (shown.span.name) } }
            td { span class=(format!("t{class}")) aria-hidden="true" { (sign) } " " (shown.span.service) }
            td.number { (took(pair.a)) } td.number { (took(pair.b)) }
            td.number { @match (pair.a, pair.b) {
                (Some(a), Some(b)) => { (difference(a.span.took, b.span.took)) }
                (Some(_), None) => { span.warn { "only in the first" } }
                _ => { span.warn { "only in the second" } }
            } }
        }
    }
}

/// Nanoseconds from the first moment to the last.
fn whole(spans: &[Span]) -> u64 {
    let began = spans.iter().map(|span| span.began).min().unwrap_or_default();
    spans.iter().map(Span::ended).max().unwrap_or_default().saturating_sub(began)
}

/// `+1.2 ms slower`; a word where it is a tenth or more.
fn difference(a: u64, b: u64) -> Markup {
    let (sign, by) = if b >= a { ("+", b - a) } else { ("−", a - b) };
    let is_much = by.saturating_mul(10) >= a;
    if by == 0 {
        return html! { "the same" };
    }
    html! {
        (sign) (shown::duration(by))
        @if is_much && b > a { span.bad { " slower" } }
        @if is_much && b < a { span.good { " faster" } }
    }
}
