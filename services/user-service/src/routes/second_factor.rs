//! `/api/second-factor`: codes of an authenticator app that a user has asked for besides the password.

use auth::User as SignedIn;
use auth::opaque::OpaqueHash;
use auth::recovery::{RECOVERY_CODES, RecoveryCode};
use auth::totp::TotpSecret;
use axum::extract::State;
use chassis::extract::{Json, RequestContext};
use chassis::{Problem, RequestId};
use chrono::{DateTime, Utc};
use contracts::UserId;
use http::StatusCode;
use platform::audit::{Actor, Entry};
use serde::{Deserialize, Serialize};
use tusk_config::Secret;
use utoipa::ToSchema;
use uuid::Uuid;

use super::codes::Codes;
use super::passwords::OwnPassword;
use crate::config::SecondFactorSettings;
use crate::domain::Password;
use crate::error::Error;
use crate::store::{self, Proof, Store};

/// A user's own second factor.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecondFactor {
    /// Whether a code is asked for besides the password.
    enabled: bool,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled_at: Option<DateTime<Utc>>,
    #[schema(minimum = 0, maximum = 10)]
    recovery_codes_left: i32,
}

impl From<store::SecondFactor> for SecondFactor {
    fn from(found: store::SecondFactor) -> Self {
        let store::SecondFactor { enabled_at, recovery_codes_left } = found;
        Self { enabled: enabled_at.is_some(), enabled_at, recovery_codes_left }
    }
}

/// Whose app is to make codes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrolment {
    #[schema(value_type = String, format = Password)]
    password: Secret<String>,
}

/// What an authenticator app makes codes of. It is told this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct Enrolled {
    /// To be typed into the app: base32.
    #[schema(min_length = 32, max_length = 32)]
    secret: String,
    /// The same for a QR code.
    #[schema(
        example = "otpauth://totp/Tusk:ada%40example.com?secret=GEZDGNBVGY3TQOJQ&issuer=Tusk"
    )]
    otpauth_uri: String,
}

/// The app's first code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstCode {
    /// Six digits.
    #[schema(value_type = String, example = "123456")]
    code: Secret<String>,
}

/// Codes for when the app is lost, each good once. They are told once.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    #[schema(min_items = 10, max_items = 10)]
    recovery_codes: Vec<String>,
}

/// Both factors, before one of them changes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BothFactors {
    #[schema(value_type = String, format = Password)]
    password: Secret<String>,
    /// Six digits of the app, or a recovery code.
    #[schema(value_type = String, example = "123456")]
    code: Secret<String>,
}

/// Tells whether a code is asked for when the caller signs in.
#[utoipa::path(get, path = "/api/second-factor", tag = "accounts", security(("bearer" = [])),
    operation_id = "show_second_factor", responses((status = 200, body = SecondFactor)))]
pub(crate) async fn show(
    caller: SignedIn,
    State(store): State<Store>,
) -> Result<Json<SecondFactor>, Error> {
    Ok(Json(store.second_factor(caller.id).await?.into()))
}

/// Makes what an authenticator app makes codes of. Nothing is asked for until the app's first code is
/// shown (`/api/second-factor/complete`); asked again before that, it makes another one.
#[utoipa::path(post, path = "/api/second-factor", tag = "accounts", request_body = Enrolment,
    operation_id = "enrol_second_factor", security(("bearer" = [])), responses(
    (status = 201, body = Enrolled),
    (status = 404, body = Problem, description = "The user is deleted"),
    (status = 409, body = Problem, description = "It is on already: switch it off first"),
    (status = 422, body = Problem, description = "The password is wrong"),
    (status = 429, body = Problem, description = "Too many tries failed; Retry-After says when to come again"),
    (status = 503, body = Problem, description = "Too many passwords are being hashed"),
))]
pub(crate) async fn enrol(
    caller: SignedIn,
    State(store): State<Store>,
    State(settings): State<SecondFactorSettings>,
    State(own): State<OwnPassword>,
    context: RequestContext,
    Json(Enrolment { password }): Json<Enrolment>,
) -> Result<(StatusCode, Json<Enrolled>), Error> {
    let password = Password::new(password);
    let password = (&password, "/password");
    let shown = own.check(caller.id, password, "second-factor-enrolment", &context).await?;
    let id = UserId::from_uuid(caller.id);
    let secret = TotpSecret::generate();
    let account = store.user(id).await?.email;
    let entry = entry(caller.id, "second-factor-enrolment", &context.request_id);
    store.enrol_second_factor(caller, shown, &secret, &entry).await?;
    let otpauth_uri = secret.uri(&settings.issuer, account.as_str()).expose().clone();
    let secret = secret.base32().expose().clone();
    Ok((StatusCode::CREATED, Json(Enrolled { secret, otpauth_uri })))
}

