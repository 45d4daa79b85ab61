//! The user service: who the users are, and how they sign in.
//!
//! <!-- made by `cargo dev prepare` from openapi.json and auth.tsk -->
//!
//! | route | who | does |
//! |---|---|---|
//! | `POST /api/users` | anybody | Registers a user, and sends a mail with which the address can be proven |
//! | `GET /api/users` | an administrator | Lists users, newest first |
//! | `GET /api/users/me` | a user | The caller's own profile |
//! | `GET /api/users/{id}` | a user, payment-service | A profile |
//! | `PATCH /api/users/{id}` | a user | Changes a profile that nobody else has changed since it was read |
//! | `DELETE /api/users/{id}` | a user | Deletes a user, and erases what is personal |
//! | `GET /api/users/{id}/export` | a user | Gives what all services know of a user, a page at a time; a page of which something would be missing is 503 |
//! | `PUT /api/users/{id}/password` | a user | Sets the caller's own password |
//! | `GET /api/second-factor` | a user | Tells whether a code is asked for when the caller signs in |
//! | `POST /api/second-factor` | a user | Makes what an authenticator app makes codes of |
//! | `POST /api/second-factor/complete` | a user | Switches the second factor on by the app's first code |
//! | `POST /api/second-factor/disable` | a user | Switches the second factor off |
//! | `POST /api/second-factor/recovery-codes` | a user | Makes other recovery codes; those before are good for nothing any more |
//! | `POST /api/password-resets` | anybody | Asks for a mail with which another password can be set |
//! | `POST /api/password-resets/complete` | anybody | Sets another password with the token that came by mail |
//! | `POST /api/email-verifications` | a user | Sends the mail again with which the caller's address can be proven |
//! | `POST /api/email-verifications/complete` | anybody | Proves an address with the token that came there by mail |
//! | `PUT /api/users/{id}/role` | an administrator | Makes a user an administrator, or one as all others |
//! | `POST /api/users/{id}/second-factor/disable` | an administrator | Switches a user's second factor off |
//! | `POST /api/sessions` | anybody | Signs in |
//! | `GET /api/sessions` | a user | Lists where the caller is signed in |
//! | `DELETE /api/sessions` | a user | Ends all of the caller's sessions |
//! | `DELETE /api/sessions/{id}` | a user | Ends one of the caller's sessions |
//! | `POST /api/external-sessions` | anybody | Begins a sign-in by the external issuer |
//! | `POST /api/external-sessions/complete` | anybody | Signs in with what the issuer has sent the browser back with |
//! | `GET /api/external-accounts` | a user | Lists the accounts elsewhere by which the caller is let in |
//! | `POST /api/external-accounts` | a user | Begins to link an account at the external issuer to the caller |
//! | `POST /api/external-accounts/complete` | a user | Links the account that the issuer names to the caller, who is told by mail |
//! | `POST /api/external-accounts/{id}/unlink` | a user | Unlinks an account |
//! | `POST /api/sessions/refresh` | anybody | Exchanges a refresh token for a new access token and the next refresh token |
//! | `POST /api/sessions/sign-out` | anybody | Signs out with the refresh token alone, for a client whose access token is over |
//! | `DELETE /api/sessions/current` | a user | Signs out |
//! | `GET /.well-known/jwks.json` | anybody | The public keys that tokens are verified with; with HS256 there are none |
//! | `POST /oauth/token` | anybody | Gives a service a token to call another one with, for its own secret |
//! | `/admin/…`, `/debug` | an administrator | what all services have ([`platform`]) |
//!
//! <!-- end of what is made -->
//!
//! A handler asks for more than the policy says: that the row is the caller's own, the password, a code, the
//! token of a mail.
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
