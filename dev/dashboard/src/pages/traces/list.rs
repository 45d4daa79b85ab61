//! The list of traces, with filters.

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::link::{link, parse_time};
use super::super::{Asked, page, shown};
use super::{OfRun, look};
use crate::app::App;
use crate::spans::{self, Kept, Summary, hex};

/// Traces on the page at first, and at most.
const SHOWN: usize = 100;
const SHOWN_MAX: usize = 2_000;

/// What is asked for; the same in the API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Question {
    pub(crate) run: String,
    service: String,
    name: String,
    /// Milliseconds at least.
    #[serde(alias = "min_ms")]
    took: String,
    /// `on` for only those that failed.
    errors: String,
    since: String,
    until: String,
    limit: String,
}

impl Question {
    /// # Errors
    /// A sentence that says what cannot be read.
    pub(crate) fn read(&self) -> Result<spans::Query, String> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let took = given(&self.took).map(|text| {
            let least = text.parse::<f64>().ok().filter(|least| (0.0..1e9).contains(least));
            least.ok_or_else(|| format!("`{text}` is no number of milliseconds"))
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1e15"
        )]
        let took_min = took.transpose()?.map(|least| (least * 1e6) as u64);
        Ok(spans::Query {
            service: given(&self.service),
            name: given(&self.name).map(|name| name.to_lowercase()),
            took_min,
            has_errors: !matches!(self.errors.as_str(), "" | "false" | "off"),
            since: parse_time(&self.since)?,
            until: parse_time(&self.until)?,
        })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.parse().unwrap_or(SHOWN).clamp(1, SHOWN_MAX)
    }

    fn with_limit(&self, limit: usize) -> String {
        let limit = limit.to_string();
        link(
            "/traces",
            &[
                ("run", &self.run),
                ("service", &self.service),
                ("name", &self.name),
                ("took", &self.took),
                ("errors", &self.errors),
                ("since", &self.since),
                ("until", &self.until),
                ("limit", &limit),
            ],
        )
    }
}

/// What the page shows of a run.
struct Found {
    traces: Vec<Summary>,
    count: usize,
    /// Traces and spans of the run.
    all: (usize, usize),
    services: Vec<std::sync::Arc<str>>,
}

pub(super) async fn show(
    State(app): State<App>,
    Query(question): Query<Question>,
    asked: Asked,
) -> Response {
    let (query, fault) = match question.read() {
        Ok(query) => (query, None),
        Err(fault) => (spans::Query::default(), Some(fault)),
    };
    let limit = question.limit();
    let found = look(&app, &question.run, move |run| {
        let (traces, count) = run.find(&query, limit);
        Found { traces, count, all: run.counts(), services: run.services() }
    });
    let Some(found) = found.await else {
        return page(
            &app,
            &asked,
            "Traces",
            &html! { p.fault role="alert" { "There is no such run." } },
        );
    };
    let main = html! {
        (form(&question, &found, &app.runs.kept()))
        @if let Some(fault) = fault { p.fault role="alert" { (fault) } }
        p #count data-live { (counted(&found)) }
        (table(&question, &found.traces))
        p #more data-live {
            @if found.count > limit && limit < SHOWN_MAX {
                a href=(question.with_limit((limit * 2).min(SHOWN_MAX))) { "More" }
            }
        }
    };
    page(&app, &asked, "Traces", &main)
}

fn counted(found: &Found) -> String {
    let (traces, spans) = found.all;
    format!("{} of {traces} traces, {spans} spans in all", found.count)
}

fn form(question: &Question, found: &Found, runs: &[Kept]) -> Markup {
    html! {
        form.fields role="search" action="/traces" {
            label for="run" { "Run" }
            select #run name="run" {
                @for run in runs {
                    option value=(if run.is_current { "" } else { &run.name }) selected[run.name == question.run] {
                        (run.name) @if run.is_current { " (now)" }
                    }
                }
            }
            label for="service" { "Service" }
            select #service name="service" {
                option value="" { "all" }
                @for service in &found.services { option selected[**service == *question.service] { (service) } }
            }
            label for="name" { "Name or route" }
            input #name name="name" type="search" value=(question.name);
            label for="took" { "Took at least (ms)" }
            input #took name="took" inputmode="decimal" size="6" value=(question.took);
            label for="since" { "Since" }
            input #since name="since" size="10" placeholder="5m, 09:30" value=(question.since);
            label for="until" { "Until" }
            input #until name="until" size="10" value=(question.until);
            label { input name="errors" type="checkbox" checked[!question.errors.is_empty()]; " only with errors" }
            button { "Show" }
        }
        form.fields action="/traces/find" {
            label for="id" { "A trace by its id, the beginning of it, or a request's id" }
            input #id name="id" required size="34";
            input type="hidden" name="run" value=(question.run);
            button { "Open" }
            a href="/runs" { "Runs: export, import" }
        }
    }
}

fn table(question: &Question, traces: &[Summary]) -> Markup {
    let run = OfRun { run: question.run.clone() };
    let longest = traces.iter().map(Summary::took).max().unwrap_or_default();
    html! {
        div.wide {
            table {
                thead { tr { th scope="col" { "began" } th scope="col" { "name" } th scope="col" { "service" }
                    th.number scope="col" { "spans" } th scope="col" { "errors" } th scope="col" { "took" } } }
                tbody #traces data-live="items" {
                    @for it in traces {
                        @let id = hex(&it.trace);
                        tr id=(format!("t{id}")) {
                            td.time { (shown::time(it.began)) }
                            td { a href=(run.trace(&id)) { (it.name) } }
                            td { (it.service) @if it.services.len() > 1 { span.dim { " and " (it.services.len() - 1) " more" } } }
                            td.number { (it.spans) }
                            td { @if it.errors > 0 { span.bad { "✖ " (it.errors) } } }
                            td.took { (bar(it.took(), longest)) " " (shown::duration(it.took())) }
                        }
                    }
                }
            }
        }
    }
}

fn bar(took: u64, longest: u64) -> Markup {
    let width = u128::from(took) * 100 / u128::from(longest.max(1));
    html! {
        svg.bar viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.c0 width=(width.max(1)) height="10" {}
        }
    }
}
