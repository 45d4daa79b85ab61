//! `/api/external-sessions`: signing in by an account at the external issuer.

use axum::extract::{FromRequestParts, State};
use chassis::extract::{Json, RequestContext};
use chassis::{Clock, Problem};
use chrono::{DateTime, Utc};
use contracts::UserId;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use platform::audit::{Actor, AuditTrail, Entry};
use serde::{Deserialize, Serialize};
use tusk_config::Secret;
use utoipa::ToSchema;

use super::AppState;
use super::codes::Codes;
use super::sessions::{Issuer, Prepared, Session};
use crate::domain::{DomainError, Email, Name, User};
use crate::error::Error;
use crate::external_issuer::{
    ExternalIssuer, FlowSecrets, Identity, IssuerError, ShownFlow, shown_flow,
};
use crate::metrics::{self, External, SignIn};
use crate::store::{Account, Flow, Linked, NewAccount, Store};

/// The issuer, where the settings name one; without one the route is not there.
pub(super) struct On(pub(super) ExternalIssuer);

impl FromRequestParts<AppState> for On {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let off = || Problem::not_found("nobody signs in by an external issuer here");
        state.external.clone().map(Self).ok_or_else(off)
    }
}

/// A browser that is on its way to the issuer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Begun {
    /// Where the browser goes.
    #[schema(format = "uri", example = "https://issuer.example.com/authorize?response_type=code")]
    authorization_url: String,
    /// Stays in this browser, and is shown again when it is back: whoever has the rest has nothing.
    #[schema(min_length = 43, max_length = 43)]
    browser_secret: String,
    /// When it is too late to be back.
    expires_at: DateTime<Utc>,
}

/// What the issuer has sent the browser back with, and what the browser kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Completion {
    /// Of the redirect URI.
    #[schema(value_type = String)]
    code: Secret<String>,
    /// Of the redirect URI.
    #[schema(value_type = String)]
    state: Secret<String>,
    /// Of the redirect URI, where the issuer names itself there (RFC 9207).
    iss: Option<String>,
    /// Of the answer with which it began.
    #[schema(value_type = String)]
    browser_secret: Secret<String>,
    /// Where the user has switched the second factor on: six digits of the app, or a recovery code.
    #[schema(value_type = Option<String>, example = "123456")]
    second_factor_code: Option<Secret<String>>,
    /// What the tokens of the session are to carry of the user's rights; left out: all of them.
    #[schema(example = "payment:read user:read", min_length = 1, max_length = 1024)]
    scope: Option<String>,
}

/// What the issuer has sent the browser of a signed-in user back with, and what the browser kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkCompletion {
    /// Of the redirect URI.
    #[schema(value_type = String)]
    code: Secret<String>,
    /// Of the redirect URI.
    #[schema(value_type = String)]
    state: Secret<String>,
    /// Of the redirect URI, where the issuer names itself there (RFC 9207).
    iss: Option<String>,
    /// Of the answer with which it began.
    #[schema(value_type = String)]
    browser_secret: Secret<String>,
}

impl LinkCompletion {
    pub(super) fn shown(&self) -> ShownFlow {
        shown_flow(&self.state, &self.browser_secret)
    }
}

/// Begins a sign-in by the external issuer: the browser goes to `authorization_url`, and comes back with a code.
#[utoipa::path(post, path = "/api/external-sessions", tag = "sessions",
    operation_id = "begin_external_sign_in", responses(
    (status = 201, body = Begun),
    (status = 404, body = Problem, description = "There is no external issuer"),
    (status = 429, body = Problem, description = "Too many requests from there"),
    (status = 503, body = Problem, description = "The issuer does not answer"),
))]
pub(crate) async fn begin(
    On(issuer): On,
    State(store): State<Store>,
) -> Result<(StatusCode, Json<Begun>), Error> {
    let secrets = FlowSecrets::generate();
    let begun = async || store.begin_sign_in(issuer.name(), &secrets).await;
    begun_at(&issuer, &secrets, begun).await
}

/// Sends a browser to the issuer, once `keep` has kept the flow; gives when that ends.
pub(super) async fn begun_at(
    issuer: &ExternalIssuer,
    secrets: &FlowSecrets,
    keep: impl AsyncFnOnce() -> Result<DateTime<Utc>, Error>,
) -> Result<(StatusCode, Json<Begun>), Error> {
    let url = issuer.authorization_url(secrets).await;
    let authorization_url = url.inspect_err(|error| count(*error))?;
    let expires_at = keep().await?;
    metrics::external(External::Begun);
    let browser_secret = secrets.browser.expose().to_owned();
    Ok((StatusCode::CREATED, Json(Begun { authorization_url, browser_secret, expires_at })))
}

