//! How one service calls another: discover → guard → authenticate → trace → send → tell apart.
//!
//! ```text
//!  get("/api/users/7")
//!    span service_call.user-service.get_user
//!    └─ attempt 1..n ── breaker ── pick an instance ── token, trace, deadline ── HTTP
//!          ▲                                                                      │
//!          └───── pause with jitter, while time and attempts are left ◀── fault ──┘
//! ```
//!
//! - Each attempt asks the breaker, so retries stop when the target is known to be down.
//! - Only what may be repeated is: `GET`, `PUT`, `DELETE`, and `POST` or `PATCH` with an
//!   Idempotency-Key.
//! - No call outlives its deadline; the target is told what is left of it.
//! - A 4xx says that the caller is wrong: it is no failure of the target and is not repeated.
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
//! let users = ServiceClient::new("user-service", registry, &settings)?;
//! let call = Call::new("get_user").within(Duration::from_secs(2));
//! let profile: Profile = users.get("/api/users/7", call).await?;
//! # Ok(())
//! # }
//! ```

mod settings;

mod call;
mod client;
mod guard;
mod request;
mod send;

mod credentials;
mod jwks;

mod error;
mod metrics;

pub use call::Call;
pub use client::ServiceClient;
pub use credentials::ClientCredentials;
pub use error::{CallError, Kind, ProblemDocument};
pub use jwks::{Jwks, key_ring};
pub use settings::{Bounds, ClientSettings};
