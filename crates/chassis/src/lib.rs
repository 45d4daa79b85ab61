//! The microservice chassis: what every service stands on, so that a service holds only what is its own.
//!
//! ```text
//! app         listener + router + supervised tasks; ends in phases, each with its share of the grace period
//!   server      HTTP/1.1 with limits: what stalls is closed, and makes room for what does not
//!   middleware  trust ──▶ request id ─▶ problem documents ─▶ trace, metrics, log ─▶ panic ─▶ body ─▶ load shedding ─▶ deadline
//!     next        the rest of a request's way, for a function that goes on with it
//!   protected   routes behind a guard, the only ones that an app takes     open  the chassis' own for probes and operators
//!   extract     Json, Path, Query, IfMatch, IdempotencyKey: a bad request is a problem document, never a 500
//!   problem     RFC 9457, the one shape of every error
//!   health      /health, /ready, /live      docs  /openapi.json, /docs
//!   operator    /admin/log, /debug: for administrators, under the service's policy
//!   database    the crate `database`, and what its faults mean to a caller
//!   tasks       supervised background work  worker  claims committed rows
//!   clock       time and ids                page    keyset lists
//!   allocator   jemalloc, in every binary that links this crate
//! ```
//!
//! It knows HTTP and the process's tasks; what connects a service to its servers is the crate
//! `platform`.

#[cfg(not(target_env = "msvc"))]
mod allocator;
pub mod app;
pub mod clock;
mod collect_errors;
pub mod database;
pub mod docs;
pub mod extract;
pub mod health;
pub mod healthcheck;
mod middleware;
mod next;
mod open;
pub mod operator;
pub mod page;
mod phases;
pub mod problem;
mod protected;
mod server;
mod settings;
mod takeover;
pub mod tasks;
pub mod worker;

pub use ::database::DatabaseSettings;
pub use app::{App, BuildError};
pub use clock::Clock;
pub use collect_errors::CollectErrors;
pub use middleware::{
    ClientAddress, RequestId, ReservedPermit, ServiceCheck, client_deadline, own_queue,
};
pub use next::Next;
pub use problem::Problem;
pub use protected::{Guard, Protected};
pub use settings::{
    CorsSettings, Interval, ManagementPort, ManagementSettings, ServerSettings, ServiceInfo,
    TrustedProxies,
};
pub use tokio_util::sync::CancellationToken;
