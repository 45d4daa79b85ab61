//! The dead-letter queue over HTTP: a plain router that a service mounts under its own policy, for
//! administrators only.
//!
//! | route | does |
//! |---|---|
//! | `GET /admin/queues` | how much waits, how much is dead-lettered |
//! | `GET /admin/queues/{queue}/dead-letters` | lists what is dead-lettered, without what it says |
//! | `GET /admin/queues/{queue}/dead-letters/{id}` | one message with what it says |
//! | `POST /admin/queues/{queue}/replay` | puts back what matches |
//! | `POST /admin/queues/{queue}/discard` | says what matches; with its confirmation, throws it away |
//!
//! Those about events that were sent are in [events].
//!
//! They authenticate nobody: who may call it is decided around it.

mod body;
pub mod events;
mod refusal;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, Path, Query, State};
use http::{HeaderName, header};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin::body::Body;
use crate::admin::refusal::Refusal;
use crate::dead_letter_queue::{
    BeyondInboxRetention, DeadLetterQueue, Depth, Discarded, Filter, Listing, Peeked, Replayed,
};

/// The routes, for a service whose state holds its dead-letter queue.
pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    DeadLetterQueue: FromRef<S>,
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
    /// Which dead letters are meant.
    filter: Filter,
    /// From the answer to the same request without it: nothing is thrown away before.
    confirmation: Option<String>,
}

/// How a replay goes about it.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
struct ReplayOptions {
    /// Replays also messages that failed so long ago that the inbox may have forgotten an effect that
    /// they had: it would happen a second time. They are left when this is not given.
    beyond_inbox_retention: bool,
}

/// How much waits in the service's queue, and how much is dead-lettered.
#[utoipa::path(get, path = "/admin/queues", operation_id = "queues",
    tag = "admin", security(("bearer" = [])), responses(
    (status = 200, body = Vec<Depth>),
    (status = 503, description = "The broker is away"),
))]
async fn queues(State(dead_letters): State<DeadLetterQueue>) -> Result<Json<Vec<Depth>>, Refusal> {
    Ok(Json(vec![dead_letters.depth().await?]))
}

/// Dead letters that match, oldest first, without what they say.
#[utoipa::path(get, path = "/admin/queues/{queue}/dead-letters", operation_id = "dead_letters",
    tag = "admin",
    params(("queue" = String, Path), Filter), security(("bearer" = [])), responses(
    (status = 200, body = Listing),
    (status = 400, description = "The filter or the limit is not valid"),
    (status = 404, description = "The service has no such queue"),
    (status = 503, description = "The broker is away"),
))]
async fn list(
    State(dead_letters): State<DeadLetterQueue>,
    Path(queue): Path<String>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Listing>, Refusal> {
    let dead_letters = of_queue(dead_letters, &queue)?;
    Ok(Json(dead_letters.list(&filter?.0).await?))
}

/// One dead letter with what it says, which may be personal data.
#[utoipa::path(get, path = "/admin/queues/{queue}/dead-letters/{id}", operation_id = "dead_letter",
    tag = "admin",
    params(("queue" = String, Path), ("id" = String, Path)),
    security(("bearer" = [])), responses(
    (status = 200, body = Peeked),
    (status = 404, description = "No such queue, or no such message in its dead-letter queue"),
    (status = 503, description = "The broker is away"),
))]
async fn peek(
    State(dead_letters): State<DeadLetterQueue>,
    Path((queue, id)): Path<(String, String)>,
) -> Result<([(HeaderName, &'static str); 1], Json<Peeked>), Refusal> {
    let peeked = of_queue(dead_letters, &queue)?.peek(&id).await?;
    // Personal data stays in no cache on the way.
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(peeked)))
}

/// Puts the oldest dead letters that match back into their queue, as if they came for the first time;
/// but for those whose effect, if they had one, the inbox may have forgotten.
#[utoipa::path(post, path = "/admin/queues/{queue}/replay", operation_id = "replay_dead_letters",
    tag = "admin",
    params(("queue" = String, Path), ReplayOptions), request_body = Filter,
    security(("bearer" = [])), responses(
    (status = 200, body = Replayed),
    (status = 400, description = "The filter or the limit is not valid"),
    (status = 404, description = "The service has no such queue"),
    (status = 503, description = "The broker is away"),
))]
async fn replay(
    State(dead_letters): State<DeadLetterQueue>,
    Path(queue): Path<String>,
    options: Result<Query<ReplayOptions>, QueryRejection>,
    Body(filter): Body<Filter>,
) -> Result<Json<Replayed>, Refusal> {
    let dead_letters = of_queue(dead_letters, &queue)?;
    let beyond = if options?.0.beyond_inbox_retention {
        BeyondInboxRetention::Replay
    } else {
        BeyondInboxRetention::Leave
    };
    Ok(Json(dead_letters.replay(&filter, beyond).await?))
}

/// Says how many dead letters match; with the confirmation of that answer, throws exactly those
/// away.
#[utoipa::path(post, path = "/admin/queues/{queue}/discard", operation_id = "discard_dead_letters",
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
    State(dead_letters): State<DeadLetterQueue>,
    Path(queue): Path<String>,
    Body(Discard { filter, confirmation }): Body<Discard>,
) -> Result<Json<Discarded>, Refusal> {
    let dead_letters = of_queue(dead_letters, &queue)?;
    Ok(Json(dead_letters.discard(&filter, confirmation.as_deref()).await?))
}

fn of_queue(dead_letters: DeadLetterQueue, queue: &str) -> Result<DeadLetterQueue, Refusal> {
    if dead_letters.queue() == queue {
        Ok(dead_letters)
    } else {
        Err(Refusal::not_found("there is no such queue"))
    }
}
