//! `GET /api/samples/{id}/aspect`.

use auth::Caller;
use axum::extract::State;
use chassis::Problem;
use chassis::extract::{Json, Path};
use chrono::{DateTime, Utc};
use contracts::sample::SampleId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::DomainError;
use crate::error::Error;
use crate::store::Store;

/// The answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct AspectView {
    sample_id: Uuid,
    /// Counts changes, from 1.
    version: i64,
    updated_at: DateTime<Utc>,
}

/// Answers for one.
#[utoipa::path(get, path = "/api/samples/{id}/aspect", tag = "samples",
    operation_id = "aspect", params(("id" = Uuid, Path)),
    security(("bearer" = [])), responses(
    (status = 200, body = AspectView),
    (status = 404, body = Problem, description = "None, or not the caller's to see"),
))]
pub(crate) async fn aspect(
    caller: Caller,
    State(store): State<Store>,
    Path(id): Path<Uuid>,
) -> Result<Json<AspectView>, Error> {
    let sample = store.sample(SampleId::from_uuid(id)).await?;
    if !caller.may_see(sample.user_id.as_uuid()) {
        return Err(DomainError::NotFound.into());
    }
    let version = sample.version;
    let updated_at = sample.updated_at;
    Ok(Json(AspectView { sample_id: sample.id.as_uuid(), version, updated_at }))
}