/// Signs in with what the issuer has sent the browser back with. Somebody whom nobody is linked to becomes a user,
/// without a password, if the issuer knows an address that is proven and that no user has.
///
/// Where the user's second factor is on and no code was shown, the answer is a problem of the type
/// `second-factor`, and the same is asked again with a `second_factor_code`.
#[utoipa::path(post, path = "/api/external-sessions/complete", tag = "sessions",
    operation_id = "complete_external_sign_in", request_body = Completion, responses(
    (status = 201, body = Session),
    (status = 401, body = Problem, description = "The user signs in no more; or a code is needed, or wrong (type `second-factor`)"),
    (status = 404, body = Problem, description = "There is no external issuer"),
    (status = 409, body = Problem, description = "A user has the address: sign in with the password, and link"),
    (status = 422, body = Problem, description = "What was brought is not known, was used, or is not this browser's; or the issuer knows no proven address; or there is no such scope"),
    (status = 429, body = Problem, description = "Too many requests from there, or too many wrong codes"),
    (status = 503, body = Problem, description = "The issuer does not answer; the same can be asked again"),
))]
#[expect(clippy::too_many_arguments, reason = "each is a part of the request or the state")]
pub(crate) async fn complete(
    On(external): On,
    State(store): State<Store>,
    State(issuer): State<Issuer>,
    State(codes): State<Codes>,
    State(clock): State<Clock>,
    State(audit): State<AuditTrail>,
    context: RequestContext,
    headers: HeaderMap,
    Json(completion): Json<Completion>,
) -> Result<(StatusCode, Json<Session>), Error> {
    let Completion { code, state, iss, browser_secret, second_factor_code, scope } = completion;
    let shown = shown_flow(&state, &browser_secret);
    let brought = Brought { code: &code, iss: iss.as_deref(), browser: &browser_secret };
    // Before the flow is claimed: what is wrong with it can be asked again.
    let prepared = issuer.prepare(&headers, issuer.asked(scope.as_deref())?);
    let outcome = async {
        let flow = store.claim_flow(external.name(), &shown, None).await?;
        let who = if let Some(linked) = flow.linked {
            Who::Linked(linked)
        } else {
            let identity = identify(&external, &store, &flow, &brought).await?;
            let new = (external.name(), &flow, &identity);
            linked_or_registered(&store, &clock, new, &prepared, &context).await?
        };
        match who {
            Who::Linked(linked) => {
                let user = linked.user;
                let typed = second_factor_code.as_ref();
                let attempt = codes.attempt(user.as_uuid(), typed, &context).await?;
                let opening = prepared.opening(attempt.code());
                let entry = prepared.entry(user, "external", &context.request_id);
                let opened = store.open_linked(flow.id, linked, &opening, &entry).await;
                Ok((attempt.settle(opened).await?, External::SignedIn))
            }
            Who::Registered(account) => Ok((account, External::Registered)),
        }
    };
    match outcome.await {
        Ok((account, outcome)) => {
            metrics::external(outcome);
            metrics::signed_in(SignIn::Succeeded);
            Ok((StatusCode::CREATED, Json(issuer.session(&account, &prepared)?)))
        }
        Err(error) => {
            if let Some(outcome) = refusal(&error) {
                metrics::external(External::Refused);
                audit.count(Entry::new(Actor::Anybody, "sign-in", outcome)).await;
            }
            Err(as_sign_in(error))
        }
    }
}

/// What a browser has brought back.
pub(super) struct Brought<'a> {
    pub(super) code: &'a Secret<String>,
    pub(super) iss: Option<&'a str>,
    pub(super) browser: &'a Secret<String>,
}

impl<'a> From<&'a LinkCompletion> for Brought<'a> {
    fn from(completion: &'a LinkCompletion) -> Self {
        let LinkCompletion { code, iss, browser_secret, .. } = completion;
        Self { code, iss: iss.as_deref(), browser: browser_secret }
    }
}

/// Who it is, by the issuer's word. While the issuer cannot be asked, the same can be brought again.
pub(super) async fn identify(
    external: &ExternalIssuer,
    store: &Store,
    flow: &Flow,
    brought: &Brought<'_>,
) -> Result<Identity, Error> {
    let identity = external.identify(brought.code, brought.iss, brought.browser).await;
    if let Err(error) = &identity {
        count(*error);
        if matches!(error, IssuerError::Unavailable(_)) {
            store.release_flow(flow.id).await?;
        }
    }
    Ok(identity?)
}

