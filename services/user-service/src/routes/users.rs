//! `/api/users`: registration and profiles.

use auth::password::Passwords;
use auth::{Caller, User as SignedIn};
use axum::Extension;
use axum::extract::State;
use chassis::extract::{ETag, IfMatch, Json, MergePatch, Path, RequestContext};
use chassis::{Clock, CollectErrors, Problem, RequestId};
use chrono::{DateTime, Utc};
use contracts::UserId;
use http::{HeaderName, StatusCode, header};
use platform::audit::{Actor, Entry};
use rate_limit::AccountLimit;
use serde::{Deserialize, Serialize};
use tusk_config::Secret;
use utoipa::ToSchema;
use uuid::Uuid;

use super::codes::Codes;
use super::passwords::{CURRENT, OwnPassword};
use crate::domain::{Change, DomainError, Email, Name, Password, Purpose, User};
use crate::error::Error;
use crate::metrics::{self, Mailed};
use crate::profiles::Profiles;
use crate::store::{Proof, Store};

/// There is neither a password nor a code.
const PASSWORD_MISSING: DomainError =
    DomainError::Invalid { pointer: CURRENT, reason: "is needed for another address" };

/// A registration.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    #[schema(example = "ada@example.com", format = "email", max_length = 254)]
    email: String,
    /// 1 to 100 characters.
    #[schema(example = "Ada Lovelace", min_length = 1, max_length = 100)]
    name: String,
    /// 10 to 128 characters, and none of the commonest passwords.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 128)]
    password: Secret<String>,
}

/// What to change; a field left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileChange {
    /// A new address is `pending_email` until it is proven; the address that the user has ends that.
    #[schema(example = "ada@example.com", format = "email", max_length = 254)]
    email: Option<String>,
    /// 1 to 100 characters.
    #[schema(example = "Ada Lovelace", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// For another address, where the second factor of whoever changes it is on: six digits of the app, or a
    /// recovery code.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<Secret<String>>,
    /// For another address, where it is off: the password of whoever changes it.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<Secret<String>>,
}

/// A user's profile.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Profile {
    user_id: Uuid,
    /// Nobody's, in `deleted.invalid`, once the user is deleted.
    #[schema(max_length = 254)]
    email: String,
    /// `deleted user` once the user is deleted.
    #[schema(max_length = 100)]
    name: String,
    /// `user` or `admin`.
    role: auth::Role,
    /// `active` or `deleted`; a version of the service that is newer than this document may know another word.
    #[schema(example = "active", min_length = 1)]
    status: String,
    /// Whether somebody has shown that they read what comes to the address.
    #[serde(default)]
    email_verified: bool,
    /// False once mail to the address was refused for good: only what the account needs is sent there.
    email_deliverable: bool,
    /// The address that becomes `email` once it is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 254)]
    pending_email: Option<String>,
    /// The number in the ETag.
    #[schema(minimum = 1)]
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self {
            user_id: user.id.as_uuid(),
            email: user.email.as_str().to_owned(),
            name: user.name.as_str().to_owned(),
            role: if user.admin { auth::Role::Admin } else { auth::Role::User },
            status: user.status.as_str().to_owned(),
            email_verified: user.is_email_verified(),
            pending_email: user.pending_email.as_ref().map(|email| email.as_str().to_owned()),
            email_deliverable: user.email_deliverable,
            version: user.version,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// Registers a user, and sends a mail with which the address can be proven.
#[utoipa::path(post, path = "/api/users", tag = "users", request_body = Registration, responses(
    (status = 201, body = Profile, headers(("location" = String), ("etag" = String))),
    (status = 409, body = Problem, description = "The address is taken"),
    (status = 422, body = Problem, description = "A field is refused"),
    (status = 429, body = Problem, description = "Too many users were registered from there, or with this address"),
    (status = 503, body = Problem, description = "Too many passwords are being hashed"),
))]
pub(crate) async fn register(
    State(store): State<Store>,
    State(passwords): State<Passwords>,
    State(clock): State<Clock>,
    account: AccountLimit,
    Extension(request): Extension<RequestId>,
    Json(registration): Json<Registration>,
) -> Result<(StatusCode, [(HeaderName, String); 1], ETag, Json<Profile>), Error> {
    let email = Email::parse(&registration.email);
    let name = Name::parse(&registration.name);
    let password = Password::new(registration.password);
    let (email, name, ()) = (email, name, password.check_new("/password")).collect_errors()?;
    account.count(&email.account()).await?;
    let hash = passwords.hash(password.normalised()).await?;
    let id = UserId::from_uuid(clock.new_id());
    let token = store.new_token(Purpose::Verification);
    let registered = User::register(id, email, name, token, clock.now());
    let entry = Entry::new(Actor::Anybody, "registration", "success");
    let entry = entry.target(format_args!("user:{id}")).request(&request);
    let user = store.create(registered, &hash, &entry).await?;
    metrics::mailed(Purpose::Verification, Mailed::Requested);
    let location = [(header::LOCATION, format!("/api/users/{id}"))];
    Ok((StatusCode::CREATED, location, ETag(user.version), Json(user.into())))
}

