//! `/api/sessions`: signing in and staying signed in.

use std::time::Duration;

use auth::opaque::{self, OpaqueToken};
use auth::password::{HashedPassword, PasswordError, Passwords};
use auth::{Role, Scopes, Tokens, User};
use axum::Extension;
use axum::extract::State;
use chassis::extract::{Json, RequestContext};
use chassis::{Clock, Problem, RequestId};
use chrono::{DateTime, Utc};
use contracts::UserId;
use http::{HeaderMap, StatusCode, header};
use platform::audit::{Actor, AuditTrail, Entry};
use rate_limit::Backoff;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tusk_config::Secret;
use utoipa::ToSchema;
use uuid::Uuid;

use super::codes::Codes;
use crate::config::SessionSettings;
use crate::domain::{self, Code, Email, Password, account_of};
use crate::error::Error;
use crate::metrics::{self, SignIn};
use crate::store::{Account, Opening, Refreshed, Store};

/// What is left of a request's time to take back a try that was not decided.
const UNDO_TIME: Duration = Duration::from_millis(250);

/// What a user signs in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    #[schema(example = "ada@example.com", format = "email", max_length = 254)]
    email: String,
    #[schema(value_type = String, format = Password)]
    password: Secret<String>,
    /// Where the user has switched the second factor on: six digits of the app, or a recovery code.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<Secret<String>>,
    /// What the tokens of the session are to carry of the user's rights; left out: all of them.
    #[schema(example = "payment:read user:read", min_length = 1, max_length = 1024)]
    scope: Option<String>,
}

/// A refresh token to exchange.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    #[schema(value_type = String)]
    refresh_token: Secret<String>,
}

impl Refresh {
    pub(super) fn expose(&self) -> &str {
        self.refresh_token.expose()
    }
}

/// An open session (the field names of RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// `Bearer`.
    #[schema(pattern = "^Bearer$")]
    token_type: &'static str,
    /// Seconds that the access token is valid.
    #[schema(minimum = 1)]
    expires_in: u64,
    /// Valid once: its use gives the next. Used again later, it ends the session.
    refresh_token: String,
    /// What the access token carries of the user's rights, until the session ends; absent: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "payment:read user:read")]
    scope: Option<Scopes>,
}

/// Signs in. An unknown address and a wrong password look alike, in text and in time, and so do the
/// refusals after too many of them, which cost no hash.
///
/// Whoever knows the password of an account with a second factor and shows no code is told so by a problem
/// of the type `second-factor`, and asks again with a `code`. Each code is good once.
///
/// With `scope` the session is narrowed: its tokens open what the user may do and the scopes open, and a refresh
/// changes nothing of that. A scope that the user's role does not reach opens nothing.
#[utoipa::path(post, path = "/api/sessions", tag = "sessions", request_body = Credentials,
    responses(
    (status = 201, body = Session),
    (status = 401, body = Problem, description = "Address or password is wrong; or a code is needed, or wrong (type `second-factor`)"),
    (status = 429, body = Problem, description = "Too many tries failed; Retry-After says when to come again"),
    (status = 503, body = Problem, description = "Too many passwords are being hashed"),
))]
#[expect(clippy::too_many_arguments, reason = "each is a part of the request or the state")]
pub(crate) async fn sign_in(
    State(store): State<Store>,
    State(passwords): State<Passwords>,
    State(backoff): State<Backoff>,
    State(issuer): State<Issuer>,
    State(audit): State<AuditTrail>,
    State(codes): State<Codes>,
    context: RequestContext,
    headers: HeaderMap,
    Json(credentials): Json<Credentials>,
) -> Result<(StatusCode, Json<Session>), Error> {
    let scopes = issuer.asked(credentials.scope.as_deref())?;
    let account = account_of(&credentials.email);
    let attempt = match backoff.attempt(&account, context.client_address).await {
        Ok(attempt) => attempt,
        Err(refused) => {
            metrics::signed_in(SignIn::Refused);
            audit.count(Entry::new(Actor::Anybody, "sign-in", "too-many-tries")).await;
            return Err(refused.into());
        }
    };
    // A caller who goes away meanwhile leaves a failure behind; time that is up here does not.
    let left = context.deadline.remaining().unwrap_or_default().saturating_sub(UNDO_TIME);
    let Credentials { email, password, code, .. } = credentials;
    let checking = timeout(left, check(email, password, &store, &passwords)).await;
    let checked = match checking.unwrap_or(Err(Error::OutOfTime)) {
        Ok(checked) => checked,
        Err(error) => {
            attempt.undo().await;
            return Err(error);
        }
    };
    let Checked::Right(account) = checked else {
        metrics::signed_in(SignIn::Failed);
        audit.count(checked.failed()).await;
        return Err(Error::WrongCredentials);
    };
    let opened = async {
        let attempt = codes.attempt(account.user.as_uuid(), code.as_ref(), &context).await?;
        let prepared = issuer.prepare(&headers, scopes);
        let entry = prepared.entry(account.user, "success", &context.request_id);
        let opening = prepared.opening(attempt.code());
        let opened = store.open_session(&account, &opening, &entry).await;
        attempt.settle(opened).await?;
        issuer.session(&account, &prepared)
    };
    match opened.await {
        Ok(session) => {
            attempt.succeeded().await;
            metrics::signed_in(SignIn::Succeeded);
            Ok((StatusCode::CREATED, Json(session)))
        }
        // It stays counted as a failure: the account knows nobody's address by a password alone.
        Err(error @ Error::WrongCode) => {
            metrics::signed_in(SignIn::Failed);
            Err(Error::NotSignedIn(error.to_string()))
        }
        Err(error) => {
            attempt.undo().await;
            match error {
                Error::CodeMissing => {
                    metrics::signed_in(SignIn::CodeNeeded);
                    Err(Error::NotSignedIn(error.to_string()))
                }
                Error::Limited(_) => {
                    metrics::signed_in(SignIn::Refused);
                    Err(error)
                }
                error => Err(error),
            }
        }
    }
}

