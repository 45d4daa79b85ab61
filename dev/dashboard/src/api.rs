//! The same as JSON: `/api/…`, with the token as a bearer, for `cargo dev mcp` and scripts.
//!
//! ```text
//! /api/status         processes, the run, what goes from whom to whom
//! /api/logs           ?filter=&since=&until=&limit=      the filters of the pages
//! /api/traces         ?run=&service=&name=&took=&errors=&since=&until=&limit=
//! /api/traces/{id}    ?run=                              the id may be the beginning of one
//! /api/metrics        ?metric=&labels=&service=&rate=     the last values; the names without a metric
//!                     &range=5                            with the values of so many minutes
//! ```
//!
//! Logs and traces go on with `?follow=true`: an item a line, as it comes.

mod follow;

use std::time::Instant;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::pages::{logs, metrics, traces};
use crate::spans::{Summary, hex};
use crate::system::Usage;

/// Log entries of one answer.
const ENTRIES: usize = 200;
const ENTRIES_MAX: usize = 5_000;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/api/status", get(status))
        .route("/api/logs", get(log_entries))
        .route("/api/traces", get(list))
        .route("/api/traces/{id}", get(trace))
        .route("/api/metrics", get(measured))
}

/// How an answer is given.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct How {
    follow: bool,
    limit: Option<usize>,
}

fn refused(status: StatusCode, fault: &str) -> Response {
    (status, Json(json!({"error": fault}))).into_response()
}

async fn status(State(app): State<App>) -> Json<Value> {
    let state = app.system.now();
    let processes = state.processes.iter().map(|process| {
        let usage = Usage::of(process.pid);
        json!({"name": process.name, "kind": process.kind, "pid": process.pid, "port": process.port,
            "uptime_seconds": usage.uptime.as_secs(), "memory_bytes": usage.memory,
            "frozen": usage.is_frozen})
    });
    let edges = app.runs.edges().all(Instant::now());
    let edges = edges.iter().map(|edge| {
        json!({"from": edge.from, "to": edge.to, "per_second": edge.rate, "p95_ns": edge.p95,
            "calls": edge.calls, "errors": edge.errors})
    });
    let ((traces, spans), run) = {
        let run = app.runs.current();
        (run.counts(), run.name.clone())
    };
    Json(json!({
        "processes": processes.collect::<Vec<_>>(),
        "stopped": state.stopped,
        "run": {"name": run, "traces": traces, "spans": spans},
        "runs": app.runs.names(),
        "edges": edges.collect::<Vec<_>>(),
    }))
}

async fn log_entries(
    State(app): State<App>,
    Query(question): Query<logs::Question>,
    Query(how): Query<How>,
) -> Response {
    let mut filter = match question.read() {
        Ok(filter) => filter,
        Err(fault) => return refused(StatusCode::BAD_REQUEST, &fault),
    };
    let limit = how.limit.unwrap_or(ENTRIES).min(ENTRIES_MAX);
    if how.follow {
        return follow::logs(app, filter, limit);
    }
    if question.is_of_files() {
        let found = tokio::task::spawn_blocking(move || app.logs.search(&mut filter, limit)).await;
        let Ok(Ok(found)) = found else {
            return refused(StatusCode::INTERNAL_SERVER_ERROR, "the logs cannot be read");
        };
        let items = found.iter().map(|(name, entry)| logs::as_json(name, entry));
        return Json(json!({"items": items.collect::<Vec<_>>()})).into_response();
    }
    let found = app.logs.last(&mut filter, limit);
    let items = found.iter().map(|it| logs::as_json(&it.name, &it.entry));
    Json(json!({"items": items.collect::<Vec<_>>()})).into_response()
}

/// A trace in a line.
fn summary(it: &Summary) -> Value {
    json!({"trace_id": hex(&it.trace), "name": &*it.name, "service": &*it.service,
        "services": it.services.iter().map(|service| &**service).collect::<Vec<_>>(),
        "began_ns": it.began, "duration_ns": it.took(), "spans": it.spans, "errors": it.errors})
}

async fn list(
    State(app): State<App>,
    Query(question): Query<traces::Question>,
    Query(how): Query<How>,
) -> Response {
    let query = match question.read() {
        Ok(query) => query,
        Err(fault) => return refused(StatusCode::BAD_REQUEST, &fault),
    };
    if how.follow {
        return follow::traces(app, query);
    }
    let limit = question.limit();
    let found = traces::look(&app, &question.run, move |run| run.find(&query, limit)).await;
    let Some((found, count)) = found else {
        return refused(StatusCode::NOT_FOUND, "there is no such run");
    };
    let items: Vec<Value> = found.iter().map(summary).collect();
    Json(json!({"count": count, "items": items})).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfRun {
    run: String,
}

async fn trace(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(of): Query<OfRun>,
) -> Response {
    match traces::find(&app, &of.run, &id).await.filter(|(_, spans)| !spans.is_empty()) {
        Some((trace, spans)) => Json(json!({"trace_id": trace, "spans": spans})).into_response(),
        None => refused(StatusCode::NOT_FOUND, "there is no such trace in the run"),
    }
}

async fn measured(
    State(app): State<App>,
    Query(question): Query<metrics::Question>,
) -> Json<Value> {
    if question.metric.is_empty() {
        return Json(json!({"names": app.metrics.names(), "services": app.metrics.services()}));
    }
    let lines = question.lines(&app);
    let series = lines.lines.iter().map(|(labels, values)| {
        // What is not a number is null: JSON has no word for it.
        let mut item = json!({"series": labels, "last": values.last()});
        if !question.range.is_empty() {
            item["values"] = json!(values);
        }
        item
    });
    let mut told = json!({"metric": question.metric, "series": series.collect::<Vec<_>>()});
    if !question.range.is_empty() {
        told["times_ms"] = json!(lines.times);
    }
    Json(told)
}
