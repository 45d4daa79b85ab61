//! The payment service: takes users' money, once.
//!
//! | route | who | does |
//! |---|---|---|
//! | `POST /api/payments` | a user | pays (Idempotency-Key, `Prefer: wait=N`) |
//! | `GET /api/payments` | a user; an administrator | lists the own payments, or all, newest first |
//! | `GET /api/payments/{id}` | the user, an administrator | one payment |
//! | `GET /api/payments/customer` | a user | the own customer, once user-service's event opened it |
//! | `GET /api/payments/exports/{user_id}` | user-service | what is known of a user, for the user |
//! | `/admin/…`, `/debug` | an administrator | what all services have ([`platform`]) |
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
