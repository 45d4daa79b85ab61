//! One trace: its spans, and those of the traces that are linked with it, as bars over time.

use std::collections::{BTreeMap, HashMap};

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use log_files::{Entry, Filter};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::link::{link, time};
use super::super::{Asked, page, shown};
use super::span::{self, Drawn};
use super::{OfRun, Signs, look};
use crate::app::App;
use crate::spans::{Run, Span, hex, parse_hex, rows, self_times};

/// Spans up to which each has its details on the page; of more, those that are asked for.
const DETAILED_MAX: usize = 400;
/// Log lines of a trace.
const LINES_MAX: usize = 1_000;
/// A trace whose last span ended so long ago, in nanoseconds, is not written anew every second.
const SETTLED: u64 = 60_000_000_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Opened {
    /// The span whose details are asked for.
    open: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ById {
    id: String,
}

/// The log lines of a trace: those of each span by its id, and the rest.
pub(super) type Lines = HashMap<String, Vec<(String, Entry)>>;

/// The spans of a trace and of what is linked with it; none of a trace that is not there.
pub(crate) async fn find(app: &App, run: &str, id: &str) -> Option<(String, Vec<Span>)> {
    let id = id.to_ascii_lowercase();
    let located = look(app, run, move |run| {
        let trace = run.named(&id)?;
        Some((hex(&trace), run.family(&trace)))
    });
    let (trace, located) = located.await.flatten()?;
    let spans = tokio::task::spawn_blocking(move || located.read()).await.ok()?;
    Some((trace, spans))
}

/// Goes to the trace of this id, of this beginning of one, or of the request of this id.
pub(super) async fn by_id(
    State(app): State<App>,
    Query(asked): Query<ById>,
    Query(run): Query<OfRun>,
) -> Response {
    let id = asked.id.trim().to_owned();
    let known = resolve(&app, &run, &id).await;
    // An id may hold anything; a path only some of that.
    let id: String = url::form_urlencoded::byte_serialize(known.unwrap_or(id).as_bytes()).collect();
    Redirect::to(&run.trace(&id)).into_response()
}

/// The whole id of a trace.
async fn resolve(app: &App, run: &OfRun, id: &str) -> Option<String> {
    let prefix = id.to_ascii_lowercase();
    let named = look(app, &run.run, move |run: &Run| run.named(&prefix)).await.flatten();
    if let Some(trace) = named {
        return Some(hex(&trace));
    }
    let app = App::clone(app);
    let request = id.to_owned();
    let found = tokio::task::spawn_blocking(move || app.logs.trace_of_request(&request)).await;
    found.ok()?.ok()?
}

pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(run): Query<OfRun>,
    Query(opened): Query<Opened>,
    asked: Asked,
) -> Response {
    let Some((trace, spans)) = find(&app, &run.run, &id).await.filter(|(_, it)| !it.is_empty())
    else {
        return absent(&app, &run, &id, &asked).await;
    };
    if !asked.is_fragment && trace != id {
        return Redirect::to(&run.trace(&trace)).into_response();
    }
    let ended = spans.iter().map(Span::ended).max().unwrap_or_default();
    let now = u64::try_from(Utc::now().timestamp_nanos_opt().unwrap_or_default());
    let is_settled = now.unwrap_or_default().saturating_sub(ended) > SETTLED;
    if asked.is_fragment && is_settled {
        return page(&app, &asked, "Trace", &html! {});
    }
    // Its root, as the list has it, though a clock may say that another one began before it.
    let own = || spans.iter().filter(|span| hex(&span.trace) == trace);
    let root = own().find(|span| span.parent.is_none()).or_else(|| own().next());
    let title = root.map(|span| span.name.clone());
    let drawing = App::clone(&app);
    let drawn = tokio::task::spawn_blocking(move || {
        let lines = lines_of(&drawing, &spans, is_settled);
        draw(&run, &trace, &spans, &lines, &opened.open)
    });
    let main = drawn.await.unwrap_or_else(|_| html! { p.fault { "The trace cannot be shown." } });
    page(&app, &asked, &format!("Trace: {}", title.unwrap_or_default()), &main)
}

/// Of a trace that is not there: it may come, or the id is a request's.
async fn absent(app: &App, run: &OfRun, id: &str, asked: &Asked) -> Response {
    if !asked.is_fragment
        && let Some(trace) = resolve(app, run, id).await.filter(|trace| trace != id)
    {
        return Redirect::to(&run.trace(&trace)).into_response();
    }
    let of_time = parse_hex::<16>(id).is_some();
    let main = html! {
        div #trace data-live {
            @if of_time {
                p { "No span of this trace is here. Spans come some seconds after what they tell of; this page shows them when they do." }
                p { a href=(link("/logs", &[("filter", &format!("trace:{id}")), ("since", "1d")])) { "Its log lines" } }
            } @else {
                p { "No trace has this id, begins like it with no other that does, or is of a request with it." }
            }
            p { a href="/traces" { "All traces" } }
        }
    };
    page(app, asked, "Trace", &main)
}

