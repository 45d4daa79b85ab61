//! A span of the waterfall: its bar, and what is known of it.

use log_files::{Entry, Level};
use maud::{Markup, html};

use super::super::link::{link, time};
use super::super::shown;
use super::waterfall::Lines;
use super::{OfRun, Signs};
use crate::spans::{Row, Span, hex};

/// The deepest indentation: how deep a trace is, its sender decides.
const DEPTH_MAX: usize = 20;
/// The width of the bars' area, in units of the drawing.
const WIDTH: u64 = 1_000;

/// What all rows share.
pub(super) struct Drawn<'a> {
    pub(super) run: &'a OfRun,
    /// Nanoseconds since 1970.
    pub(super) began: u64,
    /// Nanoseconds; not zero.
    pub(super) took: u64,
    pub(super) signs: Signs,
    pub(super) lines: &'a Lines,
}

pub(super) fn row(
    drawn: &Drawn<'_>,
    row: &Row<'_>,
    own: u64,
    is_detailed: bool,
    is_open: bool,
) -> Markup {
    let span = row.span;
    let id = hex(&span.id);
    // Two traces may have spans of the same id.
    let anchor = format!("s{}{id}", &hex(&span.trace)[..8]);
    html! {
        li {
            @if is_detailed {
                details id=(anchor) open[is_open] {
                    summary { (line(drawn, row, &html! { (span.name) })) }
                    (details(drawn, span, own))
                }
            } @else {
                @let path = format!("/traces/{}", hex(&span.trace));
                @let target = format!("{}#{anchor}", link(&path, &[("run", &drawn.run.run), ("open", &id)]));
                div.row id=(anchor) { (line(drawn, row, &html! { a href=(target) { (span.name) } })) }
            }
        }
    }
}

fn line(drawn: &Drawn<'_>, row: &Row<'_>, name: &Markup) -> Markup {
    let span = row.span;
    let (class, sign) = drawn.signs.get(&span.service);
    html! {
        span class=(format!("name d{}", row.depth.min(DEPTH_MAX))) {
            @if row.is_linked { span.dim title="linked" { "↪ linked " } }
            span class=(format!("t{class}")) title=(span.service) { (sign) } " "
            (name) " "
            span.dim { (span.service) ", " (span.kind.name()) }
            @if span.error.is_some() { " " strong.bad { "✖ failed" } }
        }
        (bar(drawn, span, &class))
        span.took { (shown::duration(span.took)) }
    }
}

fn bar(drawn: &Drawn<'_>, span: &Span, class: &str) -> Markup {
    let part = |time: u64| {
        u64::try_from(u128::from(time) * u128::from(WIDTH) / u128::from(drawn.took))
            .unwrap_or(WIDTH)
    };
    let x = part(span.began.saturating_sub(drawn.began)).min(WIDTH - 3);
    let width = part(span.took).clamp(3, WIDTH - x);
    html! {
        svg.bar viewBox="0 0 1000 12" preserveAspectRatio="none" aria-hidden="true" {
            rect class=(class) x=(x) y="1" width=(width) height="10" {}
            @for event in &span.events {
                rect.event x=(part(event.at.saturating_sub(drawn.began)).min(WIDTH - 2)) width="2" height="12" {}
            }
        }
    }
}

fn details(drawn: &Drawn<'_>, span: &Span, own: u64) -> Markup {
    let id = hex(&span.id);
    let lines = drawn.lines.get(&id).map(Vec::as_slice).unwrap_or_default();
    let since = time(span.began.saturating_sub(1_000_000_000));
    let until = time(span.ended().saturating_add(10_000_000_000));
    let logs = link(
        "/logs",
        &[("filter", &format!("span_id:{id}")), ("since", &since), ("until", &until)],
    );
    html! {
        div.details {
            p.dim { "Began " (shown::duration(span.began.saturating_sub(drawn.began))) " after the first, took "
                (shown::duration(span.took)) ", of which " (shown::duration(own)) " itself; span " code { (id) } " · "
                a href=(logs) { "its logs" } }
            @if let Some(error) = &span.error { p.bad { "Failed" @if !error.is_empty() { ": " (error) } } }
            @if !span.attributes.is_empty() { (attributes(&span.attributes)) }
            @for event in &span.events {
                p { strong { (event.name) } span.dim { " after " (shown::duration(event.at.saturating_sub(span.began))) } }
                @if !event.attributes.is_empty() { (attributes(&event.attributes)) }
            }
            @for to in &span.links {
                p { "Linked with " a href=(format!("{}#s{}{}", drawn.run.trace(&hex(&to.trace)), &hex(&to.trace)[..8], hex(&to.id))) { "span " (hex(&to.id)) " of trace " (&hex(&to.trace)[..8]) } }
            }
            @if !lines.is_empty() { (log_lines(lines)) }
        }
    }
}

fn attributes(pairs: &[(String, String)]) -> Markup {
    html! { dl { @for (name, value) in pairs { dt { (name) } dd { (value) } } } }
}

pub(super) fn log_lines(lines: &[(String, Entry)]) -> Markup {
    html! {
        div.wide { table.logs { tbody {
            @for (name, entry) in lines {
                @let level = entry.level.map(Level::name).unwrap_or_default();
                tr class=(level) {
                    td.time { (entry.time.map(|time| time.format("%H:%M:%S%.3f").to_string()).unwrap_or_default()) }
                    td { (name) } td { (level) } td { (entry.said()) }
                }
            }
        } } }
    }
}
