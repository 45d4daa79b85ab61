//! What the tools do: run a command of `cargo dev`, ask the dashboard, or ask a service.

use std::{env, process::Command};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::tools::text;
use crate::{
    admin::{Admin, escaped, query},
    dashboard,
    http::Client,
    project::Project,
    services::USERS,
    state::{Process, State},
    token,
};

/// What a command of this tool prints.
pub(super) fn command(project: &Project, words: &[String]) -> Result<String> {
    let mut command = Command::new(env::current_exe().context("find this program")?);
    if let Some(namespace) = project.namespace() {
        command.args(["--namespace", namespace]);
    }
    let output =
        command.args(words).current_dir(project.root()).output().context("run cargo dev")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    // That something is down is what `status` is asked for.
    let is_told = words.first().is_some_and(|word| word == "status") && !printed.is_empty();
    if output.status.success() || is_told {
        return Ok(printed);
    }
    bail!("{}\n{}", said.trim(), printed.trim())
}

/// What the dashboard answers.
pub(super) fn api(project: &Project, path: &str, given: &Map<String, Value>) -> Result<String> {
    let (base, token) = dashboard::address(project, &State::up(project)?)
        .context("the dashboard does not run; `cargo dev up --detach` starts it")?;
    let mut given = given.clone();
    let id = given.remove("id");
    let path =
        path.replace("{id}", &escaped(id.as_ref().and_then(Value::as_str).unwrap_or_default()));
    let url = format!("{base}{path}?{}", query(&given));
    let bearer = format!("Bearer {token}");
    let answer = Client::new().send("GET", &url, &[("authorization", &bearer)], None)?;
    ensure!(answer.status == 200, "the dashboard answers {}: {}", answer.status, answer.text);
    Ok(answer.text)
}

/// What the running service says of its settings.
pub(super) fn settings(project: &Project, service: &str) -> Result<String> {
    let admin = Admin::find(project, Some(service))?;
    let report = admin.call("GET", &format!("{}/debug", admin.one()?.url), None)?;
    Ok(format!("{:#}", report["settings"]))
}

/// A request like any client's.
pub(super) fn route(project: &Project, given: &Map<String, Value>) -> Result<String> {
    let state = State::up(project)?;
    let service = text(given, "service");
    let path = text(given, "path");
    project.service(service)?;
    let url = state.running(service).and_then(Process::url);
    let url = url.with_context(|| format!("{service} does not run"))?;
    ensure!(path.starts_with('/'), "a path begins with a slash");
    let method = if text(given, "method").is_empty() { "GET" } else { text(given, "method") };
    let token = match (text(given, "user"), text(given, "role")) {
        ("", "") => None,
        (user, role) => {
            state.running(USERS).context("tokens are issued with user-service's keys")?;
            Some(format!("Bearer {}", token::of(project, &state, user, role)?))
        }
    };
    let headers: Vec<(&str, &str)> =
        token.iter().map(|token| ("authorization", token.as_str())).collect();
    let answer =
        Client::new().send(method, &format!("{url}{path}"), &headers, given.get("body"))?;
    let named = ["content-type", "location", "etag", "x-request-id", "retry-after"];
    let shown: Map<String, Value> = named
        .into_iter()
        .filter(|name| !answer.header(name).is_empty())
        .map(|name| (name.to_owned(), json!(answer.header(name))))
        .collect();
    let body = if answer.json().is_null() { json!(answer.text) } else { answer.json() };
    Ok(format!("{:#}", json!({"status": answer.status, "headers": shown, "body": body})))
}
