//! What the buttons have told the tool, and what it said.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use maud::{Markup, html};

use super::button;
use crate::app::App;
use crate::tool::Done;

/// Commands on a page.
const SHOWN_MAX: usize = 10;

pub(crate) fn router() -> Router<App> {
    Router::new().route("/commands/{number}/interrupt", post(interrupt))
}

/// Leads back to a page of the dashboard's own, to where its commands stand.
pub(crate) fn back(page: &str) -> Response {
    Redirect::to(&format!("{page}#commands")).into_response()
}

/// The last commands, as a section of a page.
pub(crate) fn list(app: &App) -> Markup {
    let done: Vec<Done> = app.tool.done().iter().take(SHOWN_MAX).cloned().collect();
    html! {
        section aria-labelledby="commands" {
            h2 #commands { "Last commands" }
            div #command-list data-live="items" {
                @if done.is_empty() { p #no-command.dim { "Buttons have told the tool nothing yet." } }
                @for it in &done { (command(app, it)) }
            }
        }
    }
}

fn command(app: &App, done: &Done) -> Markup {
    let (sign, class) = match done.succeeded {
        None => ("… at work:", "warn"),
        Some(true) => ("✓ done:", "good"),
        Some(false) => ("✗ failed:", "bad"),
    };
    html! {
        div.command id=(format!("command-{}", done.number)) {
            details open[done.succeeded != Some(true) || done.number == app.tool.last_number()] {
                summary { span class=(class) { (sign) } " " code { (done.command) } }
                pre { (done.output) }
            }
            @if done.succeeded.is_none() {
                (button(app, &format!("/commands/{}/interrupt", done.number), &[], "interrupt"))
            }
        }
    }
}

/// Ends a command that is at work, as Ctrl-C does in a shell.
async fn interrupt(
    State(app): State<App>,
    Path(number): Path<u64>,
    headers: HeaderMap,
) -> Response {
    app.tool.interrupt(number);
    // The page that the button stands on, whose path alone is believed: never another host.
    let from = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    let from = from.and_then(|text| text.parse::<Uri>().ok());
    let page = from.as_ref().map_or("/", Uri::path);
    back(&format!("/{}", page.trim_start_matches('/')))
}
