//! `GET /api/samples/{id}/aspect`.

use auth::Caller;
use axum::extract::State;
use chassis::extract::{Json, Path};
use chassis::{Clock, Problem};
use chrono::{DateTime, Utc};
use contracts::sample::SampleId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{DomainError, Sample};
use crate::error::Error;
use crate::store::Store;

/// The answer: what is then.
#[derive(Serialize, ToSchema)]
pub(crate) struct AspectView {
    sample_id: Uuid,
    /// Counts changes, from 1.
    version: i64,
    updated_at: DateTime<Utc>,
}

/// Has `sample.occurred` told of one.
#[utoipa::path(get, path = "/api/samples/{id}/aspect", tag = "samples",
    operation_id = "aspect", params(("id" = Uuid, Path)),
    security(("bearer" = [])), responses(
    (status = 200, body = AspectView),
    (status = 404, body = Problem, description = "None, or not the caller's to change"),
))]
pub(crate) async fn answer(
    caller: Caller,
    State(store): State<Store>,
    State(clock): State<Clock>,
    Path(id): Path<Uuid>,
) -> Result<Json<AspectView>, Error> {
    let now = clock.now();
    let mark = |sample: Sample| {
        let may = caller.may_see(sample.user_id.as_uuid());
        if may { Ok(sample.mark_occurred(now)) } else { Err(DomainError::NotFound) }
    };
    let sample = store.change(SampleId::from_uuid(id), mark).await?;
    let (version, updated_at) = (sample.version, sample.updated_at);
    Ok(Json(AspectView { sample_id: sample.id.as_uuid(), version, updated_at }))
}