/// The caller's own profile.
#[utoipa::path(get, path = "/api/users/me", tag = "users", security(("bearer" = [])), responses(
    (status = 200, body = Profile, headers(("etag" = String))),
    (status = 404, body = Problem, description = "The user is deleted"),
))]
pub(crate) async fn me(
    caller: SignedIn,
    State(store): State<Store>,
) -> Result<(ETag, Json<Profile>), Problem> {
    let user = store.user(UserId::from_uuid(caller.id)).await?;
    Ok((ETag(user.version), Json(user.into())))
}

/// A profile. Services and administrators see deleted users too; a user sees the own only. A
/// service decides by it, and so is never told what is cached.
#[utoipa::path(get, path = "/api/users/{id}", tag = "users", params(("id" = Uuid, Path)),
    security(("bearer" = [])), responses(
    (status = 200, body = Profile, headers(("etag" = String))),
    (status = 404, body = Problem, description = "No such user, or not the caller's to see"),
))]
pub(crate) async fn show(
    caller: Caller,
    State(store): State<Store>,
    State(profiles): State<Profiles>,
    Path(id): Path<Uuid>,
) -> Result<(ETag, Json<Profile>), Problem> {
    visible(&caller, id)?;
    let id = UserId::from_uuid(id);
    let read = async { store.user(id).await.map(Profile::from) };
    let profile = match caller {
        Caller::Service(_) => read.await?,
        Caller::User(_) => profiles.get(id, read).await?,
    };
    Ok((ETag(profile.version), Json(profile)))
}

