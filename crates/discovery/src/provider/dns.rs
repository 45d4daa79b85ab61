//! `dns`: the addresses behind a name, asked for again every `refresh_interval`.
//!
//! The way in Kubernetes that needs no rights: the name of a headless service has the address of
//! each ready pod.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::{Provider, ProviderError, Sink, http::within};
use crate::Address;
use crate::jitter::jittered;

/// Longest time for one answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Gives the addresses behind a host and port.
pub type Lookup = Arc<dyn Fn(Address) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The addresses behind a name.
pub struct Dns {
    refresh_interval: Duration,
    lookup: Lookup,
}

impl Dns {
    /// Asks the system's resolver.
    pub fn new(refresh_interval: Duration) -> Self {
        Self::with_lookup(refresh_interval, Arc::new(|address| Box::pin(lookup(address))))
    }

    /// Asks another resolver.
    pub fn with_lookup(refresh_interval: Duration, lookup: Lookup) -> Self {
        Self { refresh_interval, lookup }
    }

    /// An error for one of several names is one for all: half of a set is no set.
    async fn ask(&self, sink: &Sink) -> Result<(), ProviderError> {
        let mut found = Vec::new();
        for named in sink.named() {
            let what = format!("look up {}", named.host);
            let address = Address { host: named.host, port: named.port };
            let lookup = (self.lookup)(address);
            let addresses = within(LOOKUP_TIMEOUT, async {
                lookup.await.map_err(|source| ProviderError::Io { what, source })
            });
            for address in one_family(addresses.await?) {
                found.push(sink.instance(&address.to_string(), named.port));
            }
        }
        sink.publish(found);
        Ok(())
    }
}

async fn lookup(Address { host, port }: Address) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> =
        tokio::net::lookup_host((host, port)).await?.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    // Servers rotate their answers; the set is the same.
    addresses.sort_unstable();
    Ok(addresses)
}

/// The same machines answer to both families: those of IPv4, if there are any.
fn one_family(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    if addresses.iter().any(IpAddr::is_ipv4) {
        addresses.retain(IpAddr::is_ipv4);
    }
    addresses
}

impl Provider for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn watch<'a>(&'a self, sink: &'a Sink) -> BoxFuture<'a, Result<Infallible, ProviderError>> {
        Box::pin(async move {
            loop {
                self.ask(sink).await?;
                sleep(jittered(self.refresh_interval)).await;
            }
        })
    }
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns")
            .field("refresh_interval", &self.refresh_interval)
            .finish_non_exhaustive()
    }
}
