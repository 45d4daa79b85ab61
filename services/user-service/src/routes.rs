//! The HTTP face: the table of routes, and what handlers share.

mod administrators;
mod codes;
mod exports;
mod external_accounts;
mod external_sessions;
mod own_sessions;
mod passwords;
mod queries;
mod second_factor;
mod sessions;
mod tokens;
mod users;
mod verifications;

use auth::password::Passwords;
use auth::{Credentials, Tokens};
use axum::extract::FromRef;
use chassis::Clock;
use chassis::docs::{Basic, Bearer};
use platform::audit::AuditTrail;
use rate_limit::Backoff;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

pub(crate) use codes::Codes;

use crate::config::{SecondFactorSettings, SessionSettings};
use crate::external_issuer::ExternalIssuer;
use crate::profiles::Profiles;
use crate::store::Store;

pub(crate) use exports::{ASKED, ExportClients};

/// The route at which passwords can be guessed.
pub(crate) const SIGN_IN: &str = "POST /api/sessions";
/// The route at which they can be guessed by whoever has found a session.
pub(crate) const PASSWORD_CHANGE: &str = "PUT /api/users/{id}/password";
/// Where a second factor is on: the routes at which codes can be guessed, counted together.
pub(crate) const CODES: &str = "second factor";
/// The routes that name an address to which mail goes, and count it.
pub(crate) const COUNTS_ACCOUNTS: &[&str] = &[
    "POST /api/users",
    "PATCH /api/users/{id}",
    "POST /api/email-verifications",
    "POST /api/password-resets",
];

/// What handlers use. Each names in its signature the parts that it touches.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub(crate) store: Store,
    pub(crate) tokens: Tokens,
    pub(crate) credentials: Credentials,
    pub(crate) passwords: Passwords,
    pub(crate) sign_in: Backoff,
    #[from_ref(skip)]
    pub(crate) password_change: Backoff,
    pub(crate) codes: Codes,
    pub(crate) second_factor: SecondFactorSettings,
    pub(crate) external: Option<ExternalIssuer>,
    pub(crate) profiles: Profiles,
    pub(crate) sessions: SessionSettings,
    pub(crate) clock: Clock,
    pub(crate) audit: AuditTrail,
    pub(crate) others: ExportClients,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "user-service", description = "Who the users are, and how they sign in."),
    modifiers(&Bearer, &Basic)
)]
struct Document;

/// All routes of the service, each with its part of the document.
pub(crate) fn router() -> OpenApiRouter<AppState> {
    // Those that wait for each other's hashes, see `Passwords`, or calls to the issuer, see `ExternalIssuer`.
    let queued = chassis::own_queue;
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(users::register, administrators::list).layer(queued()))
        .routes(routes!(users::me))
        .routes(routes!(users::show, users::delete))
        .routes(routes!(users::change).layer(queued()))
        .routes(routes!(exports::export))
        .routes(routes!(administrators::appoint))
        .routes(routes!(administrators::disable_second_factor))
        .routes(routes!(passwords::replace).layer(queued()))
        .routes(routes!(passwords::request_reset))
        .routes(routes!(passwords::reset).layer(queued()))
        .routes(routes!(second_factor::show, second_factor::enrol).layer(queued()))
        .routes(routes!(second_factor::enable))
        .routes(routes!(second_factor::disable).layer(queued()))
        .routes(routes!(second_factor::renew_recovery_codes).layer(queued()))
        .routes(routes!(verifications::request))
        .routes(routes!(verifications::complete))
        .routes(
            routes!(sessions::sign_in, own_sessions::list, own_sessions::end_all).layer(queued()),
        )
        .routes(routes!(external_sessions::begin).layer(queued()))
        .routes(routes!(external_sessions::complete).layer(queued()))
        .routes(routes!(external_accounts::list, external_accounts::begin).layer(queued()))
        .routes(routes!(external_accounts::complete).layer(queued()))
        .routes(routes!(external_accounts::unlink).layer(queued()))
        .routes(routes!(sessions::refresh))
        .routes(routes!(own_sessions::sign_out))
        .routes(routes!(own_sessions::sign_out_by_token))
        .routes(routes!(own_sessions::end))
        .routes(routes!(tokens::grant))
        .routes(routes!(tokens::keys))
}
