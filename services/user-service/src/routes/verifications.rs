//! `/api/email-verifications`: a user shows that what comes to an address reaches them.

use auth::{User as SignedIn, opaque};
use axum::Extension;
use axum::extract::State;
use chassis::extract::Json;
use chassis::{Problem, RequestId};
use contracts::UserId;
use http::StatusCode;
use rate_limit::AccountLimit;
use serde::Deserialize;
use tusk_config::Secret;
use utoipa::ToSchema;

use crate::domain::{DomainError, Purpose, User};
use crate::error::Error;
use crate::metrics::{self, Mailed};
use crate::routes::users::entry;
use crate::store::Store;

/// What came by mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verification {
    /// The token of the mail.
    #[schema(value_type = String)]
    token: Secret<String>,
}

/// Sends the mail again with which the caller's address can be proven: the one that is pending, else
/// the caller's own. Nothing is sent when there is nothing to prove.
#[utoipa::path(post, path = "/api/email-verifications", tag = "accounts",
    security(("bearer" = [])), responses(
    (status = 202, description = "A mail is on its way, if there is an address to prove"),
    (status = 401, body = Problem),
    (status = 404, body = Problem, description = "The user is deleted"),
    (status = 429, body = Problem, description = "Too many mails were asked for; Retry-After says when to come again"),
))]
pub(crate) async fn request(
    caller: SignedIn,
    State(store): State<Store>,
    Extension(request): Extension<RequestId>,
    account: AccountLimit,
) -> Result<StatusCode, Error> {
    let id = UserId::from_uuid(caller.id);
    if let Some(email) = store.user(id).await?.unproven_email().cloned() {
        account.count(&email.account()).await?;
        let token = store.new_token(Purpose::Verification);
        let entry = entry(caller, "email-verification-request", caller.id, &request);
        let request = |user: User| user.request_verification(&email, token);
        store.change(id, (caller, &entry), request).await?;
        metrics::mailed(Purpose::Verification, Mailed::Requested);
    }
    Ok(StatusCode::ACCEPTED)
}

/// Proves an address with the token that came there by mail. If the address was pending, it is the
/// user's own from then on. Whoever has the token need not be signed in.
#[utoipa::path(post, path = "/api/email-verifications/complete", tag = "accounts",
    request_body = Verification, responses(
    (status = 204),
    (status = 409, body = Problem, description = "Somebody else has the address by now"),
    (status = 422, body = Problem, description = "The token is not known, was used, or its time is up"),
    (status = 429, body = Problem, description = "Too many tokens from there"),
))]
pub(crate) async fn complete(
    State(store): State<Store>,
    Extension(request): Extension<RequestId>,
    Json(presented): Json<Verification>,
) -> Result<StatusCode, Error> {
    let verified = store.verify_email(opaque::hash(presented.token.expose()), &request).await;
    let outcome = match &verified {
        Ok(()) => Mailed::Used,
        Err(Error::Domain(DomainError::WrongToken)) => Mailed::Refused,
        Err(_) => return verified.map(|()| StatusCode::NO_CONTENT),
    };
    metrics::mailed(Purpose::Verification, outcome);
    verified.map(|()| StatusCode::NO_CONTENT)
}
