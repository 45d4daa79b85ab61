//! Discovery: which instances of a service there are, which are well, and which one to call.
//!
//! ```text
//!   Provider ── whole sets ──▶ Registry: one Endpoint for each address
//!   static · dns · consul         │  ▲ Checks, every health_check_interval
//!   etcd · kubernetes             │  ▲ Outlier: failures in a row, success rate, latency
//!                                 ▼
//!                  Eligibility of each ─▶ Set: slots by weight, zone, slow start
//!                                          └──▶ pick(service, options) ─▶ Pick ─▶ settle(outcome)
//!                                                                       (InFlight until then)
//! ```
//!
//! - An [`Instance`] is what a provider tells; an endpoint is that and what is known of it. A provider
//!   that says something else of an address keeps what is known; [`Readiness`] alone has it checked anew.
//! - [`Eligibility`] is the one place with the rules of who may be picked: those of the best readiness
//!   that any has, of these the healthy ones, of these the ones that are not ejected, of these no more
//!   than the subset, and of these the zones by their capacity. When health and ejection leave fewer than
//!   `panic_percent`, all: a check may be wrong. So a pick gives none only when no instance is registered.
//! - A set is worked out when something changes, and never changed: a pick takes no lock, and costs the
//!   same for ten and for a thousand. Weights, zones and slow starts are how often an endpoint stands
//!   among the slots, so that nobody takes over the part of a neighbour.
//! - An [`Ejection`] says why and until when; then one call at a time tries the endpoint.
//!
//! ```
//! use discovery::{PickOptions, Instance, Registry};
//!
//! let registry = Registry::empty();
//! for port in [3001, 3011] {
//!     registry.register(Instance::new("user-service", "127.0.0.1", port));
//! }
//! // Round robin, from anywhere on.
//! let first = registry.pick("user-service", &PickOptions::any()).unwrap();
//! let second = registry.pick("user-service", &PickOptions::any()).unwrap();
//! assert_eq!(first.instance().port + second.instance().port, 3001 + 3011);
//! first.success();
//! second.success();
//! ```

mod balance;
mod checks;
mod clock;
mod discovery;
mod ejection;
mod eligibility;
mod endpoint;
mod health;
mod instance;
mod jitter;
mod latency;
mod metrics;
mod outliers;
mod pick;
pub mod provider;
mod registration;
mod registry;
mod rendezvous;
mod service;
mod set;
mod settings;
mod tls;
mod weights;

pub use discovery::{Discovery, SetupError};
pub use ejection::{Ejection, EjectionReason};
pub use eligibility::Eligibility;
pub use instance::{Health, Instance, Readiness, Status};
pub use pick::{Pick, PickOptions};
pub use provider::ProviderError;
pub use registration::Registration;
pub use registry::{LoadBalancer, Registry};
pub use set::Report;
pub use settings::{
    Address, Algorithm, DiscoverySettings, LoadBalancingSettings, ProviderType, ServiceSettings,
    Services,
};
pub use tls::{Scheme, ServiceTls, TlsError};
