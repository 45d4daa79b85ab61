//! What administrators do with users: find them, and say who else is an administrator.

use auth::{Role, User as SignedIn};
use axum::extract::State;
use chassis::extract::{ETag, Json, Path, Query, RequestContext};
use chassis::page::Page;
use chassis::{Clock, Problem};
use contracts::UserId;
use http::StatusCode;
use platform::audit::{Actor, Entry};
use serde::Deserialize;
use tusk_config::Secret;
use utoipa::ToSchema;
use uuid::Uuid;

use super::codes::Codes;
use super::passwords::{CURRENT, OwnPassword};
use super::queries::UserQuery;
use super::users::Profile;
use crate::domain::{DomainError, User};
use crate::store::{Proof, Store};

/// There is neither a password nor a code.
const PASSWORD_MISSING: DomainError =
    DomainError::Invalid { pointer: CURRENT, reason: "is needed: the second factor is off" };

/// What the user is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Appointment {
    /// `user` or `admin`.
    role: Role,
    /// Where the caller's second factor is on: six digits of the app, or a recovery code.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<Secret<String>>,
    /// Where it is off: the caller's password.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<Secret<String>>,
}

/// What an administrator shows before somebody's second factor goes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnProof {
    /// Where the caller's second factor is on: six digits of the app, or a recovery code.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<Secret<String>>,
    /// Where it is off: the caller's password.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<Secret<String>>,
}

/// Lists users, newest first.
#[utoipa::path(get, path = "/api/users", tag = "users", params(UserQuery),
    security(("bearer" = [])), responses(
    (status = 200, body = Page<Profile>),
    (status = 401, body = Problem),
    (status = 403, body = Problem, description = "Not an administrator"),
))]
pub(crate) async fn list(
    State(store): State<Store>,
    Query(query): Query<UserQuery>,
) -> Result<Json<Page<Profile>>, Problem> {
    let (filter, page) = query.check()?;
    let users = store.users(&filter, page).await?;
    Ok(Json(users.map(Profile::from)))
}

/// Makes a user an administrator, or one as all others. The sessions of the user end, since their tokens
/// say what the user was.
#[utoipa::path(put, path = "/api/users/{id}/role", tag = "users", request_body = Appointment,
    params(("id" = Uuid, Path)), security(("bearer" = [])), responses(
    (status = 200, body = Profile, headers(("etag" = String))),
    (status = 403, body = Problem, description = "Not an administrator"),
    (status = 404, body = Problem, description = "No such user, or none any more"),
    (status = 409, body = Problem, description = "There would be no administrator left"),
    (status = 422, body = Problem, description = "A field is refused, or a code or the password is needed, or wrong"),
    (status = 429, body = Problem, description = "Too many tries failed; Retry-After says when to come again"),
    (status = 503, body = Problem, description = "Too many passwords are being hashed"),
))]
#[expect(clippy::too_many_arguments, reason = "each is a part of the request or the state")]
pub(crate) async fn appoint(
    caller: SignedIn,
    State(store): State<Store>,
    State(clock): State<Clock>,
    State(codes): State<Codes>,
    State(own): State<OwnPassword>,
    context: RequestContext,
    Path(id): Path<Uuid>,
    Json(appointment): Json<Appointment>,
) -> Result<(ETag, Json<Profile>), Problem> {
    let admin = appointment.role == Role::Admin;
    let now = clock.now();
    let outcome = if admin { "admin" } else { "user" };
    let entry = Entry::new(Actor::Administrator(caller.id), "role-change", outcome);
    let entry = entry.target(format_args!("user:{id}")).request(&context.request_id);
    let decide = |user: User| user.appoint(admin, now);
    let Appointment { code, current_password, .. } = appointment;
    let shown = (current_password, &PASSWORD_MISSING);
    let password = own.check_without_factor(caller.id, shown, "role-change", &context).await?;
    let attempt = codes.attempt(caller.id, code.as_ref(), &context).await?;
    let by = UserId::from_uuid(caller.id);
    let proof = Proof::by_either(by, password, attempt.code(), &PASSWORD_MISSING);
    let done =
        store.change_proven(UserId::from_uuid(id), (caller, &entry), Some(proof), decide).await;
    let user = attempt.settle(done).await?;
    Ok((ETag(user.version), Json(user.into())))
}

/// Switches a user's second factor off: for whoever has lost the app and the recovery codes, and has shown an
/// administrator who they are. All sessions of the user end, and the user is told by mail. Administrators switch
/// their own off as users do, by `/api/second-factor/disable`.
#[utoipa::path(post, path = "/api/users/{id}/second-factor/disable", tag = "users",
    operation_id = "disable_second_factor_of", request_body = OwnProof,
    params(("id" = Uuid, Path)), security(("bearer" = [])), responses(
    (status = 204),
    (status = 403, body = Problem, description = "Not an administrator, or the caller's own"),
    (status = 404, body = Problem, description = "It is off, or there is no such user, or none any more"),
    (status = 422, body = Problem, description = "A code or the password is needed, or wrong"),
    (status = 429, body = Problem, description = "Too many tries failed; Retry-After says when to come again"),
    (status = 503, body = Problem, description = "Too many passwords are being hashed"),
))]
pub(crate) async fn disable_second_factor(
    caller: SignedIn,
    State(store): State<Store>,
    State(codes): State<Codes>,
    State(own): State<OwnPassword>,
    context: RequestContext,
    Path(id): Path<Uuid>,
    Json(OwnProof { code, current_password }): Json<OwnProof>,
) -> Result<StatusCode, Problem> {
    // The own one asks for both.
    if caller.id == id {
        return Err(Problem::forbidden());
    }
    let entry = Entry::new(Actor::Administrator(caller.id), "second-factor-off", "success");
    let entry = entry.target(format_args!("user:{id}")).request(&context.request_id);
    let shown = (current_password, &PASSWORD_MISSING);
    let password =
        own.check_without_factor(caller.id, shown, "second-factor-off", &context).await?;
    let attempt = codes.attempt(caller.id, code.as_ref(), &context).await?;
    let by = UserId::from_uuid(caller.id);
    let proof = Proof::by_either(by, password, attempt.code(), &PASSWORD_MISSING);
    let user = UserId::from_uuid(id);
    let done = store.disable_second_factor(caller, user, proof, &entry).await;
    attempt.settle(done).await?;
    Ok(StatusCode::NO_CONTENT)
}
