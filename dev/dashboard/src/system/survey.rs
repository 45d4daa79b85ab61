//! How each process of the system fares: what `up` has noted, what the kernel says, and what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;

use super::process::Children;
use super::{Process, State, Usage};
use crate::app::App;

/// How old a survey may be that a page shows.
const AGE: Duration = Duration::from_millis(900);
/// How long a process may take to say how it fares.
const LIMIT: Duration = Duration::from_millis(800);
/// How long a service may be without an answer and count as starting.
const START_LIMIT: Duration = Duration::from_mins(1);

/// How a process fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Ready,
    /// It serves without something: what that is.
    Degraded(String),
    /// It does not serve: for want of what.
    Unhealthy(String),
    /// It runs, and has not answered yet.
    Starting,
    /// It runs, and does not answer.
    Silent,
    /// It is stopped by a signal.
    Frozen,
    /// It was started, and is not there any more.
    Ended,
    /// `cargo dev stop` has stopped it.
    Stopped,
}

impl Condition {
    /// A sign for it, of which each is of another form.
    pub(crate) fn sign(&self) -> &'static str {
        match self {
            Self::Ready => "✓",
            Self::Degraded(_) => "!",
            Self::Unhealthy(_) | Self::Silent | Self::Ended => "✗",
            Self::Starting => "…",
            Self::Frozen => "∥",
            Self::Stopped => "○",
        }
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Ready => "ready".to_owned(),
            Self::Degraded(why) => format!("degraded: {why}"),
            Self::Unhealthy(why) => format!("unhealthy: {why}"),
            Self::Starting => "starting".to_owned(),
            Self::Silent => "does not answer".to_owned(),
            Self::Frozen => "frozen".to_owned(),
            Self::Ended => "ended".to_owned(),
            Self::Stopped => "stopped".to_owned(),
        }
    }

    /// The class of its colour.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Ready => "good",
            Self::Degraded(_) | Self::Starting | Self::Frozen => "warn",
            Self::Unhealthy(_) | Self::Silent | Self::Ended => "bad",
            Self::Stopped => "dim",
        }
    }
}

/// A process and how it fares.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) name: String,
    /// `service`, `simulator`, `server` or `tool`.
    pub(crate) kind: String,
    /// None of what was stopped.
    pub(crate) process: Option<Process>,
    pub(crate) condition: Condition,
    /// Of a service that answers.
    pub(crate) version: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) usage: Usage,
}

impl Seen {
    /// Whether it runs, in whatever way.
    pub(crate) fn is_running(&self) -> bool {
        !matches!(self.condition, Condition::Ended | Condition::Stopped)
    }
}

/// What `/health` says.
#[derive(Debug, Default, Deserialize)]
struct Health {
    status: String,
    version: Option<String>,
    commit: Option<String>,
    #[serde(default)]
    checks: BTreeMap<String, bool>,
}

/// All processes, services first; not older than a second unless they take long to answer.
pub(crate) async fn survey(app: &App) -> std::sync::Arc<Vec<Seen>> {
    let surveyed = app.system.survey.get(AGE, || look(app.clone())).await;
    surveyed.unwrap_or_default()
}

async fn look(app: App) -> Vec<Seen> {
    let state = app.system.now();
    let processes = state.processes.clone();
    let counted = tokio::task::spawn_blocking(move || usages(&processes));
    let (usages, healths) = tokio::join!(
        counted,
        join_all(state.processes.iter().map(|process| health(&app, process)))
    );
    let usages = usages.unwrap_or_default();
    let running = state.processes.iter().zip(healths).enumerate();
    let mut all: Vec<Seen> = running
        .map(|(place, (process, health))| {
            seen(process, health, usages.get(place).copied().unwrap_or_default())
        })
        .collect();
    all.extend(stopped(&state));
    all.sort_by_key(order);
    all
}

fn usages(processes: &[Process]) -> Vec<Usage> {
    let children = Children::now();
    let usage = |process: &Process| {
        if !process.id().is_running() {
            return Usage::default();
        }
        // What a tool has started, such as a build, is not its own memory.
        if process.kind == "server" {
            Usage::of_tree(process.pid, &children)
        } else {
            Usage::of(process.pid)
        }
    };
    processes.iter().map(usage).collect()
}

