//! The composition root that all services share: a service says what is its own, and everything
//! that it stands on is connected, started, supervised and ended here, in one order.
//!
//! ```text
//! process    signals ─▶ settings ─▶ telemetry ─▶ database, migrations ─▶ build ─▶ serve ─▶ drain
//!   service    what a service tells: its name, settings, routes, handlers, tasks
//!   platform   what it gets: clock, database, outbox, cache, tokens, clients of other services
//!   builder    what it gives back; here relay, consumer, keys, discovery and checks join it
//!   check      what `--check-config` says, which is what a start would
//!   audit      who did what, as rows and as log lines
//!   ended      which sessions have ended, told to every service
//!   settings   the sections that every service reads
//! ```
//!
//! [`Service::build`] opens nothing: what it makes connects when it is used. So `--check-config`
//! runs the very code of a start. After a clean check a start can fail only for what is outside of the
//! settings: a server that refuses, a port that is taken, an address that is none of this machine's.
//!
//! Besides its own, every service has these routes, for administrators:
//!
//! | route | does |
//! |---|---|
//! | `GET /admin/queues` | how much waits in the service's queue and dead-letter queue ([`messaging::admin`]) |
//! | `GET /admin/queues/{queue}/dead-letters` | lists dead letters |
//! | `GET /admin/queues/{queue}/dead-letters/{id}` | one dead letter with what it says |
//! | `POST /admin/queues/{queue}/replay` | puts dead letters back into their queue |
//! | `POST /admin/queues/{queue}/discard` | throws dead letters away |
//! | `GET /admin/events` | lists the events that the service has sent ([`messaging::admin::events`]) |
//! | `POST /admin/events/republish` | sends events again |
//! | `GET /admin/calls` | what the service calls, and the breakers ([`service_client::admin`]) |
//! | `PUT /admin/calls/{target}/breaker` | holds a breaker open or closed |
//! | `GET /admin/audit` | who did what ([`audit`]) |
//! | `GET /admin/log` | what is logged ([`chassis::operator`]) |
//! | `PUT /admin/log` | logs something else for a while |
//! | `GET /debug` | how the process is set up and how it fares |
//!
//! and in its database these tables:
//!
//! | table | has |
//! |---|---|
//! | `messaging_outbox`, `messaging_holds` | events that are to be sent, and what some of them wait for ([`messaging::outbox`]) |
//! | `messaging_inbox` | messages that had their effect ([`messaging::inbox`]) |
//! | `messaging_scheduled` | events at a time of their own ([`messaging::schedule`]) |
//! | `messaging_archive`, `messaging_erased` | events that were sent, and whose were erased ([`messaging::archive`], [`messaging::erasure`]) |
//! | `messaging_processes` | the state of process managers ([`messaging::process_manager`]) |
//! | `audit` | the audit trail ([`audit`]) |
//!
//! ```no_run
//! use platform::{BuildError, Platform, Service, ServiceBuilder};
//! use utoipa_axum::router::OpenApiRouter;
//! # #[derive(Clone)]
//! # struct Events;
//!
//! /// What is in `echo-service.tsk` besides `[server]`.
//! #[derive(serde::Deserialize)]
//! struct Settings {}
//!
//! struct EchoService;
//!
//! impl Service for EchoService {
//!     const NAME: &'static str = "echo-service";
//!     const QUEUE: &'static str = "echo_events";
//!     const EXCHANGES: &'static [&'static str] = &["echo_exchange"];
//!     type Settings = Settings;
//!     type State = ();
//!
//!     fn router() -> OpenApiRouter<()> {
//!         OpenApiRouter::new()
//!     }
//!
//!     fn migrations() -> sqlx::migrate::Migrator {
//!         sqlx::migrate::Migrator::DEFAULT
//!     }
//!
//!     fn build(platform: Platform, _: &Settings) -> Result<ServiceBuilder<Self>, BuildError> {
//!         Ok(platform.service(()).consumes(messaging::Handlers::new(Events)))
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::process::ExitCode {
//!     platform::process::run::<EchoService>(platform::build_info!()).await
//! }
//! ```

pub mod audit;
mod builder;
mod check;
mod ended;
mod guard;
mod platform;
pub mod process;
mod service;
mod settings;
mod signals;

pub use builder::{ServiceBuilder, openapi};
pub use chassis::BuildError;
pub use ended::EndedFeed;
pub use platform::{ISSUER, Platform};
pub use service::Service;
pub use settings::{PlatformSettings, Settings};
pub use telemetry::{BuildInfo, build_info};