/// Switches the second factor on by the app's first code. A code is asked for from now on at each sign-in,
/// and before password, address or another user's role is changed; all other sessions of the user end,
/// and the user is told by mail. Another password by mail switches it off where the address was not proven
/// by now, and where it was only `/api/second-factor/disable` does.
#[utoipa::path(post, path = "/api/second-factor/complete", tag = "accounts",
    operation_id = "enable_second_factor", request_body = FirstCode, security(("bearer" = [])),
    responses(
    (status = 200, body = RecoveryCodes),
    (status = 404, body = Problem, description = "None waits for its first code"),
    (status = 409, body = Problem, description = "It is on already"),
    (status = 422, body = Problem, description = "The code is wrong"),
    (status = 429, body = Problem, description = "Too many codes were wrong; Retry-After says when to come again"),
))]
pub(crate) async fn enable(
    caller: SignedIn,
    State(store): State<Store>,
    State(codes): State<Codes>,
    context: RequestContext,
    Json(FirstCode { code }): Json<FirstCode>,
) -> Result<Json<RecoveryCodes>, Error> {
    let recovery = generated();
    let attempt = codes.attempt(caller.id, Some(&code), &context).await?;
    let entry = entry(caller.id, "second-factor-on", &context.request_id);
    let hashes = hashes(&recovery);
    let done = store.enable_second_factor(caller, attempt.code(), &hashes, &entry).await;
    attempt.settle(done).await?;
    Ok(Json(shown(&recovery)))
}

/// Switches the second factor off: the password is enough from now on. All other sessions of the user end,
/// and the user is told by mail.
#[utoipa::path(post, path = "/api/second-factor/disable", tag = "accounts",
    operation_id = "disable_second_factor", request_body = BothFactors, security(("bearer" = [])),
    responses(
    (status = 204),
    (status = 404, body = Problem, description = "It is off, or the user is deleted"),
    (status = 422, body = Problem, description = "The password or the code is wrong"),
    (status = 429, body = Problem, description = "Too many tries failed; Retry-After says when to come again"),
    (status = 503, body = Problem, description = "Too many passwords are being hashed"),
))]
pub(crate) async fn disable(
    caller: SignedIn,
    State(store): State<Store>,
    State(codes): State<Codes>,
    State(own): State<OwnPassword>,
    context: RequestContext,
    Json(BothFactors { password, code }): Json<BothFactors>,
) -> Result<StatusCode, Error> {
    let password = Password::new(password);
    let password = (&password, "/password");
    let password = own.check(caller.id, password, "second-factor-off", &context).await?;
    let attempt = codes.attempt(caller.id, Some(&code), &context).await?;
    let entry = entry(caller.id, "second-factor-off", &context.request_id);
    let proof = Proof::by_both(password, attempt.code());
    let done = store.disable_second_factor(caller, password.user, proof, &entry).await;
    attempt.settle(done).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes other recovery codes; those before are good for nothing any more.
#[utoipa::path(post, path = "/api/second-factor/recovery-codes", tag = "accounts",
    operation_id = "renew_recovery_codes", request_body = BothFactors, security(("bearer" = [])),
    responses(
    (status = 200, body = RecoveryCodes),
    (status = 404, body = Problem, description = "It is off, or the user is deleted"),
    (status = 422, body = Problem, description = "The password or the code is wrong"),
    (status = 429, body = Problem, description = "Too many tries failed; Retry-After says when to come again"),
    (status = 503, body = Problem, description = "Too many passwords are being hashed"),
))]
pub(crate) async fn renew_recovery_codes(
    caller: SignedIn,
    State(store): State<Store>,
    State(codes): State<Codes>,
    State(own): State<OwnPassword>,
    context: RequestContext,
    Json(BothFactors { password, code }): Json<BothFactors>,
) -> Result<Json<RecoveryCodes>, Error> {
    let password = Password::new(password);
    let password = (&password, "/password");
    let password = own.check(caller.id, password, "recovery-codes", &context).await?;
    let recovery = generated();
    let attempt = codes.attempt(caller.id, Some(&code), &context).await?;
    let entry = entry(caller.id, "recovery-codes", &context.request_id);
    let proof = Proof::by_both(password, attempt.code());
    let done = store.renew_recovery_codes(caller, proof, &hashes(&recovery), &entry).await;
    attempt.settle(done).await?;
    Ok(Json(shown(&recovery)))
}

fn generated() -> Vec<RecoveryCode> {
    (0..RECOVERY_CODES).map(|_| RecoveryCode::generate()).collect()
}

fn hashes(codes: &[RecoveryCode]) -> Vec<OpaqueHash> {
    codes.iter().map(RecoveryCode::hash).collect()
}

fn shown(codes: &[RecoveryCode]) -> RecoveryCodes {
    let recovery_codes = codes.iter().map(|code| code.expose().to_owned()).collect();
    RecoveryCodes { recovery_codes }
}

/// A change of the own second factor, in the audit trail.
fn entry(user: Uuid, action: &'static str, request: &RequestId) -> Entry {
    let entry = Entry::new(Actor::User(user), action, "success");
    entry.target(format_args!("user:{user}")).request(request)
}
