//! The parking lot over HTTP: a plain router that a service mounts under its own policy, for
//! administrators only.
//!
//! | route | does |
//! |---|---|
//! | `GET /admin/queues` | how much waits, how much is parked |
//! | `GET /admin/queues/{queue}/parked` | lists what is parked, without what it says |
//! | `GET /admin/queues/{queue}/parked/{id}` | one message with what it says |
//! | `POST /admin/queues/{queue}/replay` | puts back what matches |
//! | `POST /admin/queues/{queue}/discard` | says what matches; with its confirmation, throws it away |
//!
//! It authenticates nobody: who may call it is decided around it.

mod refusal;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRef, Path, Query, State};
use http::{HeaderName, header};
use serde::Deserialize;
use strict_json::Strict;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin::refusal::Refusal;
use crate::parking::{Depth, Discarded, Filter, Listing, ParkingLot, Peeked, Replayed};

/// The routes, for a service whose state holds its parking lot.
pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    ParkingLot: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(queues))
        .routes(routes!(list))
        .routes(routes!(peek))
        .routes(routes!(replay))
        .routes(routes!(discard))
}

/// What is to be thrown away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Discard {
    /// Which parked messages are meant.
    filter: Filter,
    /// From the answer to the same request without it: nothing is thrown away before.
    confirmation: Option<String>,
}

/// How much waits in the service's queue, and how much is parked.
#[utoipa::path(get, path = "/admin/queues", operation_id = "queues",
    tag = "admin", security(("bearer" = [])), responses(
    (status = 200, body = Vec<Depth>),
    (status = 503, description = "The broker is away"),
))]
async fn queues(State(lot): State<ParkingLot>) -> Result<Json<Vec<Depth>>, Refusal> {
    Ok(Json(vec![lot.depth().await?]))
}

/// Parked messages that match, oldest first, without what they say.
#[utoipa::path(get, path = "/admin/queues/{queue}/parked", operation_id = "parked_messages",
    tag = "admin",
    params(("queue" = String, Path), Filter), security(("bearer" = [])), responses(
    (status = 200, body = Listing),
    (status = 400, description = "The filter or the limit is not valid"),
    (status = 404, description = "The service has no such queue"),
    (status = 503, description = "The broker is away"),
))]
async fn list(
    State(lot): State<ParkingLot>,
    Path(queue): Path<String>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Listing>, Refusal> {
    let lot = of_queue(lot, &queue)?;
    Ok(Json(lot.list(&filter?.0).await?))
}

/// One parked message with what it says, which may be personal data.
#[utoipa::path(get, path = "/admin/queues/{queue}/parked/{id}", operation_id = "parked_message",
    tag = "admin",
    params(("queue" = String, Path), ("id" = String, Path)),
    security(("bearer" = [])), responses(
    (status = 200, body = Peeked),
    (status = 404, description = "No such queue, or no such message in its parking lot"),
    (status = 503, description = "The broker is away"),
))]
async fn peek(
    State(lot): State<ParkingLot>,
    Path((queue, id)): Path<(String, String)>,
) -> Result<([(HeaderName, &'static str); 1], Json<Peeked>), Refusal> {
    let peeked = of_queue(lot, &queue)?.peek(&id).await?;
    // Personal data stays in no cache on the way.
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(peeked)))
}

/// Puts the parked messages that match back into their queue, as if they came for the first time.
#[utoipa::path(post, path = "/admin/queues/{queue}/replay", operation_id = "replay_parked",
    tag = "admin",
    params(("queue" = String, Path)), request_body = Filter,
    security(("bearer" = [])), responses(
    (status = 200, body = Replayed),
    (status = 400, description = "The filter or the limit is not valid"),
    (status = 404, description = "The service has no such queue"),
    (status = 503, description = "The broker is away"),
))]
async fn replay(
    State(lot): State<ParkingLot>,
    Path(queue): Path<String>,
    filter: Result<Json<Strict<Filter>>, JsonRejection>,
) -> Result<Json<Replayed>, Refusal> {
    let lot = of_queue(lot, &queue)?;
    let Json(Strict(filter)) = filter?;
    Ok(Json(lot.replay(&filter).await?))
}

/// Says how many parked messages match; with the confirmation of that answer, throws exactly those
/// away.
#[utoipa::path(post, path = "/admin/queues/{queue}/discard", operation_id = "discard_parked",
    tag = "admin",
    params(("queue" = String, Path)), request_body = Discard,
    security(("bearer" = [])), responses(
    (status = 200, body = Discarded),
    (status = 400, description = "The filter or the limit is not valid"),
    (status = 404, description = "The service has no such queue"),
    (status = 409, description = "What matches is not what was confirmed"),
    (status = 503, description = "The broker is away"),
))]
async fn discard(
    State(lot): State<ParkingLot>,
    Path(queue): Path<String>,
    discard: Result<Json<Strict<Discard>>, JsonRejection>,
) -> Result<Json<Discarded>, Refusal> {
    let lot = of_queue(lot, &queue)?;
    let Json(Strict(Discard { filter, confirmation })) = discard?;
    Ok(Json(lot.discard(&filter, confirmation.as_deref()).await?))
}

fn of_queue(lot: ParkingLot, queue: &str) -> Result<ParkingLot, Refusal> {
    if lot.queue() == queue { Ok(lot) } else { Err(Refusal::not_found("there is no such queue")) }
}