/// Changes a profile that nobody else has changed since it was read. A new address counts once it is
/// proven: a mail goes there with which that is done, and the one before is told.
#[utoipa::path(patch, path = "/api/users/{id}", tag = "users",
    request_body(content(
        (ProfileChange = "application/json"), (ProfileChange = "application/merge-patch+json"),
    )),
    params(("id" = Uuid, Path), ("if-match" = String, Header)),
    security(("bearer" = [])), responses(
    (status = 200, body = Profile, headers(("etag" = String))),
    (status = 404, body = Problem, description = "No such user, or not the caller's to change"),
    (status = 409, body = Problem, description = "The address is taken"),
    (status = 412, body = Problem, description = "Changed meanwhile"),
    (status = 422, body = Problem, description = "A field is refused, or a code or the password is needed for another address, or wrong"),
    (status = 428, body = Problem, description = "If-Match is missing"),
    (status = 429, body = Problem, description = "Too many changes, or too many to this address"),
))]
#[expect(clippy::too_many_arguments, reason = "each is a part of the request or the state")]
pub(crate) async fn change(
    caller: SignedIn,
    State(store): State<Store>,
    State(clock): State<Clock>,
    State(codes): State<Codes>,
    State(own): State<OwnPassword>,
    Path(id): Path<Uuid>,
    seen: IfMatch,
    account: AccountLimit,
    context: RequestContext,
    MergePatch(change): MergePatch<ProfileChange>,
) -> Result<(ETag, Json<Profile>), Problem> {
    visible(&Caller::User(caller), id)?;
    let email = change.email.as_deref().map(Email::parse).transpose();
    let name = change.name.as_deref().map(Name::parse).transpose();
    let (email, name) = (email, name).collect_errors().map_err(Error::from)?;
    // What says where mail goes is asked for with a code, or with the password where there is no second factor.
    let before = store.user(UserId::from_uuid(id)).await?;
    let is_asked = email.as_ref().is_some_and(|email| !email.is_same(&before.email));
    let mut password = None;
    if is_asked {
        let shown = (change.current_password, &PASSWORD_MISSING);
        password = own.check_without_factor(caller.id, shown, "user-change", &context).await?;
    }
    if let Some(email) = &email
        && before.would_mail(email)
    {
        account.count(&email.account()).await.map_err(Error::from)?;
    }
    let code = change.code;
    let change = Change { email, name };
    let now = clock.now();
    let token = store.new_token(Purpose::Verification);
    let decide = |user: User| {
        // What was asked for and counted, or not, was so for the addresses of then.
        let is_as_it_was = change.email.is_none()
            || (&user.email, &user.pending_email) == (&before.email, &before.pending_email);
        let user = user.when(|version| seen.admits(version) && is_as_it_was)?;
        user.change(change.clone(), token, now)
    };
    let entry = entry(caller, "user-change", id, &context.request_id);
    // Any other is not looked at, and so no try.
    let code = code.as_ref().filter(|_| is_asked);
    let attempt = codes.attempt(caller.id, code, &context).await?;
    let by = UserId::from_uuid(caller.id);
    let proof = Proof::by_either(by, password, attempt.code(), &PASSWORD_MISSING);
    let proof = is_asked.then_some(proof);
    let done = store.change_proven(UserId::from_uuid(id), (caller, &entry), proof, decide).await;
    let user = attempt.settle(done).await?;
    Ok((ETag(user.version), Json(user.into())))
}

/// Deletes a user, and erases what is personal. With `If-Match`, only one that nobody else has changed.
#[utoipa::path(delete, path = "/api/users/{id}", tag = "users",
    params(("id" = Uuid, Path), ("if-match" = Option<String>, Header)),
    security(("bearer" = [])), responses(
    (status = 204),
    (status = 404, body = Problem, description = "No such user, or not the caller's to delete"),
    (status = 409, body = Problem, description = "There would be no administrator left"),
    (status = 412, body = Problem, description = "Changed meanwhile"),
))]
pub(crate) async fn delete(
    caller: SignedIn,
    State(store): State<Store>,
    State(clock): State<Clock>,
    Path(id): Path<Uuid>,
    seen: Option<IfMatch>,
    Extension(request): Extension<RequestId>,
) -> Result<StatusCode, Problem> {
    visible(&Caller::User(caller), id)?;
    let now = clock.now();
    let is_as_seen = |version| seen.as_ref().is_none_or(|seen| seen.admits(version));
    let nobody = Email::nobody(clock.new_id());
    let decide = |user: User| user.when(is_as_seen)?.delete(nobody.clone(), now);
    let entry = entry(caller, "user-deletion", id, &request);
    store.change(UserId::from_uuid(id), (caller, &entry), decide).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the audit trail says of a change: who made it, as whom, to which user.
pub(super) fn entry(
    caller: SignedIn,
    action: &'static str,
    user: Uuid,
    request: &RequestId,
) -> Entry {
    let actor = if caller.id == user { Actor::User } else { Actor::Administrator };
    let entry = Entry::new(actor(caller.id), action, "success");
    entry.target(format_args!("user:{user}")).request(request)
}

/// Whose it is not cannot tell it from one that does not exist.
pub(super) fn visible(caller: &Caller, id: Uuid) -> Result<(), Problem> {
    if caller.may_see(id) { Ok(()) } else { Err(Error::from(DomainError::NotFound).into()) }
}
