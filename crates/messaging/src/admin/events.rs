//! The archive over HTTP: a plain router that a service mounts under its own policy, for
//! administrators only.
//!
//! | route | does |
//! |---|---|
//! | `GET /admin/events` | lists events that were sent, without what they say |
//! | `POST /admin/events/republish` | says what matches; with its confirmation, sends it again |

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, Query, State};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin::body::Body;
use crate::admin::refusal::Refusal;
use crate::archive::{EventArchive, Filter, Page, Republished, Target};

/// The routes, for a service whose state holds the archive of its events.
pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    EventArchive: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(republish))
}

/// What is to be sent again, and where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Republish {
    /// Which events are meant.
    filter: Filter,
    /// Where they go.
    target: Target,
    /// From the answer to the same request without it: nothing is sent before.
    confirmation: Option<String>,
}

/// Events that were sent and are in the archive, in the order in which they were written, without what
/// they say. Empty while `[outbox] archive` is off.
#[utoipa::path(get, path = "/admin/events", operation_id = "archived_events",
    tag = "admin", params(Filter), security(("bearer" = [])), responses(
    (status = 200, body = Page),
    (status = 400, description = "The filter or the limit is not valid"),
    (status = 503, description = "The database is away"),
))]
async fn events(
    State(archive): State<EventArchive>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page>, Refusal> {
    Ok(Json(archive.list(&filter?.0).await?))
}

/// Says how many events match; with the confirmation of that answer, sends exactly those again, under
/// their ids: to one reader's queue, or to all who are bound.
#[utoipa::path(post, path = "/admin/events/republish", operation_id = "republish_events",
    tag = "admin", request_body = Republish, security(("bearer" = [])), responses(
    (status = 200, body = Republished),
    (status = 400, description = "The filter, the limit or the queue is not valid"),
    (status = 409, description = "What matches is not what was confirmed"),
    (status = 503, description = "The broker or the database is away"),
))]
async fn republish(
    State(archive): State<EventArchive>,
    Body(Republish { filter, target, confirmation }): Body<Republish>,
) -> Result<Json<Republished>, Refusal> {
    Ok(Json(archive.republish(&filter, &target, confirmation.as_deref()).await?))
}
