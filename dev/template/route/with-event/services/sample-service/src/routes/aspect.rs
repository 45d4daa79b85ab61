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
    /// When it happened. Asked again, this stays as it is.
    occurred_at: Option<DateTime<Utc>>,
    /// Counts changes, from 1.
    version: i64,
    updated_at: DateTime<Utc>,
}

/// Has `sample.occurred` told of one, once. Asked again, the answer is the same and nothing is told.
#[utoipa::path(get, path = "/api/samples/{id}/aspect", tag = "samples",
    operation_id = "aspect", params(("id" = Uuid, Path)),
    security(("bearer" = [])), responses(
    (status = 200, body = AspectView),
    (status = 404, body = Problem, description = "None, or not the caller's to change"),
))]
pub(crate) async fn aspect(
    caller: Caller,
    State(store): State<Store>,
    State(clock): State<Clock>,
    Path(id): Path<Uuid>,
) -> Result<Json<AspectView>, Error> {
    let now = clock.now();
    let mark = |sample: Sample| {
        let may = caller.may_change(sample.user_id.as_uuid());
        if may { Ok(sample.mark_occurred(now)) } else { Err(DomainError::NotFound) }
    };
    let sample = store.change(SampleId::from_uuid(id), mark).await?;
    Ok(Json(AspectView {
        sample_id: sample.id.as_uuid(),
        occurred_at: sample.occurred_at,
        version: sample.version,
        updated_at: sample.updated_at,
    }))
}
