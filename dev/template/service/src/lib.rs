//! The sample service: keeps what users make.
//!
//! <!-- made by `cargo dev prepare` from openapi.json and auth.tsk -->
//!
//! | route | who | does |
//! |---|---|---|
//! | `POST /api/samples` | a user | Makes one for the caller |
//! | `GET /api/samples/{id}` | a user | Shows one |
//! | `DELETE /api/samples/{id}` | a user | Closes one |
//! | `/admin/…`, `/debug` | an administrator | what all services have ([`platform`]) |
//!
//! <!-- end of what is made -->
//!
//! Asks user-service whether the user is active.
//! Publishes `sample.created` to `sample.events`.
// template: if events=user
//! Publishes `erasure.confirmed` to `erasure.events`, in answer to each `user.deleted`.
//! Consumes `user.deleted`: closes what the user made, and erases it.
// template: end
// template: if events=payment
//! Consumes `payment.completed`: closes what the user made.
// template: end
//! Tables: `samples`, and those that all services have ([`platform`]).

mod app;
mod config;
mod routes;

mod consumer;
mod workers;

mod error;
mod events;
mod store;

pub mod domain;

pub use app::SampleService;
pub use config::Settings;
