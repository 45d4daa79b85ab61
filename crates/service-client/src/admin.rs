//! What a process calls, over HTTP: a plain router that a service mounts under its own policy, for
//! administrators only.
//!
//! | route | does |
//! |---|---|
//! | `GET /admin/calls` | of each target: its endpoints, their health and ejection, breaker, retry budget, bulkhead |
//! | `PUT /admin/calls/{target}/breaker` | holds the breaker open or closed for a while, or lets it be automatic again |
//!
//! Each is about the one process that answers: every replica has breakers of its own.

mod report;

use std::time::Duration;

use auth::Caller;
use axum::extract::{FromRef, State};
use chassis::Problem;
use chassis::extract::{Json, Path};
use resilience::breaker::CircuitBreaker;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Targets;
use crate::targets::Target;
use report::{Calls, TargetReport};

/// How long a breaker is held unless it is said, in seconds.
const SECONDS: u32 = 300;
/// The longest that it may be held: an hour.
const SECONDS_MAX: u32 = 3_600;

/// The routes, for a service whose state holds its targets.
pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Targets: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(calls)).routes(routes!(force_breaker))
}

/// How a breaker is to be held.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BreakerChange {
    /// What is to become of it.
    state: BreakerHold,
    /// For how many seconds: 1 to 3600, five minutes when left out; nothing with `automatic`.
    #[serde(rename = "for")]
    #[schema(minimum = 1, maximum = 3_600)]
    seconds: Option<u32>,
}

/// `open`: no call is made. `closed`: every call is made. `automatic`: calls decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BreakerHold {
    Open,
    Closed,
    Automatic,
}

/// What this process knows of each target that it calls.
#[utoipa::path(get, path = "/admin/calls", operation_id = "calls", tag = "admin",
    security(("bearer" = [])), responses((status = 200, body = Calls)))]
async fn calls(State(targets): State<Targets>) -> Json<Calls> {
    Json(Calls::of(&targets))
}

/// Holds the circuit breaker to a target open or closed for a while. It is automatic again by itself
/// after that, and at a restart. The few calls that get keys and service tokens pass it by, as always.
#[utoipa::path(put, path = "/admin/calls/{target}/breaker", operation_id = "force_breaker",
    tag = "admin", params(("target" = String, Path)),
    request_body = BreakerChange, security(("bearer" = [])), responses(
    (status = 200, body = TargetReport),
    (status = 404, body = Problem, description = "No target of this name has a breaker here"),
    (status = 422, body = Problem, description = "It is no state, or the time is out of bounds"),
))]
async fn force_breaker(
    State(targets): State<Targets>,
    caller: Caller,
    Path(name): Path<String>,
    Json(change): Json<BreakerChange>,
) -> Result<Json<TargetReport>, Problem> {
    let seconds = change.seconds.unwrap_or(SECONDS);
    if !(1..=SECONDS_MAX).contains(&seconds) {
        return Err(Problem::validation().field("/for", "it has to be 1 to 3600"));
    }
    let Some(target @ Target::Service(client)) = &targets.get(&name) else {
        return Err(Problem::not_found("no target of this name has a breaker here"));
    };
    hold(client.breaker(), change.state, seconds);
    log(&name, &caller, change.state, seconds);
    Ok(Json(TargetReport::of(&name, target, targets.source())))
}

fn hold(breaker: &CircuitBreaker, state: BreakerHold, seconds: u32) {
    let time = Duration::from_secs(seconds.into());
    match state {
        BreakerHold::Open => breaker.force_open_for(time),
        BreakerHold::Closed => breaker.force_closed_for(time),
        BreakerHold::Automatic => breaker.release(),
    }
}

fn log(target: &str, caller: &Caller, state: BreakerHold, seconds: u32) {
    let actor = match caller {
        Caller::User(user) if user.is_admin() => format!("administrator:{}", user.id),
        Caller::User(user) => format!("user:{}", user.id),
        Caller::Service(service) => format!("service:{}", service.name),
    };
    if state == BreakerHold::Automatic {
        tracing::warn!(breaker.name = target, actor, "circuit breaker is automatic again");
        return;
    }
    tracing::warn!(
        breaker.name = target,
        breaker.forced = ?state,
        breaker.seconds = seconds,
        actor,
        "circuit breaker is forced"
    );
}
