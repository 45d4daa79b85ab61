//! Logs: of all processes by time, filtered by words; the end of them live, the rest from the files.

mod download;
mod entry;
mod words;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, SecondsFormat, Utc};
use log_files::{Entry, Filter, Level, Term};
use maud::{Markup, html};
use serde::Deserialize;

use self::words::with;
use super::link::link;
use super::{Asked, page};
use crate::app::App;

pub(crate) use entry::as_json;

/// Entries on the page.
const SHOWN_MAX: usize = 300;
/// Of the files.
const SEARCHED_MAX: usize = 1_000;

pub(crate) fn router() -> Router<App> {
    Router::new().route("/logs", get(show)).route("/logs/download", get(download::download))
}

/// What is asked for; the same in the API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Question {
    /// Words: `service:payment level:warn -text`.
    pub(crate) filter: String,
    /// Written at this time or later: a time, or how long ago.
    pub(crate) since: String,
    /// Written before.
    pub(crate) until: String,
}

impl Question {
    /// # Errors
    /// A sentence that says what cannot be read.
    pub(crate) fn read(&self) -> Result<Filter, String> {
        let time = |text: &str| {
            let is_given = !text.trim().is_empty();
            is_given.then(|| log_files::asked(text, Utc::now())).transpose()
        };
        Ok(Filter {
            terms: Term::parse_all(&self.filter)?,
            since: time(&self.since)?,
            until: time(&self.until)?,
            ..Filter::default()
        })
    }

    /// Whether the files are asked, and not what comes.
    pub(crate) fn is_of_files(&self) -> bool {
        !self.since.trim().is_empty() || !self.until.trim().is_empty()
    }

    fn link(&self, path: &str, filter: &str) -> String {
        link(path, &[("filter", filter), ("since", &self.since), ("until", &self.until)])
    }
}

/// An entry on the page.
struct Shown<'a> {
    id: String,
    name: &'a str,
    entry: &'a Entry,
}

async fn show(State(app): State<App>, Query(question): Query<Question>, asked: Asked) -> Response {
    // What stands in the files is read once, not every second.
    if asked.is_fragment && question.is_of_files() {
        return page(&app, &asked, "Logs", &html! {});
    }
    let (mut filter, fault) = match question.read() {
        Ok(filter) => (filter, None),
        Err(fault) => (Filter::default(), Some(fault)),
    };
    let table = if fault.is_some() {
        html! {}
    } else if question.is_of_files() {
        of_files(&app, question.clone(), filter).await
    } else {
        let entries = app.logs.last(&mut filter, SHOWN_MAX);
        let shown = entries.iter().map(|it| Shown {
            id: format!("l{}", it.number),
            name: &it.name,
            entry: &it.entry,
        });
        lines(&question, &shown.collect::<Vec<_>>(), true)
    };
    let main = html! {
        (form(&question))
        @if let Some(fault) = fault { p.fault role="alert" { (fault) } }
        (quick(&app, &question))
        (table)
        p #end.dim { "The end of the logs." }
    };
    page(&app, &asked, "Logs", &main)
}

async fn of_files(app: &App, question: Question, mut filter: Filter) -> Markup {
    let app = App::clone(app);
    let searched = tokio::task::spawn_blocking(move || {
        let found = app.logs.search(&mut filter, SEARCHED_MAX)?;
        let shown = found.iter().enumerate().map(|(place, (name, entry))| Shown {
            id: format!("f{place}"),
            name,
            entry,
        });
        Ok::<_, std::io::Error>(lines(&question, &shown.collect::<Vec<_>>(), false))
    });
    match searched.await {
        Ok(Ok(table)) => table,
        Ok(Err(error)) => html! { p.fault role="alert" { "A log cannot be read: " (error) } },
        Err(_) => html! { p.fault role="alert" { "The logs cannot be read." } },
    }
}

fn form(question: &Question) -> Markup {
    html! {
        form.fields role="search" action="/logs" {
            label for="filter" { "Filter" }
            input #filter name="filter" type="search" value=(question.filter) aria-describedby="filter-help";
            label for="since" { "From" }
            input #since name="since" value=(question.since) placeholder="5m, 09:30" size="12";
            label for="until" { "Until" }
            input #until name="until" value=(question.until) size="12";
            button { "Show" }
        }
        p #filter-help.dim {
            "Words, all of which have to be met: " code { "service:payment level:warn payment.id:42 text -\"not this\"" }
            ", " code { "trace:" } " with the id of a trace or a request. A field is added by a click on it."
        }
    }
}

/// Links to what is asked for most.
fn quick(app: &App, question: &Question) -> Markup {
    let link_to = |name: &str, value: &str| {
        let filter = with(&question.filter, name, value);
        let is_chosen = filter.trim() == question.filter.trim() && !value.is_empty();
        html! {
            a href=(question.link("/logs", &filter)) aria-current=[is_chosen.then_some("true")] {
                (if value.is_empty() { "all" } else { value })
            }
        }
    };
    let download = |form: &str| {
        link(
            "/logs/download",
            &[
                ("filter", &question.filter),
                ("since", &question.since),
                ("until", &question.until),
                ("as", form),
            ],
        )
    };
    html! {
        p.quick { "Level: " (link_to("level", "")) @for level in Level::ALL { " " (link_to("level", level.name())) } }
        p.quick #services data-live { "Service: " (link_to("service", "")) @for name in app.logs.names() { " " (link_to("service", &name)) } }
        p.quick {
            "Download: " a href=(download("text")) { "text" } " " a href=(download("ndjson")) { "NDJSON" }
            " · " a href="#end" { "to the end" }
            @if question.is_of_files() { " · " a href=(link("/logs", &[("filter", &question.filter)])) { "what comes now" } }
        }
    }
}

fn lines(question: &Question, shown: &[Shown<'_>], is_live: bool) -> Markup {
    let older = shown.iter().find_map(|it| it.entry.time);
    html! {
        p #older data-live[is_live] {
            @if let Some(first) = older {
                a href=(link("/logs", &[("filter", &question.filter), ("until", &stamp(first))])) { "Older, from the files" }
            } @else { "Nothing of that kind" @if is_live { " in the last lines; " a href=(link("/logs", &[("filter", &question.filter), ("until", &stamp(Utc::now()))])) { "search the files" } } "." }
        }
        div.wide {
            table.logs {
                thead { tr { th scope="col" { "time" } th scope="col" { "service" } th scope="col" { "level" }
                    th scope="col" { "message" } th scope="col" { "trace" } } }
                tbody #log-lines data-live=[is_live.then_some("items")] data-follow[is_live] {
                    @for it in shown { (entry::row(question, it)) }
                }
            }
        }
    }
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
