//! `/api/sessions`: where a user is signed in, and how that ends.

use auth::User;
use auth::opaque;
use axum::Extension;
use axum::extract::State;
use chassis::extract::{Json, Path, Query};
use chassis::{Problem, RequestId};
use chrono::{DateTime, Utc};
use contracts::UserId;
use http::StatusCode;
use platform::audit::{Actor, Entry};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::queries::Ending;
use super::sessions::Refresh;
use crate::config::SessionSettings;
use crate::error::Error;
use crate::store::{Shown, Store};

/// A session that is open.
#[derive(Serialize, ToSchema)]
pub(crate) struct OpenSession {
    session_id: Uuid,
    /// What the client said of itself when it signed in (`User-Agent`); may be empty.
    #[schema(max_length = 200)]
    device: String,
    created_at: DateTime<Utc>,
    /// When it was refreshed last, or begun.
    last_used_at: DateTime<Utc>,
    /// When it ends unless it is refreshed.
    expires_at: DateTime<Utc>,
    /// Whether it is the one of this request.
    current: bool,
    /// What its tokens carry of the user's rights; absent: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "payment:read user:read")]
    scope: Option<String>,
}

/// All sessions of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct OpenSessions {
    /// The one that was used last comes first.
    #[schema(max_items = 100)]
    items: Vec<OpenSession>,
}

/// Lists where the caller is signed in.
#[utoipa::path(get, path = "/api/sessions", operation_id = "list_sessions", tag = "sessions",
    security(("bearer" = [])),
    responses((status = 200, body = OpenSessions)))]
pub(crate) async fn list(
    caller: User,
    State(store): State<Store>,
    State(settings): State<SessionSettings>,
) -> Result<Json<OpenSessions>, Error> {
    let shown = |Shown { id, device, created_at, last_used_at, expires_at, scope }| {
        let session_id = id;
        let current = id == caller.session;
        OpenSession { session_id, device, created_at, last_used_at, expires_at, current, scope }
    };
    let sessions = store.sessions(caller.id, &settings).await?;
    Ok(Json(OpenSessions { items: sessions.into_iter().map(shown).collect() }))
}

/// Ends one of the caller's sessions: its refresh token is worth nothing from now on, its access token
/// within two seconds.
#[utoipa::path(delete, path = "/api/sessions/{id}", operation_id = "end_session", tag = "sessions",
    params(("id" = Uuid, Path)), security(("bearer" = [])), responses(
    (status = 204),
    (status = 404, body = Problem, description = "No such session, or not the caller's"),
))]
pub(crate) async fn end(
    caller: User,
    State(store): State<Store>,
    Extension(request): Extension<RequestId>,
    Path(session): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let entry = Entry::new(Actor::User(caller.id), "session-end", "success");
    let entry = entry.target(format_args!("session:{session}")).request(&request);
    if store.close_session(session, caller.id, &entry).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found("there is no such session"))
}

/// Ends all of the caller's sessions.
#[utoipa::path(delete, path = "/api/sessions", operation_id = "end_sessions", tag = "sessions",
    params(Ending),
    security(("bearer" = [])), responses((status = 204)))]
pub(crate) async fn end_all(
    caller: User,
    State(store): State<Store>,
    Extension(request): Extension<RequestId>,
    Query(ending): Query<Ending>,
) -> Result<StatusCode, Error> {
    let except = ending.keep_current.then_some(caller.session);
    let outcome = if ending.keep_current { "others" } else { "all" };
    let entry = Entry::new(Actor::User(caller.id), "sessions-end", outcome);
    let entry = entry.target(format_args!("user:{}", caller.id)).request(&request);
    store.close_sessions(UserId::from_uuid(caller.id), except, &entry).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs out. The session's refresh token is worth nothing from now on, its access token within two
/// seconds.
#[utoipa::path(delete, path = "/api/sessions/current", tag = "sessions",
    security(("bearer" = [])), responses((status = 204), (status = 401, body = Problem)))]
pub(crate) async fn sign_out(
    caller: User,
    State(store): State<Store>,
    Extension(request): Extension<RequestId>,
) -> Result<StatusCode, Error> {
    close(&store, caller.session, caller.id, &request).await
}

/// Signs out with the refresh token alone, for a client whose access token is over. A token that is of no
/// session is as good: there is nothing left to end.
#[utoipa::path(post, path = "/api/sessions/sign-out", tag = "sessions", request_body = Refresh,
    responses((status = 204)))]
pub(crate) async fn sign_out_by_token(
    State(store): State<Store>,
    Extension(request): Extension<RequestId>,
    Json(presented): Json<Refresh>,
) -> Result<StatusCode, Error> {
    match store.session_of(opaque::hash(presented.expose())).await? {
        Some((session, user)) => close(&store, session, user, &request).await,
        None => Ok(StatusCode::NO_CONTENT),
    }
}

async fn close(
    store: &Store,
    session: Uuid,
    user: Uuid,
    request: &RequestId,
) -> Result<StatusCode, Error> {
    let entry = Entry::new(Actor::User(user), "sign-out", "success");
    let entry = entry.target(format_args!("session:{session}")).request(request);
    // One that has ended already is as good.
    store.close_session(session, user, &entry).await?;
    Ok(StatusCode::NO_CONTENT)
}
