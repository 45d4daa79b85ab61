//! Events that were sent: the archive of each service, one event, and sending it again.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{act, contract, said};
use crate::app::App;
use crate::databases::{self, limited};
use crate::messages::archive::{self, Filter, LISTED_MAX, Sent};
use crate::pages::link::link;
use crate::pages::{Asked, page, plain_page, shown};
use crate::protection::form_token;

/// A service and what its archive has; none where it keeps none.
type Found = (String, Result<Option<Vec<Sent>>, String>);

pub(super) async fn list(
    State(app): State<App>,
    filter: Result<Query<Filter>, QueryRejection>,
    asked: Asked,
) -> Response {
    let (filter, fault) = match filter {
        Ok(Query(filter)) => (filter, None),
        Err(rejection) => (Filter::default(), Some(rejection.body_text())),
    };
    let services = databases::services(&app.system.now());
    let is_asked = |service: &&String| filter.service.is_empty() || **service == filter.service;
    let all = services
        .iter()
        .filter(is_asked)
        .map(async |service| (service.clone(), limited(read(&app, service, &filter)).await));
    let all: Vec<Found> = futures_util::future::join_all(all).await;
    let main = html! {
        p { a href="/messages" { "Queues, dead letters and outboxes" } }
        (form(&services, &filter))
        @if let Some(fault) = fault { p.fault role="alert" { (fault) } }
        (faults(&all))
        (table(&all))
        (older(&filter, &all))
    };
    page(&app, &asked, "Events that were sent", &main)
}

async fn read(app: &App, service: &str, filter: &Filter) -> sqlx::Result<Option<Vec<Sent>>> {
    let mut tx = app.databases.begin(&app.system.now(), service).await?;
    let found = archive::list(&mut tx, filter).await?;
    tx.rollback().await?;
    Ok(found)
}

fn form(services: &[String], filter: &Filter) -> Markup {
    let time = |at: Option<DateTime<Utc>>| {
        at.map(|at| at.format("%Y-%m-%dT%H:%M:%S").to_string()).unwrap_or_default()
    };
    html! {
        form.fields role="search" {
            label { "Service " select name="service" {
                option value="" { "all" }
                @for service in services { option selected[*service == filter.service] { (service) } }
            } }
            label { "Type " input name="type" value=(filter.event_type) placeholder="user.* or user.created"; }
            label { "Id " input name="id" value=(filter.id) placeholder="of the event or its aggregate"; }
            label { "Sent since (UTC) " input name="since" type="datetime-local" step="1" value=(time(filter.since)); }
            label { "until (UTC) " input name="until" type="datetime-local" step="1" value=(time(filter.until)); }
            button { "Show" }
        }
    }
}

fn faults(all: &[Found]) -> Markup {
    html! { div #archive-faults data-live { @for (service, found) in all {
        @if let Err(error) = found { p.fault { (service) ": " (error) } }
    } } }
}

fn table(all: &[Found]) -> Markup {
    let mut events: Vec<(&str, &Sent)> = all
        .iter()
        .flat_map(|(service, found)| {
            let sent = found.as_ref().ok().and_then(Option::as_ref).into_iter().flatten();
            sent.map(|it| (service.as_str(), it))
        })
        .collect();
    events.sort_by_key(|(_, it)| std::cmp::Reverse((it.at, it.position)));
    html! {
        div.wide { table {
            thead { tr { th scope="col" { "sent" } th scope="col" { "type" } th scope="col" { "event" }
                th scope="col" { "aggregate" } th scope="col" { "by" } th scope="col" { "exchange" }
                th.number scope="col" { "bytes" } } }
            tbody #events data-live="items" { @for (service, it) in &events {
                tr id=(format!("e{}", it.event_id)) {
                    td.time { (shown::moment(it.at)) }
                    td { (it.event_type) }
                    td { a href=(link("/messages/event", &[("service", service), ("id", &it.event_id)])) {
                        code { (it.event_id) } } }
                    td { a href=(link("/messages/events", &[("id", &it.aggregate_id)])) {
                        code { (it.aggregate_id) } } }
                    td { (service) } td { (it.exchange) } td.number { (it.bytes) }
                }
            } }
        } }
        p #no-events data-live { @if events.is_empty() {
            "None. Events are kept where " code { "[outbox] archive" } " says for how long ("
            code { "OUTBOX_ARCHIVE" } ")." } }
    }
}

/// The page before: positions are each service's own, so that it is of one service.
fn older(filter: &Filter, all: &[Found]) -> Markup {
    let [(service, Ok(Some(sent)))] = all else { return html! {} };
    let is_full = i64::try_from(sent.len()).is_ok_and(|count| count >= LISTED_MAX);
    let Some(last) = sent.last().filter(|_| is_full) else { return html! {} };
    let time = |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339()).unwrap_or_default();
    let since = time(filter.since);
    let until = time(filter.until);
    let before = last.position.to_string();
    html! { p #older data-live { a rel="next" href=(link("/messages/events", &[
        ("service", service), ("type", &filter.event_type), ("id", &filter.id), ("since", &since),
        ("until", &until), ("before", &before),
    ])) { "Older" } } }
}

/// One event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    service: String,
    id: String,
    /// Of a republish: a queue's name, or `everyone`.
    target: String,
}

