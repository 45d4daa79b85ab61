//! `/debug`: how this process is set up and how it fares, for when its logs and metrics leave a
//! question. No request, no row and no secret is in it; still it is off, since it tells how the
//! service is built.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tusk_config::Shown;
use utoipa::ToSchema;

use crate::extract::Json;
use crate::{Clock, Problem, ServiceInfo};

/// What is known of the process from its start.
pub(crate) struct Debug {
    is_on: bool,
    info: ServiceInfo,
    started: DateTime<Utc>,
    settings: Vec<Shown>,
}

impl Debug {
    pub(crate) fn new(is_on: bool, info: ServiceInfo, settings: Vec<Shown>) -> Self {
        Self { is_on, info, started: Clock::system().now(), settings }
    }
}

/// How a process is set up and how it fares.
#[derive(Serialize, ToSchema)]
pub(super) struct DebugReport {
    service: &'static str,
    version: String,
    /// The commit that it was built of; `unknown` when that is not known.
    commit: &'static str,
    /// Whether it was built with optimisations.
    optimised: bool,
    started: DateTime<Utc>,
    process_id: u32,
    /// Every setting that it read: its value when it stands in a file, else the variables that give
    /// it.
    #[schema(value_type = Vec<Object>)]
    settings: Vec<Shown>,
    /// What the process counts and has at this moment, by series: connections, breakers, instances,
    /// tasks and their restarts, queues. No durations.
    metrics: BTreeMap<String, f64>,
}

/// How this process is set up and how it fares.
#[utoipa::path(get, path = "/debug", operation_id = "debug", tag = "admin",
    security(("bearer" = [])), responses(
    (status = 200, body = DebugReport),
    (status = 404, body = Problem, description = "It is off: `[server] debug`"),
))]
pub(super) async fn show(
    Extension(debug): Extension<Arc<Debug>>,
) -> Result<Json<DebugReport>, Problem> {
    if !debug.is_on {
        return Err(Problem::not_found("it is off; `[server] debug` turns it on"));
    }
    let (version, commit) = debug.info.running();
    Ok(Json(DebugReport {
        service: debug.info.name,
        version,
        commit,
        optimised: !cfg!(debug_assertions),
        started: debug.started,
        process_id: std::process::id(),
        settings: debug.settings.clone(),
        metrics: telemetry::metrics::values(),
    }))
}
