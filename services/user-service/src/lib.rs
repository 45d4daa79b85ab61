//! The user service: who the users are, and how they sign in.
//!
//! | route | who | does |
//! |---|---|---|
//! | `POST /api/users` | anybody | registers a user |
//! | `GET /api/users` | an administrator | lists users, newest first; by status, role, beginning of the address |
//! | `GET /api/users/me` | a user | the own profile |
//! | `GET /api/users/{id}` | the user, an administrator, payment-service | a profile, with its ETag |
//! | `PATCH /api/users/{id}` | the user, an administrator | changes it (If-Match) |
//! | `DELETE /api/users/{id}` | the user, an administrator | deletes it and erases what is personal |
//! | `GET /api/users/{id}/export` | the user, an administrator | what all services know of the user, in pages |
//! | `PUT /api/users/{id}/password` | the user, who knows the one before | sets another password; other sessions end |
//! | `GET /api/second-factor` | a user | whether a code is asked for besides the password |
//! | `POST /api/second-factor` | a user, who knows the password | makes what an authenticator app makes codes of |
//! | `POST /api/second-factor/complete` | a user, with the app's first code | switches it on; other sessions end |
//! | `POST /api/second-factor/disable` | a user, with password and code | switches it off; other sessions end |
//! | `POST /api/second-factor/recovery-codes` | a user, with password and code | makes other recovery codes |
//! | `POST /api/password-resets` | anybody | has a mail sent to an address, if a user has it |
//! | `POST /api/password-resets/complete` | the holder of the mail's token | sets another password; all sessions end |
//! | `POST /api/email-verifications` | a user | has the mail sent again that proves the address |
//! | `POST /api/email-verifications/complete` | the holder of the mail's token | proves the address |
//! | `POST /api/users/{id}/second-factor/disable` | an administrator, with a code or the password of their own | switches it off for a user who lost it |
//! | `PUT /api/users/{id}/role` | an administrator, with the same | makes it an administrator's, or a user's; its sessions end |
//! | `POST /api/sessions` | anybody | signs in, for all that the user may or for some scopes |
//! | `GET /api/sessions` | a user | where the user is signed in |
//! | `DELETE /api/sessions` | a user | ends all sessions, or all but this one |
//! | `DELETE /api/sessions/{id}` | a user | ends one of them |
//! | `POST /api/external-sessions` | anybody | begins a sign-in by the external issuer, where there is one |
//! | `POST /api/external-sessions/complete` | the browser that began, with the issuer's answer | signs in; makes an account where none has the address |
//! | `GET /api/external-accounts` | a user | the accounts elsewhere by which the user is let in |
//! | `POST /api/external-accounts` | a user, with password and code | begins to link one |
//! | `POST /api/external-accounts/complete` | the session that began, with the issuer's answer | links it |
//! | `POST /api/external-accounts/{id}/unlink` | a user, with password and code | unlinks it; other sessions end |
//! | `POST /api/sessions/refresh` | the holder of a refresh token | rotates it; reuse ends the session |
//! | `DELETE /api/sessions/current` | a user | signs out |
//! | `POST /api/sessions/sign-out` | the holder of a refresh token | signs out |
//! | `POST /oauth/token` | a service, with its own secret | gives it a token to call another one, with the scopes that its rules give |
//! | `GET /.well-known/jwks.json` | anybody | what tokens are verified with |
//! | `/admin/…`, `/debug` | an administrator | what all services have ([`platform`]) |
//!
//! Who may come at all stands in `[policy.user-service]` of `auth.tsk`; the table says it in words.
//!
//! Publishes `user.created`, `user.updated`, `user.deleted`, `user.erasure_timed_out`, `user.email_verification_requested`,
//! `user.email_change_requested`, `user.password_reset_requested`, `user.password_changed`,
//! `user.second_factor_enabled`, `user.second_factor_disabled`, `user.recovery_code_used`,
//! `user.external_account_linked`, `user.external_account_unlinked` and
//! `user.session_reused` to `user.events`.
//! Tells all services which sessions have ended ([`platform::EndedFeed`]).
//! Calls payment-service and notification-service, for what they know of a user, and the external issuer.
//! Consumes `notification.failed`: a permanent failure marks the address that failed undeliverable.
//! Consumes `erasure.confirmed` and `user.erasure_timed_out`: the erasure of a deleted user is led until every
//! service that hears of it has confirmed.
//! Tables: `users`, `sessions`, `former_refresh_tokens`, `ended_sessions`, `mail_tokens`,
//! `password_reset_requests`, `second_factors`, `external_accounts`, `external_flows`, and those that
//! all services have ([`platform`]).

mod app;
mod commands;
mod config;
mod routes;

mod consumer;
mod workers;

mod erasure;
mod error;
mod events;
mod external_issuer;
mod metrics;
mod profiles;
mod store;

pub mod domain;

pub use app::UserService;
pub use config::Settings;
