//! How one service calls another: discover → guard → authenticate → trace → send → tell apart.
//!
//! ```text
//!  get("/api/users/7", Call::new("get_user"))
//!    span service_call.user-service.get_user
//!    │  service token, kept and renewed
//!    └─ breaker of the service ── retry, within a budget ── bulkhead
//!                                   │ attempt 1..n
//!                                   └─ pick an instance that was not tried ── its breaker ── HTTP
//! ```
//!
//! - Only what may be repeated is: `GET`, `PUT`, `DELETE`, and what has an Idempotency-Key or says so.
//! - No call outlives its deadline; the target is told what is left of it.
//! - A 4xx says that the caller is wrong: it is no failure of the target and is not repeated.
//! - A process that has just started waits for the provider's first word, and calls then; a provider
//!   that fails, or says nothing for as long as an attempt may take, is not waited for.
//! - An instance that dies costs no caller an error: its calls go to another one, and it is ejected.
//! - A target that fails for everybody gets a tenth more load by retries, not a multiple.
//!
//! | module | what |
//! |---|---|
//! | `call`, `client` | what a caller says and gets |
//! | `guard` | the order of the guards, and why |
//! | `request`, `send` | what each attempt does |
//! | `credentials`, `jwks` | tokens and keys, for services that do not hold the key |
//! | `targets`, [`admin`] | what a process calls, shown to administrators, who may force a breaker |
//! | `error` | the seed's kinds of fault, told apart |
//!
//! ```no_run
//! # async fn example(registry: discovery::Registry, settings: service_client::ClientSettings)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use service_client::{Call, ServiceClient};
//! use std::time::Duration;
//!
//! #[derive(serde::Deserialize)]
//! struct Profile { status: String }
//!
//! let users = ServiceClient::new("user-service", &registry, &settings)?;
//! let call = Call::new("get_user").within(Duration::from_secs(2));
//! let profile: Profile = users.get("/api/users/7", call).await?;
//! # Ok(())
//! # }
//! ```

mod settings;

mod attempt;
mod call;
mod client;
mod guard;
mod request;
mod response;

mod credentials;
mod jwks;

pub mod admin;
mod targets;

mod error;
mod metrics;

pub use call::Call;
pub use client::ServiceClient;
pub use credentials::ClientCredentials;
pub use error::{CallError, Kind, ProblemDocument};
pub use jwks::{Jwks, key_ring};
pub use settings::{Bounds, ClientSettings};
pub use targets::Targets;
