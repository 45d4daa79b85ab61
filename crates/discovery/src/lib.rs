//! Discovery: which instances of a service there are, which are well, and which one to call.
//!
//! ```text
//!   services.tsk ─▶ Registry ◀── active checks, every health_check_interval, by the seed's
//!                      │                         descriptor @http("GET", "http://…/health")
//!                      └──▶ pick("user-service")   round robin over the healthy ones
//! ```
//!
//! An instance is `unknown` until its first check. One success makes it healthy; only three
//! failures in a row make it unhealthy, so that one lost probe moves nothing. While none is known
//! to be well, the unknown ones are picked, then all: a check may be wrong, and the circuit breaker
//! guards the rest. So a pick gives none only when no instance is registered.
//!
//! ```
//! use discovery::{Instance, Registry};
//!
//! let registry = Registry::empty();
//! for port in [3001, 3011] {
//!     registry.register(Instance::new("user-service", "127.0.0.1", port));
//! }
//! let ports: Vec<u16> = (0..4).map(|_| registry.pick("user-service").unwrap().port).collect();
//! assert_eq!(ports, [3001, 3011, 3001, 3011]);
//! ```

mod checks;
mod instance;
mod registry;
mod settings;

pub use instance::{Health, Instance, Status};
pub use registry::Registry;
pub use settings::{
    Address, Algorithm, DiscoverySettings, LoadBalancingSettings, ProviderType, ServiceSettings,
};
