//! Another password: for whoever knows the one before, and for whoever reads the user's mail.

use auth::password::Passwords;
use auth::{User as SignedIn, opaque};
use axum::extract::State;
use chassis::extract::{Json, Path, RequestContext};
use chassis::{CollectErrors, Problem, RequestId};
use contracts::UserId;
use http::StatusCode;
use platform::audit::{Actor, AuditTrail, Entry};
use rate_limit::{AccountLimit, Backoff};
use serde::Deserialize;
use tusk_config::Secret;
use utoipa::ToSchema;
use uuid::Uuid;

use super::codes::Codes;
use super::sessions::verify;
use crate::domain::{DomainError, Email, Password, Purpose};
use crate::error::Error;
use crate::metrics::{self, Mailed, PasswordChange};
use crate::store::{NewPassword, Proof, ShownPassword, Store};

/// Where the caller's password stands in a request for something else.
pub(super) const CURRENT: &str = "/current_password";

/// A password in the place of another one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replacement {
    #[schema(value_type = String, format = Password)]
    current_password: Secret<String>,
    /// 10 to 128 characters, and none of the commonest passwords.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 128)]
    new_password: Secret<String>,
    /// Where the second factor is on: six digits of the app, or a recovery code.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<Secret<String>>,
}

/// Who has forgotten the password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetRequest {
    #[schema(example = "ada@example.com", format = "email", max_length = 254)]
    email: String,
}

/// What came by mail, and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    /// The token of the mail.
    #[schema(value_type = String)]
    token: Secret<String>,
    /// 10 to 128 characters, and none of the commonest passwords.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 128)]
    password: Secret<String>,
}

/// Sets the caller's own password. All other sessions of the user end, what was asked for by mail is
/// good for nothing any more, and the user is told by mail. Access tokens of the sessions that end are
/// refused within two seconds, or last until their time is up while Redis is away.
#[utoipa::path(put, path = "/api/users/{id}/password", tag = "accounts",
    request_body = Replacement, params(("id" = Uuid, Path)), security(("bearer" = [])), responses(
    (status = 204),
    (status = 404, body = Problem, description = "Not the caller"),
    (status = 422, body = Problem, description = "The current password or the code is wrong, or the new password is refused"),
    (status = 429, body = Problem, description = "Too many tries failed; Retry-After says when to come again"),
    (status = 503, body = Problem, description = "Too many passwords are being hashed"),
))]
pub(crate) async fn replace(
    caller: SignedIn,
    State(store): State<Store>,
    State(own): State<OwnPassword>,
    State(codes): State<Codes>,
    Path(id): Path<Uuid>,
    context: RequestContext,
    Json(replacement): Json<Replacement>,
) -> Result<StatusCode, Error> {
    if caller.id != id {
        return Err(DomainError::NotFound.into());
    }
    let new = Password::new(replacement.new_password);
    new.check_new("/new_password")?;
    let current = Password::new(replacement.current_password);
    let checked = own.check(id, (&current, CURRENT), "password-change", &context).await;
    match &checked {
        Err(Error::Limited(_)) => metrics::password_changed(PasswordChange::Refused),
        Err(Error::Domain(DomainError::Invalid { .. })) => {
            metrics::password_changed(PasswordChange::Failed);
        }
        _ => {}
    }
    let current = checked?;
    let hash = own.passwords.hash(new.normalised()).await?;
    let new = NewPassword { caller, hash };
    let entry = entry(id, "password-change", "success", &context.request_id);
    let attempt = codes.attempt(id, replacement.code.as_ref(), &context).await?;
    let proof = Proof::by_both(current, attempt.code());
    let done = store.change_password(&new, proof, &entry).await;
    attempt.settle(done).await?;
    metrics::password_changed(PasswordChange::Changed);
    Ok(StatusCode::NO_CONTENT)
}

/// Makes sure that a signed-in user knows the own password.
pub(crate) struct OwnPassword {
    store: Store,
    passwords: Passwords,
    backoff: Backoff,
    audit: AuditTrail,
}

impl axum::extract::FromRef<super::AppState> for OwnPassword {
    fn from_ref(state: &super::AppState) -> Self {
        Self {
            store: state.store.clone(),
            passwords: state.passwords.clone(),
            backoff: state.password_change.clone(),
            audit: state.audit.clone(),
        }
    }
}