/// What became of credentials.
enum Checked {
    Right(Account),
    WrongPassword(UserId),
    UnknownAccount,
}

async fn check(
    email: String,
    password: Secret<String>,
    store: &Store,
    passwords: &Passwords,
) -> Result<Checked, Error> {
    let known = match Email::to_look_up(email) {
        Some(email) => store.account_by_email(&email).await?,
        None => None,
    };
    // One without a password is as one that is not there.
    let stored = known.as_ref().and_then(|account| account.hash.clone());
    let password = Password::new(password);
    let matched = verify(passwords, &password, stored).await?;
    let Some(account) = known else { return Ok(Checked::UnknownAccount) };
    let Some(matched) = matched else { return Ok(Checked::WrongPassword(account.user)) };
    if let Some(before) = &account.hash
        && (matched == Matched::AsTyped || before.is_outdated())
    {
        replace_hash(store, passwords, (account.user, before), &password).await?;
    }
    Ok(Checked::Right(account))
}

impl Checked {
    /// A sign-in that failed, in the audit trail: whose it would have been, never the address.
    fn failed(&self) -> Entry {
        match self {
            Self::WrongPassword(user) => Entry::new(Actor::Anybody, "sign-in", "wrong-password")
                .target(format_args!("user:{user}")),
            _ => Entry::new(Actor::Anybody, "sign-in", "unknown-account"),
        }
    }
}

/// What of a password its hash is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Matched {
    Normalised,
    /// As all hashes were before passwords were normalised.
    AsTyped,
}

/// Which form of the password matches, if one does. An account that is not there is tried in as many
/// forms as one that is.
pub(super) async fn verify(
    passwords: &Passwords,
    password: &Password,
    stored: Option<HashedPassword>,
) -> Result<Option<Matched>, Error> {
    if passwords.verify(password.normalised(), stored.clone()).await? {
        return Ok(Some(Matched::Normalised));
    }
    let Some(typed) = password.as_typed() else { return Ok(None) };
    Ok(passwords.verify(typed, stored).await?.then_some(Matched::AsTyped))
}

