//! `/api/external-accounts`: the accounts at the external issuer by which a user is let in.

use auth::User as SignedIn;
use axum::extract::State;
use chassis::extract::{Json, Path, RequestContext};
use chassis::{Clock, Problem, RequestId};
use chrono::{DateTime, Utc};
use http::StatusCode;
use platform::audit::{Actor, AuditTrail, Entry};
use serde::{Deserialize, Serialize};
use tusk_config::Secret;
use utoipa::ToSchema;
use uuid::Uuid;

use super::codes::Codes;
use super::external_sessions::{Begun, Brought, LinkCompletion, On, begun_at, identify, refusal};
use super::passwords::OwnPassword;
use crate::domain::Password;
use crate::error::Error;
use crate::external_issuer::FlowSecrets;
use crate::metrics::{self, External};
use crate::store::{NewAccount, Proof, ShownAccount, Store};

/// An account at an issuer.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExternalAccount {
    account_id: Uuid,
    /// How the issuer names itself.
    #[schema(example = "https://issuer.example.com")]
    issuer: String,
    linked_at: DateTime<Utc>,
    /// When the user was let in by it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<DateTime<Utc>>,
}

/// All of a user's.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExternalAccounts {
    /// The newest comes first.
    items: Vec<ExternalAccount>,
}

/// Who links an account, or unlinks one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Linking {
    #[schema(value_type = String, format = Password)]
    password: Secret<String>,
    /// Where the second factor is on: six digits of the app, or a recovery code.
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<Secret<String>>,
}

impl From<ShownAccount> for ExternalAccount {
    fn from(shown: ShownAccount) -> Self {
        let ShownAccount { id, issuer, created_at, used_at, .. } = shown;
        Self { account_id: id, issuer, linked_at: created_at, last_used_at: used_at }
    }
}

/// Lists the accounts elsewhere by which the caller is let in.
#[utoipa::path(get, path = "/api/external-accounts", tag = "accounts",
    operation_id = "list_external_accounts", security(("bearer" = [])), responses(
    (status = 200, body = ExternalAccounts),
    (status = 404, body = Problem, description = "There is no external issuer"),
))]
pub(crate) async fn list(
    _issuer: On,
    caller: SignedIn,
    State(store): State<Store>,
) -> Result<Json<ExternalAccounts>, Error> {
    let accounts = store.accounts_of(caller.id).await?;
    Ok(Json(ExternalAccounts { items: accounts.into_iter().map(ExternalAccount::from).collect() }))
}

/// Begins to link an account at the external issuer to the caller: the browser goes to `authorization_url`, and comes
/// back with a code, for the same session.
#[utoipa::path(post, path = "/api/external-accounts", tag = "accounts",
    operation_id = "begin_external_link", request_body = Linking, security(("bearer" = [])), responses(
    (status = 201, body = Begun),
    (status = 404, body = Problem, description = "There is no external issuer, or the user is deleted"),
    (status = 422, body = Problem, description = "The password or the code is wrong, or there is no password yet"),
    (status = 429, body = Problem, description = "Too many tries failed; Retry-After says when to come again"),
    (status = 503, body = Problem, description = "The issuer does not answer, or too many passwords are being hashed"),
))]
pub(crate) async fn begin(
    On(issuer): On,
    caller: SignedIn,
    State(store): State<Store>,
    State(codes): State<Codes>,
    State(own): State<OwnPassword>,
    context: RequestContext,
    Json(Linking { password, code }): Json<Linking>,
) -> Result<(StatusCode, Json<Begun>), Error> {
    let password = Password::new(password);
    let password = (&password, "/password");
    let password = own.check(caller.id, password, "external-link", &context).await?;
    let secrets = FlowSecrets::generate();
    begun_at(&issuer, &secrets, async || {
        let attempt = codes.attempt(caller.id, code.as_ref(), &context).await?;
        let proof = Proof::by_both(password, attempt.code());
        let begun = store.begin_link(caller, proof, issuer.name(), &secrets).await;
        attempt.settle(begun).await
    })
    .await
}