impl OwnPassword {
    /// The password of a signed-in user, if it is the one that stands at `pointer` of the request that does `action`.
    /// Whoever has found a session may guess at it, and is answered as at a sign-in.
    pub(super) async fn check(
        &self,
        id: Uuid,
        (password, pointer): (&Password, &'static str),
        action: &'static str,
        context: &RequestContext,
    ) -> Result<ShownPassword, Error> {
        let refused = async |outcome| {
            self.audit.count(entry(id, action, outcome, &context.request_id)).await;
        };
        let attempt = match self.backoff.attempt(&id.to_string(), context.client_address).await {
            Ok(attempt) => attempt,
            Err(limited) => {
                refused("too-many-tries").await;
                return Err(limited.into());
            }
        };
        match self.verified(UserId::from_uuid(id), (password, pointer)).await {
            Ok(Some(version)) => {
                attempt.succeeded().await;
                Ok(ShownPassword { user: UserId::from_uuid(id), version, pointer })
            }
            Ok(None) => {
                refused("wrong-password").await;
                Err(DomainError::wrong_password(pointer).into())
            }
            Err(error) => {
                attempt.undo().await;
                Err(error)
            }
        }
    }

    /// The same of somebody whose second factor is off; nothing where it is on, as a code is asked for then. Without a
    /// password `missing` says so. Which of the two it is has to be decided again when nobody changes the user any more
    /// (see [`Proof::by_either`]).
    pub(super) async fn check_without_factor(
        &self,
        id: Uuid,
        (password, missing): (Option<Secret<String>>, &DomainError),
        action: &'static str,
        context: &RequestContext,
    ) -> Result<Option<ShownPassword>, Error> {
        if self.store.second_factor(id).await?.enabled_at.is_some() {
            return Ok(None);
        }
        let password = Password::new(password.ok_or_else(|| missing.clone())?);
        self.check(id, (&password, CURRENT), action, context).await.map(Some)
    }

    /// The version of the user's password, if that is it. One who is let in by an account elsewhere may have none.
    async fn verified(
        &self,
        user: UserId,
        (password, pointer): (&Password, &'static str),
    ) -> Result<Option<i64>, Error> {
        let account = self.store.account(user).await?;
        let reason = "is needed, and the account has none: set one by a password reset first";
        let stored = account.hash.ok_or(DomainError::Invalid { pointer, reason })?;
        let matched = verify(&self.passwords, password, Some(stored)).await?;
        Ok(matched.map(|_| account.password_version))
    }
}

/// What a user does with the own account, in the audit trail.
fn entry(user: Uuid, action: &'static str, outcome: &'static str, request: &RequestId) -> Entry {
    let entry = Entry::new(Actor::User(user), action, outcome);
    entry.target(format_args!("user:{user}")).request(request)
}

/// Asks for a mail with which another password can be set. The answer and its time are the same
/// whether or not anybody has the address: who has it is looked up afterwards.
#[utoipa::path(post, path = "/api/password-resets", tag = "accounts",
    request_body = ResetRequest, responses(
    (status = 202, description = "A mail is on its way, if a user has the address"),
    (status = 422, body = Problem, description = "That is no address"),
    (status = 429, body = Problem, description = "Too many requests from there, or for this address"),
))]
pub(crate) async fn request_reset(
    State(store): State<Store>,
    account: AccountLimit,
    Json(request): Json<ResetRequest>,
) -> Result<StatusCode, Error> {
    let invalid = DomainError::Invalid { pointer: "/email", reason: "is no address" };
    let email = Email::to_look_up(request.email).ok_or(invalid)?;
    account.count(&email.account()).await?;
    store.request_password_reset(&email).await?;
    metrics::mailed(Purpose::PasswordReset, Mailed::Requested);
    Ok(StatusCode::ACCEPTED)
}

/// Sets another password with the token that came by mail. All sessions of the user end, the address
/// is proven, and the user is told by mail.
#[utoipa::path(post, path = "/api/password-resets/complete", tag = "accounts",
    request_body = Reset, responses(
    (status = 204),
    (status = 422, body = Problem, description = "The token is not known, was used, or its time is up, or the password is refused"),
    (status = 429, body = Problem, description = "Too many tokens from there"),
    (status = 503, body = Problem, description = "Too many passwords are being hashed"),
))]
pub(crate) async fn reset(
    State(store): State<Store>,
    State(passwords): State<Passwords>,
    State(sign_in): State<Backoff>,
    context: RequestContext,
    Json(reset): Json<Reset>,
) -> Result<StatusCode, Error> {
    let token = opaque::hash(reset.token.expose());
    let password = Password::new(reset.password);
    // No password is hashed for whoever has no token.
    let known = if store.knows_token(token, Purpose::PasswordReset).await? {
        Ok(())
    } else {
        metrics::mailed(Purpose::PasswordReset, Mailed::Refused);
        Err(DomainError::WrongToken)
    };
    (known, password.check_new("/password")).collect_errors()?;
    let hash = passwords.hash(password.normalised()).await?;
    let user = store.reset_password(token, &hash, &context.request_id).await?;
    metrics::mailed(Purpose::PasswordReset, Mailed::Used);
    metrics::password_changed(PasswordChange::Reset);
    // Whoever forgot the password has tried others before.
    sign_in.forget(&user.email.account(), context.client_address).await;
    Ok(StatusCode::NO_CONTENT)
}