pub(super) async fn show(
    State(app): State<App>,
    Query(question): Query<Question>,
    asked: Asked,
) -> Response {
    if asked.is_fragment {
        return page(&app, &asked, "Event", &html! {});
    }
    render(&app, &asked, &question, false).await
}

pub(super) async fn show_body(
    State(app): State<App>,
    asked: Asked,
    Form(question): Form<Question>,
) -> Response {
    render(&app, &asked, &question, true).await
}

async fn render(app: &App, asked: &Asked, question: &Question, with_body: bool) -> Response {
    let reading = async {
        let mut tx = app.databases.begin(&app.system.now(), &question.service).await?;
        let found = archive::event(&mut tx, &question.id).await?;
        tx.rollback().await?;
        Ok(found)
    };
    let (sent, body) = match limited(reading).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            return plain_page(StatusCode::NOT_FOUND, "There is no such event", &html! {});
        }
        Err(error) => {
            return page(app, asked, "Event", &html! { p.fault role="alert" { (error) } });
        }
    };
    let run = app.settings.folder.join("runs").join(&app.runs.current().name);
    let id = sent.event_id.clone();
    let traces = tokio::task::spawn_blocking(move || archive::traces(&run, &id)).await;
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let main = html! {
        (facts(question, &sent, &traces.unwrap_or_default()))
        @if with_body {
            h2 { "Body" }
            @let text = String::from_utf8_lossy(&body);
            pre.block { (shown::pretty(&text).unwrap_or_else(|| text.into_owned())) }
        } @else { (super::super::button(app, "/messages/event", &[
            ("service", &question.service), ("id", &sent.event_id)], "Show what it says")) }
        (republish_form(app, question, &sent).await)
        (contract(app, &sent.event_type, Some(&message)).await)
    };
    page(app, asked, "Event", &main)
}

fn facts(question: &Question, sent: &Sent, traces: &[String]) -> Markup {
    let of_aggregate = link("/messages/events", &[("id", &sent.aggregate_id)]);
    html! {
        p { a href="/messages/events" { "Events that were sent" } }
        dl.facts {
            dt { "Event" } dd { code { (sent.event_id) } }
            dt { "Type" } dd { (sent.event_type) }
            dt { "Sent" } dd { (shown::moment(sent.at)) " by " (question.service) }
            dt { "Exchange" } dd { (sent.exchange) }
            dt { "Aggregate" } dd { a href=(of_aggregate) { code { (sent.aggregate_id) } } }
            dt { "Position" } dd { (sent.position) ", partition " (sent.partition) ", " (sent.bytes) " bytes" }
            dt { "Headers" } dd { "message id " code { (sent.event_id) } ", type "
                code { (sent.event_type) } ", content type " code { "application/json" } }
            dt { "Traces" } dd {
                @if traces.is_empty() { "none of this run" }
                @for trace in traces { a href=(format!("/traces/{trace}")) { code { (trace) } } " " } }
            dt { "Logs" } dd { a href=(link("/logs", &[("filter", &sent.event_id)])) {
                "lines that name it" } }
        }
    }
}

async fn republish_form(app: &App, question: &Question, sent: &Sent) -> Markup {
    let queues = crate::broker::queues(app).await.unwrap_or_default();
    let names = queues.iter().map(|queue| queue.name.as_str());
    let mut names: Vec<&str> = names.filter(|name| name.ends_with(".events")).collect();
    names.sort_unstable();
    html! {
        details {
            summary { "Send it again …" }
            p { "Its id stays. Who remembers it in the inbox drops it; who does not has its effect once more." }
            form method="post" action="/messages/events/republish" {
                input type="hidden" name="form_token" value=(form_token(&app.settings.token));
                input type="hidden" name="service" value=(question.service);
                input type="hidden" name="id" value=(sent.event_id);
                label { "To " select name="target" {
                    @for name in names { option value=(name) { (name) " alone" } }
                    option value="everyone" { "all who read " (sent.event_type) }
                } } " "
                button { "Republish" }
            }
        }
        (said(app))
    }
}

pub(super) async fn republish(State(app): State<App>, Form(question): Form<Question>) -> Response {
    match question.words() {
        Some(words) => act(&app, &words.iter().map(String::as_str).collect::<Vec<_>>()).await,
        None => (StatusCode::BAD_REQUEST, "Say which event, and to whom.").into_response(),
    }
}

impl Question {
    /// What says to the tool that this event is sent again.
    fn words(&self) -> Option<Vec<String>> {
        if self.id.is_empty() || self.target.is_empty() {
            return None;
        }
        let target = match self.target.as_str() {
            "everyone" => "--everyone".to_owned(),
            queue => format!("--queue={queue}"),
        };
        let id = format!("--id={}", self.id);
        let service = format!("--service={}", self.service);
        Some(vec!["events".into(), "republish".into(), id, service, target, "--yes".into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_sent_again_to_whom_it_was_said() {
        let words = |target: &str| {
            let id = "0197c1f0-5c00-7000-8000-0000000000e1".to_owned();
            Question { service: "user-service".into(), id, target: target.into() }.words()
        };
        assert_eq!(words(""), None);
        assert_eq!(words("everyone").unwrap()[4], "--everyone");
        assert_eq!(words("payment-service.events").unwrap()[4], "--queue=payment-service.events");
    }
}