/// Links the account that the issuer names to the caller, who is told by mail. It has to be the session that began.
#[utoipa::path(post, path = "/api/external-accounts/complete", tag = "accounts",
    operation_id = "complete_external_link", request_body = LinkCompletion, security(("bearer" = [])),
    responses(
    (status = 201, body = ExternalAccount),
    (status = 404, body = Problem, description = "There is no external issuer, or the user is deleted"),
    (status = 409, body = Problem, description = "It is linked already, or the user has another one there"),
    (status = 422, body = Problem, description = "What was brought is not known, was used, or is not this session's"),
    (status = 503, body = Problem, description = "The issuer does not answer; the same can be asked again"),
))]
pub(crate) async fn complete(
    On(issuer): On,
    caller: SignedIn,
    State(store): State<Store>,
    State(clock): State<Clock>,
    State(audit): State<AuditTrail>,
    context: RequestContext,
    Json(completion): Json<LinkCompletion>,
) -> Result<(StatusCode, Json<ExternalAccount>), Error> {
    let linked = async {
        let session = Some(caller.session);
        let flow = store.claim_flow(issuer.name(), &completion.shown(), session).await?;
        let identity = identify(&issuer, &store, &flow, &Brought::from(&completion)).await?;
        let entry = entry(caller.id, "external-link", &context.request_id);
        let name = issuer.name();
        let account = NewAccount { flow: flow.id, issuer: name, subject: &identity.subject };
        store.link_account(caller, account, &entry).await
    };
    let account_id = match linked.await {
        Ok(account) => account,
        Err(error) => {
            if let Some(outcome) = refusal(&error) {
                metrics::external(External::Refused);
                let refused = Entry::new(Actor::User(caller.id), "external-link", outcome);
                audit.count(refused).await;
            }
            return Err(error);
        }
    };
    metrics::external(External::Linked);
    let issuer = issuer.name().to_owned();
    let linked_at = clock.now();
    let account = ExternalAccount { account_id, issuer, linked_at, last_used_at: None };
    Ok((StatusCode::CREATED, Json(account)))
}

/// Unlinks an account: whoever has it is let in no more. All other sessions of the user end, and the user is told by
/// mail. It takes the password, so that nobody unlinks the last way in: who has none sets one by a reset, which unlinks
/// by itself.
#[utoipa::path(post, path = "/api/external-accounts/{id}/unlink", tag = "accounts",
    operation_id = "unlink_external_account", request_body = Linking, params(("id" = Uuid, Path)),
    security(("bearer" = [])), responses(
    (status = 204),
    (status = 404, body = Problem, description = "There is no external issuer, or the caller has no such account"),
    (status = 422, body = Problem, description = "The password or the code is wrong, or there is no password yet"),
    (status = 429, body = Problem, description = "Too many tries failed; Retry-After says when to come again"),
    (status = 503, body = Problem, description = "Too many passwords are being hashed"),
))]
#[expect(clippy::too_many_arguments, reason = "each is a part of the request or the state")]
pub(crate) async fn unlink(
    _issuer: On,
    caller: SignedIn,
    State(store): State<Store>,
    State(codes): State<Codes>,
    State(own): State<OwnPassword>,
    Path(account): Path<Uuid>,
    context: RequestContext,
    Json(Linking { password, code }): Json<Linking>,
) -> Result<StatusCode, Error> {
    let password = Password::new(password);
    let password = (&password, "/password");
    let password = own.check(caller.id, password, "external-unlink", &context).await?;
    let attempt = codes.attempt(caller.id, code.as_ref(), &context).await?;
    let entry = entry(caller.id, "external-unlink", &context.request_id);
    let proof = Proof::by_both(password, attempt.code());
    let done = store.unlink_account(caller, proof, account, &entry).await;
    attempt.settle(done).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A change of the own accounts elsewhere, in the audit trail.
fn entry(user: Uuid, action: &'static str, request: &RequestId) -> Entry {
    let entry = Entry::new(Actor::User(user), action, "success");
    entry.target(format_args!("user:{user}")).request(request)
}
