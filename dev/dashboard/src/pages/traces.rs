//! Traces: the list, and the waterfall of one.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use maud::html;

use super::{Asked, page, plain_page, shown};
use crate::app::App;
use crate::spans::{Query, hex, rows};

/// Traces on the page.
const SHOWN_MAX: usize = 200;

pub(crate) fn router() -> Router<App> {
    Router::new().route("/traces", get(list)).route("/traces/{id}", get(show))
}

async fn list(State(app): State<App>, asked: Asked) -> Response {
    let (found, count) = app.runs.current().find(&Query::default(), SHOWN_MAX);
    let main = html! {
        p #count data-live { (count) " traces" }
        table {
            thead { tr { th { "began" } th { "name" } th { "service" } th { "spans" } th { "errors" } th { "took" } } }
            tbody #traces data-live="items" {
                @for it in &found {
                    tr id=(format!("t{}", hex(&it.trace))) {
                        td.time { (shown::time(it.began)) }
                        td { a href=(format!("/traces/{}", hex(&it.trace))) { (it.name) } }
                        td { (it.service) } td { (it.spans) } td { (it.errors) } td { (shown::duration(it.took())) }
                    }
                }
            }
        }
    };
    page(&app, &asked, "Traces", &main)
}

async fn show(State(app): State<App>, Path(id): Path<String>, asked: Asked) -> Response {
    let spans = {
        let run = app.runs.current();
        run.named(&id).map(|trace| run.trace(&trace)).unwrap_or_default()
    };
    if spans.is_empty() {
        return plain_page(StatusCode::NOT_FOUND, "No such trace", &html! {});
    }
    let main = html! {
        table #spans data-live {
            @for row in rows(&spans) {
                tr { td style=(format!("padding-left: {}em", row.depth)) { (row.span.name) }
                    td { (row.span.service) } td { (shown::duration(row.span.took)) } }
            }
        }
    };
    page(&app, &asked, "Trace", &main)
}
