//! `GET /api/samples/{id}/aspect`.

use auth::User;
use chassis::Problem;
use chassis::extract::Json;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct AspectView {
    /// Whom it is for.
    user_id: Uuid,
}

/// Answers for the caller.
#[utoipa::path(get, path = "/api/samples/{id}/aspect", tag = "samples",
    operation_id = "aspect", security(("bearer" = [])), responses(
    (status = 200, body = AspectView),
    (status = 401, body = Problem),
))]
pub(crate) async fn aspect(caller: User) -> Json<AspectView> {
    Json(AspectView { user_id: caller.id })
}
