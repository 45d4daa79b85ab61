//! Dead letters: the list, one of them, and what can be done about them.

use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{act, contract, headers, said};
use crate::app::App;
use crate::broker::Queue;
use crate::messages::DeadLetters;
use crate::messages::dead_letters::{DeadLetter, Listing, Peeked, queue_of};
use crate::pages::link::link;
use crate::pages::{Asked, button, page};

/// Which dead letters are meant: one by its id, or all of a queue.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    service: String,
    queue: String,
    id: String,
    /// `all`, where no id is given.
    chosen: String,
    /// `beyond` the retention of the inbox, too.
    retention: String,
}

impl Question {
    fn fields(&self) -> [(&str, &str); 3] {
        [("service", &self.service), ("queue", &self.queue), ("id", &self.id)]
    }

    /// The words that say so to the tool; none where nothing is meant. A value that begins like an
    /// option is still one.
    fn words(&self, action: &str) -> Option<Vec<String>> {
        let mut words = vec!["queues".to_owned(), action.to_owned()];
        if !self.id.is_empty() {
            words.push(format!("--id={}", self.id));
        } else if self.chosen == "all" {
            words.push("--all".to_owned());
        } else {
            return None;
        }
        words.push(format!("--service={}", self.service));
        Some(words)
    }
}

/// The dead letters of all queues.
pub(super) async fn content(app: &App, services: &[String], queues: &[Queue]) -> Markup {
    let all = queues.iter().filter_map(|queue| {
        let (service, name) = queue_of(services, &queue.name)?;
        Some((service, name, queue.messages))
    });
    let all = all.map(async |(service, name, count)| {
        (service, name, count, app.dead_letters.list(app, service, name, count).await)
    });
    let all = futures_util::future::join_all(all).await;
    let is_empty = all.iter().all(|(.., count, _)| *count == 0);
    html! {
        div #dead-letter-queues data-live {
            @if is_empty { p.good { "✓ None." } }
            @for (service, queue, count, listed) in &all { @if *count > 0 {
                (of_queue(app, service, queue, *count, listed.as_ref()))
            } }
        }
    }
}

fn of_queue(
    app: &App,
    service: &str,
    queue: &str,
    count: u64,
    listed: Option<&Result<Arc<Listing>, String>>,
) -> Markup {
    let all = [("service", service), ("queue", queue), ("chosen", "all")];
    // A look is newer than the broker's figures.
    let count = match listed {
        Some(Ok(listing)) => listing.dead_letters,
        _ => count,
    };
    html! {
        h3 { (queue) ": " (count) }
        p { (button(app, "/messages/dead-letters/replay", &all, "Replay all")) " "
            a href=(link("/messages/discard", &all)) { "Discard all …" } }
        @match listed {
            None => p { "It is looked into …" },
            Some(Err(error)) => p.fault { (error) },
            Some(Ok(listing)) => (listing_of(app, service, queue, listing)),
        }
    }
}

fn listing_of(app: &App, service: &str, queue: &str, listing: &Listing) -> Markup {
    html! {
        @if let Some(why) = &listing.stopped {
            p.warn { "⚠ " (listing.seen) " of " (listing.dead_letters) " were looked at: " (why) } }
        div.wide { table {
            thead { tr { th scope="col" { "message" } th scope="col" { "type" } th scope="col" { "cause" }
                th.number scope="col" { "attempts" } th.number scope="col" { "replays" }
                th scope="col" { "last failed" } th.number scope="col" { "bytes" } th scope="col" { "do" } } }
            tbody { @for it in &listing.items {
                @let fields = [("service", service), ("queue", queue), ("id", it.id.as_str())];
                tr {
                    td { a href=(link("/messages/dead-letter", &fields)) { code { (it.id) } } }
                    td { (it.event_type.as_deref().unwrap_or("cannot be read")) }
                    td { (it.cause) }
                    td.number { (it.attempts) } td.number { (it.replays) }
                    td.time { (it.last_failed_at.as_deref().unwrap_or("not known")) }
                    td.number { (it.bytes) }
                    td { (button(app, "/messages/dead-letter", &fields, "Peek")) " "
                        (button(app, "/messages/dead-letters/replay", &fields, "Replay")) " "
                        a href=(link("/messages/discard", &fields)) { "Discard …" } }
                }
            } }
        } }
    }
}

/// One of them, without what it says.
pub(super) async fn show(
    State(app): State<App>,
    Query(question): Query<Question>,
    asked: Asked,
) -> Response {
    if asked.is_fragment {
        return page(&app, &asked, "Dead letter", &html! {});
    }
    let known = app.dead_letters.known(&question.queue, &question.id);
    let main = if let Some(it) = &known {
        html! {
            (facts(&question, it))
            (button(&app, "/messages/dead-letter", &question.fields(), "Show what it says")) " "
            (actions(&app, &question))
            (contract(&app, it.event_type.as_deref().unwrap_or(&it.routing_key), None).await)
        }
    } else {
        html! {
            p { "The last look has not found it. " a href="/messages" { "All messages" } }
            (button(&app, "/messages/dead-letter", &question.fields(), "Look for it"))
        }
    };
    page(&app, &asked, "Dead letter", &main)
}

