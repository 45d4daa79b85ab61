//! `GET /admin/audit`: the trail of the service that answers, for administrators.

use axum::extract::{FromRef, State};
use chassis::Problem;
use chassis::database;
use chassis::extract::{Json, Query};
use chassis::page::{Page, PageQuery};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::AuditTrail;

/// An entry of the trail.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// The entry's id, which sorts by time.
    pub id: Uuid,
    /// When it was done, or the first of those that are counted.
    pub at: DateTime<Utc>,
    /// When its outcome was known, or the last of those that are counted.
    pub last_at: DateTime<Utc>,
    /// How often within the hour; 1 for what is recorded one by one.
    #[schema(minimum = 1)]
    pub times: i64,
    /// `anybody`, `user:ID`, `administrator:ID` or `service:NAME`.
    pub actor: String,
    /// What was done: a word such as `sign-in`, or an administrator's route.
    pub action: String,
    /// To what; absent where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How it ended: a word, or an HTTP status.
    pub outcome: String,
    /// The `x-request-id`; absent where several are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

pub(crate) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AuditTrail: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(audit))
}

/// Who did what with this service, newest first: sign-ins, tokens, what administrators asked for.
#[utoipa::path(get, path = "/admin/audit", operation_id = "audit", tag = "admin",
    params(PageQuery), security(("bearer" = [])), responses((status = 200, body = Page<AuditEntry>)))]
async fn audit(
    State(trail): State<AuditTrail>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let page = trail.page(page.check()?).await;
    page.map(Json).map_err(|error| database::problem(&error))
}
