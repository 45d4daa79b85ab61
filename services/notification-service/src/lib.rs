//! The notification service: tells users what happened to them.
//!
//! <!-- made by `cargo dev prepare` from openapi.json and auth.tsk -->
//!
//! | route | who | does |
//! |---|---|---|
//! | `GET /api/notifications` | a user | The caller's notifications, newest first; an administrator sees all |
//! | `GET /api/notifications/{id}` | a user | One of the caller's notifications; an administrator may ask for any |
//! | `GET /api/notifications/exports/{user_id}` | user-service | What the service knows of a user, notifications newest first |
//! | `POST /api/notifications` | user-service, payment-service | Writes to a user in another service's words |
//! | `/admin/…`, `/debug` | an administrator | what all services have ([`platform`]) |
//!
//! <!-- end of what is made -->
//!
//! Consumes `user.created` (welcome), `user.updated` (notice to the address before),
//! `user.deleted` (forgets the address), `user.email_verification_requested` and
//! `user.password_reset_requested` (a link), `user.email_change_requested`, `user.password_changed`,
//! `user.session_reused`, `user.second_factor_enabled`, `user.second_factor_disabled`,
//! `user.recovery_code_used`, `user.external_account_linked` and `user.external_account_unlinked` (notices),
//! `payment.completed` (receipt), `payment.failed`.
//! Publishes `notification.sent` and `notification.failed` to `notification.events`.
//! Publishes `erasure.confirmed` to `erasure.events`, in answer to each `user.deleted`.
//! Tables: `contacts` (whom we can write to), `notifications`, and those that all services have
//! ([`platform`]).

mod app;
mod config;
mod routes;

mod consumer;
mod links;
pub mod mailer;
mod workers;

mod error;
mod events;
mod store;

pub mod domain;

pub use app::NotificationService;
pub use config::Settings;
pub use links::LinkSettings;
