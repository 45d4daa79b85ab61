//! Discovery: which instances of a service there are, which are well, and which one to call.

mod balance;
mod checks;
mod clock;
mod discovery;
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

pub use discovery::{Discovery, SetupError};
pub use instance::{Health, Instance, Standing, Status};
pub use pick::{Choice, Picked};
pub use provider::ProviderError;
pub use registration::Registration;
pub use registry::{Balancer, Registry};
pub use settings::{
    Address, Algorithm, DiscoverySettings, LoadBalancingSettings, ProviderType, ServiceSettings,
    Services,
};
