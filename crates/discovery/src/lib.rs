//! Discovery: which instances of a service there are, which are well, and which one to call.
//!
//! ```text
//!   provider ── whole sets ──▶ Registry ◀── active checks, every health_check_interval
//!   static · dns · consul          │   ◀── outcomes of calls: ejection, latency
//!   etcd · kubernetes              └──▶ pick(service, choice) ─▶ Picked ─▶ settle(outcome)
//! ```
//!
//! Who may be picked: those of the best standing that any has (ready, draining, not ready); of these
//! the healthy ones, or while there are none, those not checked yet; of these the ones that are not
//! ejected. When that leaves fewer than `panic_percent`, all: a check may be wrong. So a pick gives
//! none only when no instance is registered.
//!
//! ```
//! use discovery::{Choice, Instance, Registry};
//!
//! let registry = Registry::empty();
//! for port in [3001, 3011] {
//!     registry.register(Instance::new("user-service", "127.0.0.1", port));
//! }
//! let picked = registry.pick("user-service", &Choice::any()).unwrap();
//! assert_eq!(picked.instance().port, 3001);
//! picked.success();
//! let picked = registry.pick("user-service", &Choice::any()).unwrap();
//! assert_eq!(picked.instance().port, 3011);
//! ```

mod balance;
mod checks;
mod clock;
mod discovery;
mod eligibility;
mod endpoint;
mod instance;
mod jitter;
mod latency;
mod metrics;
mod pick;
pub mod provider;
mod random;
mod registration;
mod registry;
mod rendezvous;
mod service;
mod set;
mod settings;
mod tls;

pub use discovery::{Discovery, SetupError};
pub use eligibility::{Eligibility, Report};
pub use instance::{Health, Instance, Standing, Status};
pub use pick::{Choice, Picked};
pub use provider::ProviderError;
pub use registration::Registration;
pub use registry::{Balancer, Registry};
pub use settings::{
    Address, Algorithm, DiscoverySettings, LoadBalancingSettings, ProviderType, ServiceSettings,
    Services,
};
pub use tls::{Scheme, ServiceTls, TlsError};