/// Keeps a hash of today of the normalised password in the place of the one before. Without a place to hash in it is
/// left to the next sign-in.
async fn replace_hash(
    store: &Store,
    passwords: &Passwords,
    (user, before): (UserId, &HashedPassword),
    password: &Password,
) -> Result<(), Error> {
    match passwords.hash(password.normalised()).await {
        Ok(hash) => Ok(store.replace_password_hash(user, before, &hash).await?),
        Err(PasswordError::Busy) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Exchanges a refresh token for a new access token and the next refresh token. Asked again within
/// 30 seconds, because the answer was lost, it gives another one as long as none of them was used; a
/// token that is used again later, or once its successor was used, ends the session.
#[utoipa::path(post, path = "/api/sessions/refresh", tag = "sessions", request_body = Refresh,
    responses(
    (status = 200, body = Session),
    (status = 401, body = Problem, description = "The token is not, or no longer, valid"),
))]
pub(crate) async fn refresh(
    State(store): State<Store>,
    State(issuer): State<Issuer>,
    Extension(request): Extension<RequestId>,
    Json(presented): Json<Refresh>,
) -> Result<Json<Session>, Error> {
    let used = opaque::hash(presented.expose());
    let next = OpaqueToken::generate();
    let refreshed = store.refresh_session(used, next.hash(), &issuer.settings, &request).await?;
    metrics::refreshed(&refreshed);
    match refreshed {
        Refreshed::Exchanged { session, user, admin, scopes, expires_at, .. } => {
            let of = (session, user, admin);
            return Ok(Json(issuer.tokens_of(of, scopes.as_ref(), expires_at, &next)?));
        }
        Refreshed::Reused { session, .. } => tracing::warn!(
            session.id = %session,
            "a used refresh token came again: the session has ended"
        ),
        Refreshed::Full { session, .. } => tracing::warn!(
            session.id = %session,
            "the session was refreshed as often as it may be: it has ended"
        ),
        Refreshed::Unknown => {}
    }
    // One text for all of them: which it was is nothing that a thief needs to know.
    Err(Error::WrongRefreshToken)
}

/// A session that is about to be opened.
pub(super) struct Prepared {
    session: Uuid,
    refresh: OpaqueToken,
    device: String,
    expires_at: DateTime<Utc>,
    scopes: Option<Scopes>,
}

impl Prepared {
    /// What is kept of it, with the code that was shown.
    pub(super) fn opening<'p>(&'p self, code: Option<&'p Code>) -> Opening<'p> {
        let Self { session, refresh, device, expires_at, scopes } = self;
        let (session, refresh, expires_at) = (*session, refresh.hash(), *expires_at);
        Opening { session, refresh, expires_at, device, scopes: scopes.as_ref(), code }
    }

    /// What the audit trail says of it.
    pub(super) fn entry(&self, user: UserId, outcome: &'static str, request: &RequestId) -> Entry {
        let entry = Entry::new(Actor::User(user.as_uuid()), "sign-in", outcome);
        entry.target(format_args!("session:{}", self.session)).request(request)
    }
}

/// Makes the tokens of a session.
pub(crate) struct Issuer {
    tokens: Tokens,
    settings: SessionSettings,
    clock: Clock,
}

impl axum::extract::FromRef<super::AppState> for Issuer {
    fn from_ref(state: &super::AppState) -> Self {
        let tokens = state.tokens.clone();
        let settings = state.sessions.clone();
        Self { tokens, settings, clock: state.clock.clone() }
    }
}

impl Issuer {
    /// What a session is to be narrowed to, if to anything.
    pub(super) fn asked(&self, scope: Option<&str>) -> Result<Option<Scopes>, Error> {
        Ok(scope.map(|scope| self.tokens.asked_scopes(scope)).transpose()?)
    }

    /// A session for the client of a request.
    pub(super) fn prepare(&self, headers: &HeaderMap, scopes: Option<Scopes>) -> Prepared {
        let session = self.clock.new_id();
        let refresh = OpaqueToken::generate();
        let user_agent = headers.get(header::USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
        let device = domain::device(user_agent);
        let now = self.clock.now();
        let expires_at = self.settings.expires_at(now, now);
        Prepared { session, refresh, device, expires_at, scopes }
    }

    /// The tokens of a session that is open now.
    pub(super) fn session(&self, account: &Account, prepared: &Prepared) -> Result<Session, Error> {
        let Prepared { session, refresh, expires_at, scopes, .. } = prepared;
        let of = (*session, account.user, account.admin);
        self.tokens_of(of, scopes.as_ref(), *expires_at, refresh)
    }

    fn tokens_of(
        &self,
        (session, user, admin): (Uuid, UserId, bool),
        scopes: Option<&Scopes>,
        end: DateTime<Utc>,
        refresh: &OpaqueToken,
    ) -> Result<Session, Error> {
        let role = if admin { Role::Admin } else { Role::User };
        let user = User { id: user.as_uuid(), role, session };
        let access = self.tokens.for_session(user, scopes, end)?;
        Ok(Session {
            access_token: access.value.expose().clone(),
            token_type: "Bearer",
            expires_in: access.lifetime.as_secs().max(1),
            refresh_token: refresh.expose().to_owned(),
            scope: scopes.cloned(),
        })
    }
}
