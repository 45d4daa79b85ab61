//! Messages: queues, dead letters, outboxes and what was sent, with the contract of each event.

mod dead_letters;
mod events;
mod outboxes;
mod queues;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use serde_json::Value;

use super::{Asked, page, shown};
use crate::app::App;
use crate::messages::contract::{self, Contract, Fit};
use crate::{broker, databases};

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/messages", get(show))
        .route("/messages/dead-letter", get(dead_letters::show).post(dead_letters::peek))
        .route("/messages/dead-letters/replay", post(dead_letters::replay))
        .route("/messages/dead-letters/discard", post(dead_letters::discard))
        .route("/messages/discard", get(dead_letters::ask))
        .route("/messages/events", get(events::list))
        .route("/messages/event", get(events::show).post(events::show_body))
        .route("/messages/events/republish", post(events::republish))
}

async fn show(State(app): State<App>, asked: Asked) -> Response {
    let services = databases::services(&app.system.now());
    let queues = async {
        let broker = broker::read(&app).await;
        let queues = broker.as_ref().map(|broker| broker.queues.as_slice()).unwrap_or_default();
        let dead = dead_letters::content(&app, &services, queues).await;
        (broker, dead)
    };
    let ((broker, dead), outboxes) = tokio::join!(queues, outboxes::read(&app, &services));
    let main = html! {
        p { a href="/messages/events" { "Events that were sent" } }
        (said(&app))
        h2 #queues-title { "Queues" }
        @match &broker {
            Ok(broker) => (queues::queues(broker)),
            Err(error) => div #broker-fault data-live { p.fault { (error) } },
        }
        h2 #dead-letters { "Dead letters" }
        @if broker.is_ok() { (dead) }
        h2 { "Outboxes" }
        (outboxes::content(&outboxes))
        @if let Ok(broker) = &broker { (queues::routes(broker)) }
    };
    page(&app, &asked, "Messages", &main)
}

/// What the last command about messages said.
fn said(app: &App) -> Markup {
    let is_ours = |command: &str| {
        command.starts_with("cargo dev queues") || command.starts_with("cargo dev events")
    };
    let last = app.tool.done().iter().find(|done| is_ours(&done.command)).cloned();
    html! {
        div #said role="status" data-live { @if let Some(done) = last {
            p { code { (done.command) } ": " @match done.succeeded {
                None => "at work …",
                Some(true) => span.good { "done" },
                Some(false) => span.bad { "not all of it was done" },
            } }
            @if !done.output.is_empty() { pre.block { (done.output) } }
        } }
    }
}

/// Runs a command to its end; the page shows what it says.
async fn act(app: &App, words: &[&str]) -> Response {
    app.tool.act(words).await;
    Redirect::to("/messages").into_response()
}

/// The contract of an event beside what a message has; only names and types of what does not fit.
async fn contract(app: &App, event_type: &str, message: Option<&Value>) -> Markup {
    let root = app.settings.root.clone();
    let version = message.and_then(contract::named);
    // A message that says nothing of itself is compared with what it was sent as.
    let version = version.map_or(1, |(_, version)| version);
    let name = event_type.to_owned();
    let read = tokio::task::spawn_blocking(move || Contract::read(&root, &name, version)).await;
    let Some(contract) = read.ok().flatten() else {
        return html! { h2 { "Contract" } p {
        "There is no schema of " code { (event_type) } ", version " (version) "." } };
    };
    let fields = contract.fields(message.unwrap_or(&Value::Null));
    let violations = fields.iter().filter(|field| matches!(field.fit, Fit::Violation(_))).count();
    html! {
        h2 { "Contract" }
        p { code { (contract.file.display()) } ": " (contract.description()) }
        @if message.is_some() { p { @if violations == 0 { span.good { "✓ The message fits it." } }
            @else { span.bad { "✗ The message does not fit it: " (violations) " of its fields." } } } }
        div.wide { table {
            thead { tr { th scope="col" { "field" } th scope="col" { "type" } th scope="col" { "required" }
                @if message.is_some() { th scope="col" { "in the message" } }
                th scope="col" { "what it is" } } }
            tbody { @for field in &fields { tr {
                th scope="row" { code { (field.path) } } td { (field.kind) }
                td { @if field.is_required { "required" } @else { "optional" } }
                @if message.is_some() { td { @match &field.fit {
                    Fit::Fits => span.good { "✓ fits" },
                    Fit::Absent => span.dim { "– not there" },
                    Fit::Violation(why) => span.bad { "✗ " (why) },
                } } }
                td.dim { (field.description) }
            } } }
        } }
        details { summary { "The schema" } pre.block { (contract.schema()) } }
    }
}

/// A message's headers.
fn headers(headers: &[(String, String)]) -> Markup {
    html! {
        h2 { "Headers" }
        div.wide { table { tbody { @for (name, value) in headers { tr {
            th scope="row" { code { (name) } } td { code { (value) } " "
                @if name == "traceparent" { (shown::trace_link(Some(value))) } }
        } } } } }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