/// What a process answers: of those that say nothing of themselves, whether their port is open.
async fn health(app: &App, process: &Process) -> Option<Health> {
    if !process.id().is_running() || Usage::of(process.pid).is_frozen {
        return None;
    }
    match (process.kind.as_str(), process.url(), process.port) {
        ("service", Some(url), _) => {
            let asked = app.http.get(format!("{url}/health")).timeout(LIMIT).send();
            asked.await.ok()?.json().await.ok()
        }
        (_, _, Some(port)) => {
            let opened = tokio::net::TcpStream::connect(("127.0.0.1", port));
            let opened = tokio::time::timeout(LIMIT, opened).await;
            opened.is_ok_and(|it| it.is_ok()).then(ready)
        }
        _ => Some(ready()),
    }
}

fn ready() -> Health {
    Health { status: "healthy".to_owned(), ..Health::default() }
}

fn seen(process: &Process, health: Option<Health>, usage: Usage) -> Seen {
    let condition = match &health {
        _ if !process.id().is_running() => Condition::Ended,
        _ if usage.is_frozen => Condition::Frozen,
        None if usage.uptime < START_LIMIT => Condition::Starting,
        None => Condition::Silent,
        Some(health) => condition(health),
    };
    let health = health.unwrap_or_default();
    Seen {
        name: process.name.clone(),
        kind: process.kind.clone(),
        process: Some(process.clone()),
        condition,
        version: health.version,
        commit: health.commit.filter(|commit| commit != "unknown"),
        usage,
    }
}

fn condition(health: &Health) -> Condition {
    let failed = health.checks.iter().filter(|(_, is_well)| !**is_well);
    let failed: Vec<&str> = failed.map(|(name, _)| name.as_str()).collect();
    let why = if failed.is_empty() {
        "it says no more".to_owned()
    } else {
        format!("{} away", failed.join(", "))
    };
    match health.status.as_str() {
        "healthy" => Condition::Ready,
        "degraded" => Condition::Degraded(why),
        _ => Condition::Unhealthy(why),
    }
}

/// Those that were stopped on purpose, which have no process.
fn stopped(state: &State) -> impl Iterator<Item = Seen> + '_ {
    let is_gone = |name: &&String| state.process(name).is_none();
    state.stopped.iter().filter(is_gone).map(|name| Seen {
        name: name.clone(),
        kind: if name == "payment-simulator" { "simulator" } else { "service" }.to_owned(),
        process: None,
        condition: Condition::Stopped,
        version: None,
        commit: None,
        usage: Usage::default(),
    })
}

fn order(seen: &Seen) -> (usize, Option<u16>, String) {
    let kinds = ["service", "simulator", "server", "tool"];
    let kind = kinds.iter().position(|kind| *kind == seen.kind).unwrap_or(kinds.len());
    let port = seen.process.as_ref().and_then(|process| process.port);
    (kind, port.or(Some(u16::MAX)), seen.name.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_names_what_is_away() {
        let read = |text: &str| condition(&serde_json::from_str(text).unwrap());
        assert_eq!(read(r#"{"status": "healthy", "checks": {"redis": true}}"#), Condition::Ready);
        let degraded = read(r#"{"status": "degraded", "checks": {"redis": false, "b": true}}"#);
        assert_eq!(degraded.words(), "degraded: redis away");
        assert_eq!(read(r#"{"status": "unhealthy"}"#).words(), "unhealthy: it says no more");
    }

    #[test]
    fn a_process_that_is_gone_has_ended_whatever_answers_at_its_port() {
        let process: Process = serde_json::from_str(
            r#"{"name": "user-service", "kind": "service", "pid": 1, "started": 77, "port": 1}"#,
        )
        .unwrap();
        let seen = seen(&process, Some(ready()), Usage::default());
        assert_eq!((seen.condition, seen.usage), (Condition::Ended, Usage::default()));
    }
}
