//! Providers: what tells which instances of a service there are.
//!
//! A provider gives whole sets, never single changes: what a set replaces is found out once, in the
//! registry. It ends with an error and is begun anew by `supervise`, so that a provider has no
//! loop of its own for trouble; and an error never changes the set.

mod consul;
pub(crate) mod dns;
mod error;
mod etcd;
mod http;
pub(crate) mod kubernetes;
mod sink;
mod r#static;
mod supervise;

use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;

pub(crate) use consul::Consul;
pub(crate) use dns::Dns;
pub use error::ProviderError;
pub(crate) use etcd::Etcd;
pub(crate) use kubernetes::Kubernetes;
pub use sink::Sink;
pub(crate) use r#static::Static;
pub(crate) use supervise::{delay, supervise};

/// Where instances come from, and where this process may register itself.
pub trait Provider: Send + Sync + Debug {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// Tells the sink all instances of its service, at once and after each change, and confirms
    /// them now and then while nothing changes. Ends with the error that keeps it from doing so.
    fn watch<'a>(&'a self, sink: &'a Sink) -> BoxFuture<'a, Result<Infallible, ProviderError>>;

    /// Where processes register themselves; none where others do that.
    fn registrar(&self) -> Option<&dyn Registrar> {
        None
    }
}

/// Keeps the registration of a process, which ends by itself when nobody renews it.
pub trait Registrar: Send + Sync + Debug {
    /// Host and port of its server.
    fn server(&self) -> (String, u16);

    /// Registers a process, whether it is registered or not.
    fn register<'a>(&'a self, own: &'a Advertised) -> BoxFuture<'a, Result<Lease, ProviderError>>;

    /// Renews a registration. An error says that it may be lost: it is registered again then.
    fn renew<'a>(
        &'a self,
        own: &'a Advertised,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Ends a registration; one that is not there is as good. Without a lease, one whose making got no
    /// answer.
    fn deregister<'a>(
        &'a self,
        own: &'a Advertised,
        lease: Option<&'a Lease>,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;
}

/// What a process says of itself.
#[derive(Debug, Clone)]
pub struct Advertised {
    /// The service's name in `services.tsk`.
    pub service: String,
    /// Where callers reach it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its version.
    pub version: String,
    /// Where it runs; empty: not said.
    pub zone: String,
    /// How long the registration lives without being renewed.
    pub ttl: Duration,
}

impl Advertised {
    /// `service-host-port`: the same after a restart, which so replaces the registration.
    pub fn id(&self) -> String {
        format!("{}-{}-{}", self.service, self.host, self.port)
    }
}

/// The registrar's name for a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease(pub String);
