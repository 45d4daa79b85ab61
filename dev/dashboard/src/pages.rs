//! The pages: what stands around each of them here, and a file for each.

mod calls;
mod commands;
mod data;
mod faults;
mod link;
pub(crate) mod logs;
mod mails;
mod messages;
pub(crate) mod metrics;
mod overview;
mod settings;
mod shown;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod traces;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::app::App;
use crate::protection::form_token;

/// Marks a request for the content of a page alone, by whoever renews it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fragment;

/// The pages in the order of their keys, `1` to `9` and `0`: path and title.
const PAGES: [(&str, &str); 10] = [
    ("/", "System"),
    ("/logs", "Logs"),
    ("/traces", "Traces"),
    ("/metrics", "Metrics"),
    ("/messages", "Messages"),
    ("/calls", "Calls"),
    ("/mails", "Mails"),
    ("/data", "Data"),
    ("/faults", "Faults"),
    ("/settings", "Settings"),
];

pub(crate) fn router() -> Router<App> {
    Router::new()
        .merge(overview::router())
        .merge(logs::router())
        .merge(traces::router())
        .merge(calls::router())
        .merge(faults::router())
        .merge(settings::router())
        .merge(commands::router())
        .merge(metrics::router())
        .merge(messages::router())
        .merge(mails::router())
        .merge(data::router())
}

/// How a page was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    path: String,
    is_fragment: bool,
}

impl Asked {
    /// Whether it is this page, or one below it such as a trace of the traces.
    fn is_of(&self, page: &str) -> bool {
        let rest = self.path.strip_prefix(page);
        rest.is_some_and(|rest| rest.is_empty() || (page != "/" && rest.starts_with('/')))
    }
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let is_fragment = parts.extensions.get::<Fragment>().is_some();
        Ok(Self { path: parts.uri.path().to_owned(), is_fragment })
    }
}

/// A page of this title; the content of its `<main>` alone where it is renewed.
///
/// An element with `data-live` and an `id` is put in the place of the one before when it has changed; in one
/// with `data-live="items"` only those children are, by their `id`, which have. All else stays as the user
/// has it: fields, what is marked, where it was scrolled to.
pub(crate) fn page(app: &App, asked: &Asked, title: &str, main: &Markup) -> Response {
    if asked.is_fragment {
        return Html(main.0.clone()).into_response();
    }
    let nav = html! {
        @for (number, (path, name)) in PAGES.iter().enumerate() {
            li { a href=(path) aria-current=[asked.is_of(path).then_some("page")]
                accesskey=((number + 1) % 10) { (name) } }
        }
    };
    let token = form_token(&app.settings.token);
    Html(document(title, &nav, main, Some(&token)).0).into_response()
}

/// A page of what is not a page of the system.
pub(crate) fn plain_page(status: StatusCode, title: &str, main: &Markup) -> Response {
    (status, Html(document(title, &html! {}, main, None).0)).into_response()
}

fn document(title: &str, nav: &Markup, main: &Markup, token: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – Dashboard" }
                link rel="stylesheet" href="/assets/dashboard.css";
                link rel="icon" href="data:,";
                @if let Some(token) = token {
                    meta name="form-token" content=(token);
                    script src="/assets/dashboard.js" defer {}
                }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    nav aria-label="Pages" { ul { (nav) } }
                    @if token.is_some() {
                        p #live role="status" { button #pause type="button" { "Pause" } " " span #state { "live" } }
                    }
                }
                main #main tabindex="-1" { h1 { (title) } (PreEscaped(main.0.clone())) }
            }
        }
    }
}

/// A button that acts: a form of its own with what it sends.
pub(crate) fn button(app: &App, action: &str, fields: &[(&str, &str)], label: &str) -> Markup {
    html! {
        form.action method="post" action=(action) {
            input type="hidden" name="form_token" value=(form_token(&app.settings.token));
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button { (label) }
        }
    }
}