/// The same with its headers and its body.
pub(super) async fn peek(
    State(app): State<App>,
    asked: Asked,
    Form(question): Form<Question>,
) -> Response {
    let Question { service, queue, id, .. } = &question;
    let main = match DeadLetters::peek(&app, service, queue, id).await {
        Ok(peeked) => html! {
            (facts(&question, &peeked.dead_letter))
            (actions(&app, &question))
            (said_by(&app, &peeked).await)
        },
        Err(error) => html! {
        p.fault role="alert" { (error) } p { a href="/messages" { "All messages" } } },
    };
    page(&app, &asked, "Dead letter", &main)
}

async fn said_by(app: &App, peeked: &Peeked) -> Markup {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let all: Vec<(String, String)> =
        peeked.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let letter = &peeked.dead_letter;
    let event_type = letter.event_type.as_deref().unwrap_or(&letter.routing_key);
    let body = match &peeked.payload {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    };
    html! {
        h2 { "Body" }
        pre.block { (body) }
        (contract(app, event_type, Some(&peeked.payload)).await)
        (headers(&all))
    }
}

fn facts(question: &Question, it: &DeadLetter) -> Markup {
    html! {
        p { a href="/messages" { "All messages" } }
        dl.facts {
            dt { "Message" } dd { code { (it.id) } }
            dt { "Type" } dd { (it.event_type.as_deref().unwrap_or("cannot be read")) }
            dt { "Queue" } dd { (question.queue) }
            dt { "Cause" } dd { (it.cause) }
            dt { "Attempts" } dd { (it.attempts) ", replayed " (it.replays) " times before" }
            dt { "First failed" } dd { (it.first_failed_at.as_deref().unwrap_or("not known")) }
            dt { "Last failed" } dd { (it.last_failed_at.as_deref().unwrap_or("not known")) }
            dt { "Came through" } dd { (it.exchange) " as " code { (it.routing_key) } ", " (it.bytes) " bytes" }
            dt { "Logs" } dd { a href=(link("/logs", &[("filter", &it.id)])) { "lines that name it" } }
        }
    }
}

fn actions(app: &App, question: &Question) -> Markup {
    let fields = question.fields();
    let beyond = [fields[0], fields[1], fields[2], ("retention", "beyond")];
    html! {
        (button(app, "/messages/dead-letters/replay", &fields, "Replay")) " "
        a href=(link("/messages/discard", &fields)) { "Discard …" }
        details {
            summary { "It failed longer ago than the inbox remembers" }
            p { "A replay leaves such a message: if it had its effect before it was dead-lettered, nothing "
                "keeps it from having it a second time." }
            (button(app, "/messages/dead-letters/replay", &beyond, "Replay it nevertheless"))
        }
    }
}

pub(super) async fn replay(State(app): State<App>, Form(question): Form<Question>) -> Response {
    let Some(mut words) = question.words("replay") else { return nothing() };
    if question.retention == "beyond" {
        words.push("--beyond-inbox-retention".to_owned());
    }
    done(&app, &question, &words).await
}

pub(super) async fn discard(State(app): State<App>, Form(question): Form<Question>) -> Response {
    let Some(mut words) = question.words("discard") else { return nothing() };
    words.push("--yes".to_owned());
    done(&app, &question, &words).await
}

async fn done(app: &App, question: &Question, words: &[String]) -> Response {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let response = act(app, &words).await;
    app.dead_letters.forget(&question.queue);
    response
}

fn nothing() -> Response {
    Redirect::to("/messages").into_response()
}

/// Asks again before something is thrown away.
pub(super) async fn ask(
    State(app): State<App>,
    Query(question): Query<Question>,
    asked: Asked,
) -> Response {
    let fields = question.fields();
    let fields = [fields[0], fields[1], fields[2], ("chosen", question.chosen.as_str())];
    let main = html! {
        p { @if question.id.is_empty() { "All dead letters of " strong { (question.queue) } ", up to 100, " }
            @else { "The message " code { (question.id) } " of " strong { (question.queue) } " " }
            "will be thrown away. Nothing brings back what is thrown away." }
        (button(&app, "/messages/dead-letters/discard", &fields, "Throw away")) " "
        a href="/messages" { "Keep" }
        (said(&app))
    };
    page(&app, &asked, "Discard", &main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_meant_only_when_it_is_said_and_an_id_is_never_an_option() {
        let question = Question { service: "user-service".into(), ..Question::default() };
        assert_eq!(question.words("discard"), None);
        let all = Question { chosen: "all".into(), ..question };
        assert_eq!(
            all.words("replay").unwrap(),
            ["queues", "replay", "--all", "--service=user-service"]
        );
        let one = Question { id: "--all".into(), ..all };
        assert_eq!(one.words("discard").unwrap()[2], "--id=--all");
    }
}
