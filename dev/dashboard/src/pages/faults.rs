//! Faults: what goes wrong on purpose, begun and ended by `cargo dev fault`.

mod words;

use axum::Form;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use faults::{DECLINE_CODES, Fault, PROVIDER};
use maud::{Markup, html};
use serde::Deserialize;

use self::words::{Begun, DELAYS, LENGTHS, PAUSES, SCHEDULE_LENGTHS, STATUSES, Scheduled};
use super::{Asked, button, commands, page, plain_page};
use crate::app::App;
use crate::protection::form_token;
use crate::system::{State as Noted, faults};

/// The form whose fields the buttons of the table send along.
const FORM: &str = "fault-form";

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/faults", get(show))
        .route("/faults/begin", post(begin))
        .route("/faults/schedule", post(schedule))
        .route("/faults/stop", post(stop))
}

async fn show(State(app): State<App>, asked: Asked) -> Response {
    let state = app.system.now();
    let now = faults(&app.settings.folder);
    let main = html! {
        section aria-labelledby="now" {
            h2 #now { "Now" }
            div #active-faults data-live { (active(&app, &now)) }
        }
        section aria-labelledby="begin" {
            h2 #begin { "Begin" }
            (fields(&app))
            (targets(&state))
            (provider())
        }
        section aria-labelledby="schedule" {
            h2 #schedule { "Schedule" }
            (schedule_form(&app))
        }
        (commands::list(&app))
    };
    page(&app, &asked, "Faults", &main)
}

/// What goes wrong now, in a line; nothing when nothing does.
pub(super) fn banner(faults: &[Fault]) -> Markup {
    html! {
        @if !faults.is_empty() {
            p.bad role="status" {
                "⚡ On purpose: "
                @for (number, fault) in faults.iter().enumerate() {
                    @if number > 0 { ", " }
                    (fault.target) " is " (fault.kind)
                }
                ". " a href="/faults" { "Faults" }
            }
        }
    }
}

fn active(app: &App, faults: &[Fault]) -> Markup {
    if faults.is_empty() {
        return html! { p { "✓ Nothing goes wrong on purpose." } };
    }
    html! {
        div.wide { table {
            thead { tr { th scope="col" { "Target" } th scope="col" { "Fault" } th scope="col" { "Since" }
                th scope="col" { "Until" } th scope="col" { "Do" } } }
            tbody {
                @for fault in faults {
                    tr {
                        th scope="row" { (fault.target) }
                        td.bad { "⚡ " (fault.kind) }
                        td.time { (time(fault.since_ms)) }
                        td.time { @if let Some(until) = fault.until_ms { (time(until)) } @else { "it is stopped" } }
                        td { (button(app, "/faults/stop", &[("target", &fault.target)], "stop")) }
                    }
                }
            }
        } }
        div { (button(app, "/faults/stop", &[("target", words::ALL)], "Stop all")) }
    }
}

fn time(at_ms: u64) -> String {
    super::shown::time(at_ms.saturating_mul(1_000_000)).get(..8).unwrap_or_default().to_owned()
}

/// What the faults that are begun are like.
fn fields(app: &App) -> Markup {
    html! {
        form.fields #(FORM) method="post" action="/faults/begin" {
            input type="hidden" name="form_token" value=(form_token(&app.settings.token));
            (select("for", "Lasts", &LENGTHS))
            (select("by", "Slow by", &DELAYS))
            (select("code", "Reason of declines", &DECLINE_CODES))
            (select("status", "Status of failures", &STATUSES))
        }
    }
}

fn select(name: &str, label: &str, values: &[&str]) -> Markup {
    html! {
        label { (label) " "
            select name=(name) {
                @for value in values {
                    option value=(value) { @if value.is_empty() { "until it is stopped" } @else { (value) } }
                }
            }
        }
        " "
    }
}

fn starter(fault: &str, target: &str) -> Markup {
    html! {
        button form=(FORM) name="fault" value=(format!("{fault} {target}"))
            aria-label=(format!("{fault} {target}")) { (fault) }
        " "
    }
}

fn targets(state: &Noted) -> Markup {
    let services: Vec<&str> = words::services(state);
    html! {
        div.wide { table {
            thead { tr { th scope="col" { "Target" } th scope="col" { "Begin" } th scope="col" { "End its process" } } }
            tbody {
                @for target in words::targets(state) {
                    tr {
                        th scope="row" { (target) }
                        td {
                            @for fault in ["freeze", "slow", "cut"] { (starter(fault, target)) }
                            @if services.contains(&target) { (starter("poison", target)) }
                        }
                        td { details { summary { "kill…" } "It ends at once, without a chance to finish. " (starter("kill", target)) } }
                    }
                }
            }
        } }
        p.dim { "Freeze: it stands still, takes connections and answers nothing. Slow and cut: what the others meet on their way to it. "
            "Poison: one message that no version of the service can read, which it dead-letters." }
    }
}

fn provider() -> Markup {
    html! {
        h3 { "The payment provider" }
        p {
            @for (fault, label) in [("slow", "answer late"), ("decline", "decline every card"), ("fail", "fail every call")] {
                button form=(FORM) name="fault" value=(format!("{PROVIDER} {fault}")) { (label) } " "
            }
        }
    }
}

fn schedule_form(app: &App) -> Markup {
    html! {
        p.dim { "One random fault after the other, by a plan that the seed gives: the same seed, the same plan." }
        form.fields method="post" action="/faults/schedule" {
            input type="hidden" name="form_token" value=(form_token(&app.settings.token));
            label { "Seed " input name="seed" type="number" min="0" max="999999999" value="1" required; } " "
            (select("for", "Goes on for", &SCHEDULE_LENGTHS))
            (select("pause", "Pause before each", &PAUSES))
            button name="what" value="plan" { "Show the plan" } " "
            button name="what" value="run" { "Run it" }
        }
        p.dim { "While it runs, “interrupt” below ends it and mends all." }
    }
}

async fn begin(State(app): State<App>, Form(begun): Form<Begun>) -> Response {
    report(&app, begun.words(&app.system.now()))
}

async fn schedule(State(app): State<App>, Form(scheduled): Form<Scheduled>) -> Response {
    report(&app, scheduled.words())
}

#[derive(Deserialize)]
struct Stop {
    target: String,
}

async fn stop(State(app): State<App>, Form(stop): Form<Stop>) -> Response {
    let active = faults(&app.settings.folder);
    report(&app, words::stop(&stop.target, &active))
}

/// Has the tool do it; a form that is none of ours has no words.
fn report(app: &App, words: Option<Vec<String>>) -> Response {
    let Some(words) = words else {
        return plain_page(StatusCode::UNPROCESSABLE_ENTITY, "No such fault", &html! {});
    };
    app.tool.start(words);
    commands::back("/faults")
}
