//! The payment service: takes users' money, once.
//!
//! <!-- made by `cargo dev prepare` from openapi.json and auth.tsk -->
//!
//! | route | who | does |
//! |---|---|---|
//! | `POST /api/payments` | a user | Pays |
//! | `GET /api/payments` | a user | The caller's payments, newest first; an administrator sees all |
//! | `GET /api/payments/customer` | a user | The caller's customer, once the registration has arrived |
//! | `GET /api/payments/{id}` | a user | One of the caller's payments; an administrator may ask for any |
//! | `GET /api/payments/exports/{user_id}` | user-service | What the service knows of a user, payments newest first |
//! | `/admin/…`, `/debug` | an administrator | what all services have ([`platform`]) |
//!
//! <!-- end of what is made -->
//!
//! Asks user-service whether the user may pay. Charges through the payment provider, in a worker.
//! Publishes `payment.completed` and `payment.failed` to `payment.events`.
//! Publishes `erasure.confirmed` to `erasure.events`, in answer to each `user.deleted`.
//! Consumes `user.created` (opens the customer) and `user.deleted` (closes it, and
//! erases what the user wrote; what the law has kept stays: amounts, ids and times).
//! Tables: `payments`, `payment_history`, `idempotency_keys`, `customers`, and those that all
//! services have ([`platform`]).

mod app;
mod config;
mod routes;

mod consumer;
pub mod gateway;
mod metrics;
mod workers;

mod error;
mod events;
mod store;

pub mod domain;

pub use app::PaymentService;
pub use config::Settings;
