//! Calls: whom each service calls, what it thinks of them, and its circuit breakers.

use axum::Form;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, button, commands, page, plain_page};
use crate::app::App;
use crate::calls::{Breaker, Calls, Endpoint, Target, calls};

/// For how many seconds a breaker may be held; the first unless it is said.
const SECONDS: [&str; 4] = ["300", "30", "60", "1800"];

pub(crate) fn router() -> Router<App> {
    Router::new().route("/calls", get(show)).route("/calls/{caller}/{target}/breaker", post(force))
}

async fn show(State(app): State<App>, asked: Asked) -> Response {
    let all = calls(&app).await;
    let main = html! {
        p.dim { "A service calls others over HTTP. An open breaker refuses calls at once; an ejected endpoint gets no new ones." }
        div #calls data-live="items" {
            @if all.is_empty() { p #no-caller { "No service runs." } }
            @for it in &*all { (caller(&app, it)) }
        }
        (commands::list(&app))
    };
    page(&app, &asked, "Calls", &main)
}

fn caller(app: &App, calls: &Calls) -> Markup {
    let id = format!("caller-{}", calls.caller);
    html! {
        section #(id) aria-labelledby=(format!("{id}-heading")) {
            h2 #(format!("{id}-heading")) { (calls.caller) " calls" }
            @match &calls.targets {
                Err(error) => p.bad { "✗ " (format!("{error:#}")) },
                Ok(targets) if targets.is_empty() => p.dim { "nobody" },
                Ok(targets) => @for it in targets { (target(app, &calls.caller, it)) },
            }
        }
    }
}

fn target(app: &App, caller: &str, it: &Target) -> Markup {
    html! {
        h3 { (it.name) " " span.dim { "endpoints by " (it.source) } }
        dl.facts {
            div { dt { "Breaker" } dd { (breaker(it.breaker.as_ref())) } }
            div { dt { "In flight" } dd { (it.in_flight) } }
            div { dt { "Bulkhead" } dd { (it.bulkhead.used) " of " (it.bulkhead.capacity) " places, " (it.bulkhead.waiting) " wait" } }
            @if let Some(budget) = &it.retry_budget {
                div { dt { "Retry budget" } dd { (format!("{:.1} retries left, reserve {:.1}", budget.left, budget.reserve))
                    @if budget.refused > 0 { ", " span.warn { "! " (budget.refused) " refused" } } } }
            }
            @if let Some(fault) = &it.last_fault {
                div { dt { "Last fault" } dd { (fault.fault) " at " (fault.endpoint) ", " (time(fault.at)) } }
            }
        }
        @if it.breaker.is_some() { (forces(app, caller, it)) }
        (endpoints(it))
    }
}

fn breaker(breaker: Option<&Breaker>) -> Markup {
    let Some(it) = breaker else { return html! { span.dim { "it has none" } } };
    let (sign, class) = match it.state.as_str() {
        "closed" => ("✓", "good"),
        "open" => ("✗", "bad"),
        _ => ("~", "warn"),
    };
    html! {
        span class=(class) { (sign) " " (it.state.replace('_', "-")) }
        @if it.is_forced { " " strong.warn { "! forced" }
            @if let Some(until) = it.forced_until { " until " (time(until)) } }
        @if let Some(at) = it.tries_again_at { ", tries again at " (time(at)) }
        ", since " (time(it.since)) ": " (it.reason)
        @if it.recent_calls > 0 { "; " (it.recent_failures) " of " (it.recent_calls) " recent calls failed" }
    }
}

fn forces(app: &App, caller: &str, it: &Target) -> Markup {
    let action = format!("/calls/{caller}/{}/breaker", it.name);
    let is_forced = it.breaker.as_ref().is_some_and(|breaker| breaker.is_forced);
    html! {
        div { "Hold it for five minutes: "
            (button(app, &action, &[("do", "open")], "Force open")) " "
            (button(app, &action, &[("do", "close")], "Force closed")) " "
            @if is_forced { (button(app, &action, &[("do", "automatic")], "Automatic")) } }
    }
}

fn endpoints(it: &Target) -> Markup {
    if it.endpoints.is_empty() {
        // A service looks for them when it calls.
        let is_missed = it.last_fault.is_some() && !it.is_awaited;
        let class = if is_missed { "bad" } else { "dim" };
        return html! { p class=(class) { @if is_missed { "✗ " } @else { "○ " } "No endpoint is known." } };
    }
    html! {
        div.wide { table {
            thead { tr { th scope="col" { "Endpoint" } th scope="col" { "State" } th scope="col" { "Health" }
                th.number scope="col" { "In flight" } th scope="col" { "Why" } } }
            tbody { @for it in &it.endpoints { (endpoint(it)) } }
        } }
    }
}

