//! What waits in the outbox of each service.

use maud::{Markup, html};

use crate::app::App;
use crate::databases::limited;
use crate::messages::outbox::{self, Outbox, Waiting};
use crate::pages::link::link;
use crate::pages::shown;

/// A service and its outbox; none where its database has none.
pub(super) type Read = (String, Result<Option<Outbox>, String>);

pub(super) async fn read(app: &App, services: &[String]) -> Vec<Read> {
    let state = app.system.now();
    let all = services.iter().map(async |service| {
        let reading = async {
            let mut tx = app.databases.begin(&state, service).await?;
            let outbox = outbox::read(&mut tx).await?;
            tx.rollback().await?;
            Ok(outbox)
        };
        (service.clone(), limited(reading).await)
    });
    futures_util::future::join_all(all).await
}

pub(super) fn content(all: &[Read]) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th scope="col" { "service" } th.number scope="col" { "rows" }
                th.number scope="col" { "oldest unsent" } th scope="col" { "partitions 0 to 7: rows, lag, lease" }
                th.number scope="col" { "scheduled" } th.number scope="col" { "archived" } } }
            tbody #outboxes data-live="items" { @for (service, outbox) in all {
                tr id=(format!("o-{service}")) { th scope="row" { (service) } (summary(service, outbox)) }
            } }
        } }
        div #outbox-rows data-live {
            @for (service, outbox) in all { @if let Ok(Some(outbox)) = outbox { (rows(service, outbox)) } }
        }
    }
}

fn summary(service: &str, outbox: &Result<Option<Outbox>, String>) -> Markup {
    html! {
        @match outbox {
            Err(error) => td.fault colspan="5" { (error) },
            Ok(None) => td colspan="5" { "It has no outbox." },
            Ok(Some(outbox)) => {
                td.number { (outbox.depth()) }
                td.number { (outbox.age().map_or_else(|| "–".to_owned(), shown::seconds)) }
                td { (partitions(outbox)) }
                td.number { (outbox.scheduled) }
                td.number { a href=(link("/messages/events", &[("service", service)])) { (outbox.archived) } }
            }
        }
    }
}

fn partitions(outbox: &Outbox) -> Markup {
    let is_quiet = outbox.partitions.iter().all(|it| it.rows == 0 && it.holder.is_none());
    html! {
        @if is_quiet { "all empty, no lease taken" } @else { ul.plain { @for it in &outbox.partitions {
            @if it.rows > 0 || it.holder.is_some() { li {
                strong { (it.number) } ": " (it.rows) " rows"
                @if it.held > 0 { ", " span.warn { "⚠ " (it.held) " held" } }
                @if let Some(age) = it.age { ", " (shown::seconds(age)) " behind" }
                @match &it.holder {
                    Some(holder) => { ", leased by " (holder)
                        @if let Some(time) = it.leased_for { " for " (shown::seconds(time)) } },
                    None => ", no lease taken",
                }
            } }
        } } }
    }
}

fn rows(service: &str, outbox: &Outbox) -> Markup {
    html! {
        @if !outbox.holds.is_empty() {
            h3 { (service) ": held by the broker’s answer" }
            div.wide { table {
                thead { tr { th scope="col" { "exchange" } th scope="col" { "routing key" }
                    th.number scope="col" { "rows" } th.number scope="col" { "attempts" }
                    th.number scope="col" { "next in" } th scope="col" { "why" } } }
                tbody { @for hold in &outbox.holds { tr {
                    td { (hold.exchange) } td { (hold.routing_key) } td.number { (hold.rows) }
                    td.number { (hold.attempts) } td.number { (shown::seconds(hold.next_in.max(0.0))) }
                    td { (hold.reason) }
                } } }
            } }
        }
        @if !outbox.rows.is_empty() {
            h3 { (service) ": the oldest rows that wait" }
            div.wide { table {
                thead { tr { th scope="col" { "event" } th scope="col" { "type" } th scope="col" { "aggregate" }
                    th.number scope="col" { "partition" } th.number scope="col" { "waits for" }
                    th.number scope="col" { "bytes" } th scope="col" { "held because" } th scope="col" { "trace" } } }
                tbody { @for row in &outbox.rows { (waiting(service, row)) } }
            } }
        }
    }
}

fn waiting(service: &str, row: &Waiting) -> Markup {
    let to_row = link(
        "/data",
        &[
            ("service", service),
            ("schema", "public"),
            ("table", "messaging_outbox"),
            ("column", "event_id"),
            ("value", &row.event_id),
        ],
    );
    html! { tr {
        td { a href=(to_row) { code { (row.event_id) } } }
        td { (row.routing_key) } td { code { (row.aggregate_id) } }
        td.number { (row.partition) } td.number { (shown::seconds(row.age)) } td.number { (row.bytes) }
        td { (row.reason.as_deref().unwrap_or_default()) }
        td { (shown::trace_link(row.traceparent.as_deref())) }
    } }
}
