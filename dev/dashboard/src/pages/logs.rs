//! Logs: of all processes by time, filtered by words.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use chrono::SecondsFormat;
use log_files::{Filter, Term};
use maud::html;
use serde::Deserialize;

use super::{Asked, page};
use crate::app::App;

/// Entries on the page.
const SHOWN_MAX: usize = 300;

pub(crate) fn router() -> Router<App> {
    Router::new().route("/logs", get(show))
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    filter: String,
}

async fn show(State(app): State<App>, Query(question): Query<Question>, asked: Asked) -> Response {
    let terms = Term::parse_all(&question.filter);
    let fault = terms.as_ref().err().cloned();
    let mut filter = Filter { terms: terms.unwrap_or_default(), ..Filter::default() };
    let entries = app.logs.last(&mut filter, SHOWN_MAX);
    let main = html! {
        form role="search" {
            label for="filter" { "Filter" }
            input #filter name="filter" type="search" value=(question.filter)
                placeholder="service:payment level:warn trace:13a21241 -text";
            button { "Show" }
            @if let Some(fault) = fault { p.fault role="alert" { (fault) } }
        }
        table #entries.logs data-live="items" {
            tbody #log-lines data-live="items" {
                @for it in &entries {
                    tr id=(format!("l{}", it.number)) class=[it.entry.level.map(log_files::Level::name)] {
                        td.time { (it.entry.time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default()) }
                        td { (it.name) }
                        td { (it.entry.level.map(log_files::Level::name).unwrap_or_default()) }
                        td { (it.entry.said()) @for line in &it.entry.more { br; (line) } }
                        td { @if let Some(trace) = &it.entry.trace_id {
                            a href=(format!("/traces/{trace}")) { "trace" } } }
                    }
                }
            }
        }
    };
    page(&app, &asked, "Logs", &main)
}
