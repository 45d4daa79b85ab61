//! The processes in rows, and the buttons that start and end them.

use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use crate::app::App;
use crate::pages::{button, commands, plain_page, shown};
use crate::system::{Condition, Process, Seen, State as Noted};
use crate::tool::Done;

/// Letters of a commit that are shown.
const COMMIT_SHOWN: usize = 9;

pub(super) fn table(app: &App, seen: &[Seen]) -> Markup {
    let done = app.tool.done().clone();
    html! {
        div.wide { table {
            thead { tr {
                th scope="col" { "Process" } th scope="col" { "State" } th.number scope="col" { "Pid" }
                th scope="col" { "Version" } th scope="col" { "Up for" } th.number scope="col" { "Memory" }
                th scope="col" { "Look at" } th scope="col" { "Do" }
            } }
            tbody #processes data-live="items" {
                @for it in seen { (row(app, it, &done)) }
            }
        } }
    }
}

fn row(app: &App, it: &Seen, done: &[Done]) -> Markup {
    html! {
        tr id=(format!("process-{}", it.name)) {
            th scope="row" { (it.name) }
            td class=(it.condition.class()) { (it.condition.sign()) " " (it.condition.words()) }
            td.number { @if let Some(process) = it.process.as_ref().filter(|_| it.is_running()) { (process.pid) } }
            td { @if let Some(version) = &it.version { (version) }
                @if let Some(commit) = &it.commit { " " code { (commit.get(..COMMIT_SHOWN).unwrap_or(commit)) } } }
            td { @if it.is_running() { (shown::uptime(it.usage.uptime)) } }
            td.number { @if it.is_running() { (shown::bytes(it.usage.memory)) } }
            td { (links(it)) }
            td { (buttons(app, it, done)) }
        }
    }
}

fn links(it: &Seen) -> Markup {
    let is_asked = it.is_running() && it.kind == "service";
    let url = it.process.as_ref().and_then(Process::url).filter(|_| is_asked);
    let name = &it.name;
    html! {
        @if let Some(url) = &url {
            a href=(format!("{url}/docs")) rel="noreferrer" { "docs" } " "
            a href=(format!("{url}/metrics")) rel="noreferrer" { "metrics" } " "
        }
        a href=(format!("/logs?filter=service:{name}")) { "logs" }
        @if it.kind == "service" { " " a href=(format!("/traces?service={name}")) { "traces" } }
    }
}

fn buttons(app: &App, it: &Seen, done: &[Done]) -> Markup {
    let action = format!("/processes/{}", it.name);
    let is_at_work = done.iter().any(|done| {
        done.succeeded.is_none() && done.command.split(' ').any(|word| word == it.name)
    });
    let can: &[&str] = match (it.kind.as_str(), &it.condition) {
        _ if is_at_work => return html! { span.warn { "… at work" } },
        ("service" | "simulator", Condition::Ended | Condition::Stopped) => &["start"],
        ("service" | "simulator", _) => &["restart", "stop"],
        (_, Condition::Ended) => &["start"],
        _ => &[],
    };
    html! {
        @for what in can {
            (button(app, &action, &[("do", what)], what)) " "
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Submitted {
    r#do: String,
}

/// Has the tool start, stop or restart a process.
pub(super) async fn act(
    State(app): State<App>,
    Path(name): Path<String>,
    Form(submitted): Form<Submitted>,
) -> Response {
    match words(&app.system.now(), &name, &submitted.r#do) {
        Some(words) => {
            app.tool.start(words.iter().map(|word| (*word).to_owned()).collect());
            commands::back("/")
        }
        None => plain_page(StatusCode::NOT_FOUND, "No such process", &html! {}),
    }
}

/// The command; none of what is not there or cannot be done with it.
fn words<'a>(state: &'a Noted, name: &str, submitted: &str) -> Option<Vec<&'a str>> {
    let process = state.process(name);
    let stopped = state.stopped.iter().find(|stopped| *stopped == name);
    let known = process.map(|process| process.name.as_str()).or(stopped.map(String::as_str))?;
    // Servers and tools start and end with the whole system.
    let is_alone = process.is_none_or(|it| matches!(it.kind.as_str(), "service" | "simulator"));
    match submitted {
        "start" if is_alone => Some(vec!["up", "--detach", known]),
        "start" => Some(vec!["up", "--detach"]),
        "restart" if is_alone => Some(vec!["restart", known]),
        "stop" if is_alone => Some(vec!["stop", known]),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_button_becomes_a_command_for_a_process_that_is_known() {
        let state: Noted = serde_json::from_str(
            r#"{"addresses": {"postgres": "", "redis": "", "amqp": "", "rabbitmq_api": ""},
                "processes": [
                    {"name": "user-service", "kind": "service", "pid": 1, "started": 1, "port": 3001},
                    {"name": "redis", "kind": "server", "pid": 1, "started": 1, "port": 6389}],
                "stopped": ["payment-service"]}"#,
        )
        .unwrap();
        let submitted =
            |name, submitted| words(&state, name, submitted).map(|words| words.join(" "));
        assert_eq!(submitted("user-service", "restart").unwrap(), "restart user-service");
        assert_eq!(submitted("payment-service", "start").unwrap(), "up --detach payment-service");
        assert_eq!(submitted("redis", "start").unwrap(), "up --detach");
        for (name, what) in
            [("redis", "stop"), ("--all", "stop"), ("user-service", "kill"), ("x", "start")]
        {
            assert_eq!(submitted(name, what), None, "{name} {what}");
        }
    }
}