/// Says in metrics and log why the issuer has named nobody; what somebody has brought is in neither.
fn count(error: IssuerError) {
    match error {
        IssuerError::Unavailable(_) => metrics::external(External::Unavailable),
        IssuerError::Refused(reason) => {
            tracing::warn!(reason, "the external issuer's answer is refused");
        }
        IssuerError::OtherIssuer => {
            tracing::warn!("a browser brought an answer of another issuer");
        }
    }
}

/// Who has come.
enum Who {
    /// A user, who is still to be signed in.
    Linked(Linked),
    /// A new one, who is signed in.
    Registered(Account),
}

/// The user whom the issuer has named, or a new one. Of two who come for the first time at once, who are one person,
/// the second finds address or account taken, by what the first has just made: it is that user.
async fn linked_or_registered(
    store: &Store,
    clock: &Clock,
    new: (&str, &Flow, &Identity),
    prepared: &Prepared,
    context: &RequestContext,
) -> Result<Who, Error> {
    let (issuer, flow, identity) = new;
    let linked = async || store.identified(flow.id, issuer, identity).await;
    if let Some(linked) = linked().await? {
        return Ok(Who::Linked(linked));
    }
    match register(store, clock, new, prepared, context).await {
        Ok(account) => Ok(Who::Registered(account)),
        Err(
            taken @ (Error::ExternalEmailTaken | Error::Domain(DomainError::ExternalAccountTaken)),
        ) => linked().await?.map(Who::Linked).ok_or(taken),
        Err(error) => Err(error),
    }
}

/// A new user, who is signed in.
async fn register(
    store: &Store,
    clock: &Clock,
    (issuer, flow, identity): (&str, &Flow, &Identity),
    prepared: &Prepared,
    context: &RequestContext,
) -> Result<Account, Error> {
    let email = identity.proven_email.as_deref().map(Email::parse);
    let Some(Ok(email)) = email else { return Err(Error::ExternalEmailUnproven) };
    let id = UserId::from_uuid(clock.new_id());
    let name = name(identity, &email)?;
    let (user, events) = User::register_proven(id, email, name, clock.now());
    let registration = Entry::new(Actor::Anybody, "registration", "external");
    let registration = registration.target(format_args!("user:{id}")).request(&context.request_id);
    let sign_in = prepared.entry(id, "external", &context.request_id);
    let account = NewAccount { flow: flow.id, issuer, subject: &identity.subject };
    let entries = [&registration, &sign_in];
    let opening = prepared.opening(None);
    match store.register_linked((&user, &events), account, &opening, entries).await {
        Err(Error::Domain(DomainError::EmailTaken)) => Err(Error::ExternalEmailTaken),
        registered => registered,
    }
}

/// How to call somebody of whom the issuer gives no name that can be shown: as the address begins.
fn name(identity: &Identity, email: &Email) -> Result<Name, DomainError> {
    let named = identity.name.as_deref().map(Name::parse);
    let local = || email.as_str().split('@').next().unwrap_or_default();
    named.and_then(Result::ok).map_or_else(|| Name::parse(local()), Ok)
}

/// What the audit trail says of a sign-in that did not come about because of what was brought; nothing of what
/// failed otherwise.
pub(super) fn refusal(error: &Error) -> Option<&'static str> {
    match error {
        Error::Domain(DomainError::WrongFlow) => Some("external-unknown"),
        Error::Issuer(IssuerError::Refused(_) | IssuerError::OtherIssuer) => {
            Some("external-refused")
        }
        Error::ExternalEmailUnproven => Some("external-unproven"),
        Error::ExternalEmailTaken | Error::Domain(DomainError::ExternalAccountTaken) => {
            Some("external-taken")
        }
        Error::NotLetIn => Some("external-closed"),
        _ => None,
    }
}

/// What was missing besides, as a sign-in with a password says it.
fn as_sign_in(error: Error) -> Error {
    let outcome = match &error {
        Error::WrongCode => SignIn::Failed,
        Error::CodeMissing => SignIn::CodeNeeded,
        Error::Limited(_) => SignIn::Refused,
        _ => return error,
    };
    metrics::signed_in(outcome);
    match error {
        Error::WrongCode | Error::CodeMissing => Error::NotSignedIn(error.to_string()),
        error => error,
    }
}
