//! How one service calls another: one call, its attempts, and what becomes of each.
//!
//! ```text
//!  client.get("/api/users/7", Call::new("get_user"))                                      module
//!    span service_call.user-service.get_user, service token                               client
//!    └─ circuit breaker of the service ─▶ retry, within the budget                        guard
//!         └─ hedge a late read ─▶ limit of attempts in flight                             guard
//!              └─ attempt 1..n ─▶ pick an instance that was not tried                     attempt
//!                   └─ time limit ─▶ HTTP ─▶ answer, or a Kind of fault                   response
//!                        └─ attempt result ─▶ ejection of the instance
//! ```
//!
//! - Only what may be repeated is: `GET`, `PUT`, `DELETE`, what has an Idempotency-Key or says so; and
//!   anything that was never sent.
//! - No call outlives its deadline; the target is told what is left of it, and how much the call matters.
//! - A 4xx says that the caller is wrong: it is no failure of the target and is not repeated.
//! - A process that has just started waits for the provider's first word, and calls then; a provider
//!   that fails, or says nothing for as long as an attempt may take, is not waited for.
//! - An instance that dies costs no caller an error: its calls go to another one, and it is ejected. One
//!   that asks for a delay (`Retry-After`) gets it, and the call goes to another one at once.
//! - A target that fails for everybody gets a tenth more load by retries, not a multiple.
//!
//! | module | what |
//! |---|---|
//! | `call`, `client` | what a caller says and gets |
//! | `guard` | the order of the guards, and what each end of an attempt means |
//! | `request`, `attempt`, `response` | what an attempt sends, to whom, and what its answer means |
//! | `credentials`, `jwks` | tokens and keys, for services that do not hold the key |
//! | `targets`, [`admin`] | what a process calls, shown to administrators, who may force a breaker |
//! | `error` | the kinds of fault |
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