/// The log lines of these spans: those in memory, and of a trace that is older in the files.
fn lines_of(app: &App, spans: &[Span], is_settled: bool) -> Lines {
    let mut traces: Vec<String> = spans.iter().map(|span| hex(&span.trace)).collect();
    traces.sort_unstable();
    traces.dedup();
    let began = spans.iter().map(|span| span.began).min().unwrap_or_default();
    let ended = spans.iter().map(Span::ended).max().unwrap_or_default();
    let at = |time: u64| DateTime::from_timestamp_nanos(i64::try_from(time).unwrap_or_default());
    let began = at(began);
    let ended = at(ended);
    let mut lines = Lines::new();
    let mut keep = |name: &str, entry: &Entry| {
        if !entry.trace_id.as_ref().is_some_and(|trace| traces.contains(trace)) {
            return;
        }
        let span = entry.fields.get("span_id").and_then(|id| id.as_str()).unwrap_or_default();
        lines.entry(span.to_owned()).or_default().push((name.to_owned(), entry.clone()));
    };
    let (_, first) = app.logs.bounds();
    if is_settled && first.is_none_or(|first| first > began) {
        let mut filter = Filter {
            since: began.checked_sub_signed(TimeDelta::seconds(1)),
            until: ended.checked_add_signed(TimeDelta::seconds(10)),
            ..Filter::default()
        };
        let mut count = 0;
        // What can be read of them is shown.
        let _as_far_as_it_goes = app.logs.each(&mut filter, |name, entry| {
            keep(name, entry);
            count += 1;
            let is_enough = count > LINES_MAX * 100;
            Ok(if is_enough {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            })
        });
    } else {
        app.logs
            .last(&mut Filter::default(), usize::MAX)
            .iter()
            .for_each(|it| keep(&it.name, &it.entry));
    }
    for lines in lines.values_mut() {
        lines.truncate(LINES_MAX);
    }
    lines
}

fn draw(run: &OfRun, trace: &str, spans: &[Span], lines: &Lines, open: &str) -> Markup {
    let rows = rows(spans);
    let own = self_times(&rows);
    let began = spans.iter().map(|span| span.began).min().unwrap_or_default();
    let ended = spans.iter().map(Span::ended).max().unwrap_or_default();
    let drawn = Drawn {
        run,
        began,
        took: ended.saturating_sub(began).max(1),
        signs: Signs::of(spans),
        lines,
    };
    let is_detailed = rows.len() <= DETAILED_MAX;
    let nowhere = lines.get("").filter(|lines| !lines.is_empty());
    html! {
        div #trace data-live {
            (head(run, trace, spans, &drawn))
            (scale(drawn.took))
            ol.waterfall {
                @for (row, own) in rows.iter().zip(own) {
                    @let is_open = !open.is_empty() && hex(&row.span.id) == open;
                    (span::row(&drawn, row, own, is_detailed || is_open, is_open))
                }
            }
            @if let Some(lines) = nowhere {
                h2 { "Log lines of no span" }
                (span::log_lines(lines))
            }
        }
    }
}

/// What it is, in a few lines.
fn head(run: &OfRun, trace: &str, spans: &[Span], drawn: &Drawn<'_>) -> Markup {
    let errors = spans.iter().filter(|span| span.error.is_some()).count();
    let mut traces: BTreeMap<String, &Span> = BTreeMap::new();
    for span in spans {
        traces.entry(hex(&span.trace)).or_insert(span);
    }
    let others: Vec<(&String, &Span)> =
        traces.iter().filter(|(id, _)| *id != trace).map(|(id, span)| (id, *span)).collect();
    let since = drawn.began.saturating_sub(1_000_000_000);
    let until = drawn.began.saturating_add(drawn.took);
    let logs = link(
        "/logs",
        &[
            ("filter", &format!("trace:{trace}")),
            ("since", &time(since)),
            ("until", &time(until.saturating_add(60_000_000_000))),
        ],
    );
    html! {
        p { code { (trace) } " began " (time(drawn.began)) ", took " (shown::duration(drawn.took)) ", "
            (spans.len()) " spans, "
            @if errors > 0 { strong.bad { "✖ " (errors) " failed" } } @else { "none failed" } "." }
        p.quick {
            a href=(logs) { "Its log lines" } " · "
            a href=(link("/traces/compare", &[("a", trace), ("run", &run.run)])) { "Compare with another" } " · "
            a href=(link(&format!("/api/traces/{trace}"), &[("run", &run.run)])) { "JSON" } " · "
            @for service in &drawn.signs.0 {
                @let (class, sign) = drawn.signs.get(service);
                span.sign { span class=(format!("t{class}")) aria-hidden="true" { (sign) } " " (service) } " "
            }
        }
        @if !others.is_empty() {
            p { "With the traces that are linked with it: "
                @for (id, span) in others.iter().take(20) { a href=(run.trace(id)) { (id.get(..8).unwrap_or_default()) " " (span.name) } " " } }
        }
    }
}

/// What the bars stand for.
fn scale(took: u64) -> Markup {
    html! {
        div.scale aria-hidden="true" {
            span { "span" }
            span.ticks { @for part in 0..=4 { span { (shown::duration(took / 4 * part)) } } }
            span { "took" }
        }
    }
}