fn endpoint(it: &Endpoint) -> Markup {
    let (sign, class) = match (it.state.as_str(), it.is_called) {
        ("eligible", true) => ("✓", "good"),
        (_, true) => ("!", "warn"),
        ("other_zone" | "spare", false) => ("○", "dim"),
        _ => ("✗", "bad"),
    };
    html! {
        tr {
            th scope="row" { (it.address) @if let Some(zone) = &it.zone { " " span.dim { (zone) } } }
            td class=(class) { (sign) " " (it.state.replace('_', " "))
                @if let Some(until) = it.ejected_until { " until " (time(until)) } }
            td { (it.health) @if let Some(at) = it.last_check { " " span.dim { "at " (time(at)) } } }
            td.number { (it.in_flight) }
            td { (it.reason) }
        }
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S").to_string()
}

#[derive(Deserialize)]
struct Forced {
    r#do: String,
    #[serde(default)]
    seconds: String,
}

/// Has the tool hold a breaker, or let go of it.
async fn force(
    State(app): State<App>,
    Path((caller, target)): Path<(String, String)>,
    Form(forced): Form<Forced>,
) -> Response {
    let all = calls(&app).await;
    match words(&all, &caller, &target, &forced) {
        Some(words) => {
            app.tool.start(words);
            commands::back("/calls")
        }
        None => plain_page(StatusCode::NOT_FOUND, "No such breaker", &html! {}),
    }
}

/// The command; none for a breaker that there is not.
fn words(all: &[Calls], caller: &str, target: &str, forced: &Forced) -> Option<Vec<String>> {
    let calls = all.iter().find(|calls| calls.caller == caller)?;
    let mut targets = calls.targets.as_ref().ok()?.iter();
    targets.find(|it| it.name == target && it.breaker.is_some())?;
    let seconds = if forced.seconds.is_empty() { SECONDS[0] } else { &forced.seconds };
    let length: &[&str] = match forced.r#do.as_str() {
        "open" | "close" if SECONDS.contains(&seconds) => &["--for", seconds],
        "automatic" => &[],
        _ => return None,
    };
    let words = ["calls", &forced.r#do, caller, target].into_iter().chain(length.iter().copied());
    Some(words.map(str::to_owned).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn targets() -> Vec<Target> {
        serde_json::from_str(
            r#"[{"target": "user-service", "source": "static", "is_awaited": false, "in_flight": 1,
                 "endpoints": [{"address": "127.0.0.1:3001", "weight": 1, "state": "ejected",
                    "is_called": false, "reason": "it is ejected, since calls to it failed",
                    "health": "unhealthy", "ejected_until": "2026-01-15T09:30:10Z", "in_flight": 1}],
                 "last_fault": {"fault": "unreachable", "endpoint": "127.0.0.1:3001", "at": "2026-01-15T09:30:00Z"},
                 "breaker": {"state": "open", "since": "2026-01-15T09:30:00Z", "reason": "it was forced",
                    "is_forced": true, "forced_until": "2026-01-15T09:35:00Z",
                    "recent_calls": 8, "recent_failures": 3, "recent_slow_calls": 0},
                 "retry_budget": {"left": 1.25, "reserve": 10.0, "refused": 2},
                 "bulkhead": {"used": 1, "capacity": 64, "waiting": 0}},
                {"target": "payment-provider", "source": "settings", "in_flight": 0, "endpoints": [],
                 "bulkhead": {"used": 0, "capacity": 16, "waiting": 0}}]"#,
        )
        .unwrap()
    }

    #[test]
    fn a_breaker_says_what_holds_it_and_until_when() {
        let targets = targets();
        let said = breaker(targets[0].breaker.as_ref()).0;
        assert!(said.contains("✗ open") && said.contains("! forced"), "{said}");
        assert!(said.contains("until 09:35:00"), "{said}");
        assert!(said.ends_with("; 3 of 8 recent calls failed"), "{said}");
        assert!(breaker(targets[1].breaker.as_ref()).0.contains("it has none"));
        let endpoints = endpoints(&targets[0]).0;
        assert!(endpoints.contains("✗ ejected until 09:30:10"), "{endpoints}");
    }

    #[test]
    fn only_a_breaker_that_there_is_can_be_forced() {
        let all = [Calls { caller: "payment-service".to_owned(), targets: Ok(targets()) }];
        let told = |caller, target, what: &str, seconds: &str| {
            let forced = Forced { r#do: what.to_owned(), seconds: seconds.to_owned() };
            words(&all, caller, target, &forced).map(|words| words.join(" "))
        };
        let told_user = |what, seconds| told("payment-service", "user-service", what, seconds);
        let open = "calls open payment-service user-service --for 300";
        assert_eq!(told_user("open", "").unwrap(), open);
        let automatic = "calls automatic payment-service user-service";
        assert_eq!(told_user("automatic", "").unwrap(), automatic);
        assert_eq!(told_user("open", "1 --json"), None);
        assert_eq!(told_user("--help", ""), None);
        assert_eq!(told("payment-service", "payment-provider", "open", ""), None);
        assert_eq!(told("--json", "user-service", "open", ""), None);
    }
}
