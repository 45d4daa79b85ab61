//! `dns`: the addresses behind a name, asked for again when their time to live is over, and at the
//! latest every `refresh_interval`.
//!
//! The way in Kubernetes that needs no rights: the name of a headless service has the address of each
//! ready pod. A name that does not exist, or has no address, is a service without instances, and its
//! addresses are forgotten at once: they may be given to others. A server that cannot say (SERVFAIL, no
//! answer) is an error, which changes nothing.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::time::sleep;

use super::http::within;
use super::{Provider, ProviderError, Sink};
use crate::discovery::SetupError;
use crate::jitter::jittered;
use crate::{DiscoverySettings, Instance};

/// Longest time for one answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest time between two questions, however short an address lives.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

pub(crate) struct Dns {
    resolver: TokioResolver,
    refresh_interval: Duration,
}

impl Dns {
    /// Asks the servers of the settings, or those of the system.
    pub(crate) fn new(settings: &DiscoverySettings) -> Result<Self, SetupError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if settings.dns_servers.is_empty() {
            TokioResolver::builder(provider)?
        } else {
            let servers = settings.dns_servers.iter().map(|server| name_server(server));
            let servers = servers.collect::<Result<_, _>>()?;
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, provider)
        };
        let options = builder.options_mut();
        // The same machines answer to both families: those of IPv4, if there are any.
        options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        options.cache_size = 0;
        let refresh_interval = settings.refresh_interval.max(INTERVAL_MIN);
        Ok(Self { resolver: builder.build()?, refresh_interval })
    }

    /// Tells what is found, and says how long that holds. An error for one of several names is one for
    /// all: half of a set is no set.
    async fn ask(&self, sink: &Sink) -> Result<Duration, ProviderError> {
        let mut valid_for = self.refresh_interval;
        let mut found = Vec::new();
        for Instance { host, port, .. } in sink.named() {
            let lookup = async { self.look_up(&host).await };
            let (addresses, ttl) = within(LOOKUP_TIMEOUT, lookup).await?;
            found.extend(addresses.iter().map(|address| sink.instance(&address.to_string(), port)));
            valid_for = valid_for.min(ttl);
        }
        sink.publish(found);
        Ok(valid_for.max(INTERVAL_MIN))
    }

    async fn look_up(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), ProviderError> {
        match self.resolver.lookup_ip(host).await {
            Ok(answer) => {
                let mut addresses: Vec<IpAddr> = answer.iter().collect();
                // Servers rotate their answers; the set is the same.
                addresses.sort_unstable();
                addresses.dedup();
                Ok((addresses, answer.valid_until().saturating_duration_since(Instant::now())))
            }
            Err(error) if error.is_no_records_found() => Ok((Vec::new(), INTERVAL_MIN)),
            Err(source) => Err(ProviderError::Lookup { host: host.to_owned(), source }),
        }
    }
}

/// The server at `address:port`.
fn name_server(server: &str) -> Result<NameServerConfig, SetupError> {
    let address: SocketAddr =
        server.trim().parse().map_err(|_| SetupError::NameServer(server.to_owned()))?;
    let mut config = NameServerConfig::udp_and_tcp(address.ip());
    let at_port = |connection: &mut ConnectionConfig| connection.port = address.port();
    config.connections.iter_mut().for_each(at_port);
    Ok(config)
}

/// What does not fit in the settings of `dns`. Opens nothing.
pub(crate) fn check_servers(settings: &DiscoverySettings) -> Result<(), SetupError> {
    settings.dns_servers.iter().try_for_each(|server| name_server(server).map(drop))
}

impl From<NetError> for SetupError {
    fn from(error: NetError) -> Self {
        Self::Resolver(error.to_string())
    }
}

impl Provider for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn watch<'a>(&'a self, sink: &'a Sink) -> BoxFuture<'a, Result<Infallible, ProviderError>> {
        Box::pin(async move {
            loop {
                sleep(jittered(self.ask(sink).await?)).await;
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
