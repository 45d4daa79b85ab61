//! The microservice chassis: what every service stands on, so that a service is only its own story.
//!
//! ```text
//! process   settings ─▶ telemetry ─▶ build ─▶ serve ─▶ drain        one call from `main`
//!   app       listener + router + supervised tasks; ends in order within the grace period
//!   middleware  request id ─▶ client address ─▶ trace, metrics, log ─▶ panic ─▶ load shedding ─▶ deadline ─▶ route
//!   extract     Json, Path, Query, IfMatch, IdempotencyKey: a bad request is a problem document, never a 500
//!   problem     RFC 9457, the one shape of every error
//!   health      /health, /ready, /live      docs  /openapi.json, /docs
//!   operator    /admin/log, /debug: for administrators, under the service's policy
//!   database    the crate `database`, and what its faults mean to a caller
//!   tasks       supervised background work  worker  claims committed rows
//!   clock       time and ids                page    keyset lists
//! ```
//!
//! A service implements [`Service`] and hands it to [`process::run`]:
//!
//! ```no_run
//! use chassis::{App, BuildError, Service, ServerSettings, ServiceInfo};
//! use utoipa_axum::router::OpenApiRouter;
//!
//! #[derive(serde::Deserialize)]
//! struct Settings { server: ServerSettings, tracing: telemetry::TracingSettings, sampling: telemetry::SamplingSettings }
//!
//! struct Echo;
//! impl Service for Echo {
//!     const NAME: &'static str = "echo-service";
//!     const FILES: &'static [&'static str] = &["tracing", "echo-service"];
//!     type Settings = Settings;
//!
//!     fn telemetry(settings: &Settings) -> telemetry::TelemetrySettings {
//!         let (tracing, sampling) = (settings.tracing.clone(), settings.sampling.clone());
//!         telemetry::TelemetrySettings { tracing, sampling, log: Default::default() }
//!     }
//!     fn server(settings: &Settings) -> &ServerSettings {
//!         &settings.server
//!     }
//!     fn openapi() -> utoipa::openapi::OpenApi {
//!         OpenApiRouter::<()>::new().into_openapi()
//!     }
//!     fn check(_: &Settings) -> Vec<tusk_config::Misfit> {
//!         Vec::new()
//!     }
//!     async fn build(settings: Settings) -> Result<App, BuildError> {
//!         let info = ServiceInfo { name: Self::NAME, version: "1.0.0".to_owned() };
//!         Ok(App::builder(info, settings.server).bind().await?)
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::process::ExitCode {
//!     chassis::process::run::<Echo>(telemetry::build_info!()).await
//! }
//! ```

pub mod app;
pub mod clock;
pub mod database;
pub mod docs;
pub mod extract;
pub mod health;
mod healthcheck;
mod middleware;
pub mod operator;
pub mod page;
pub mod problem;
pub mod process;
mod settings;
pub mod tasks;
pub mod worker;

pub use ::database::DatabaseSettings;
pub use app::App;
pub use clock::Clock;
pub use middleware::{ClientAddress, RequestId, within_callers_deadline};
pub use problem::Problem;
pub use process::{BuildError, Service};
pub use settings::{Interval, ServerSettings, ServiceInfo, TrustedProxies};
pub use tokio_util::sync::CancellationToken;
