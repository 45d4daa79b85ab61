//! `dns`: the addresses behind a name, asked for again when their time to live is over, and at the
//! latest every `refresh_interval`.
//!
//! The way in Kubernetes that needs no rights: the name of a headless service has the address of each
//! ready pod. A name that does not exist, or has no address, is a service without instances, and its
//! addresses are forgotten, at once or, after a look-up that failed, once `removal_grace` is over: they may
//! be given to others. A server that cannot say (SERVFAIL, no
//! answer) is an error, which changes nothing.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
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
    /// What a short name is completed by, in this order.
    search: Vec<Name>,
    /// With so many dots a name is tried as it is before it is completed.
    dots: usize,
    refresh_interval: Duration,
}

impl Dns {
    /// Asks the servers of the settings, or those of the system.
    pub(crate) fn new(settings: &DiscoverySettings) -> Result<Self, SetupError> {
        let (config, mut options) = if settings.dns_servers.is_empty() {
            read_system_conf()?
        } else {
            let servers = settings.dns_servers.iter().map(|server| name_server(server));
            let servers = servers.collect::<Result<_, _>>()?;
            (ResolverConfig::from_parts(None, Vec::new(), servers), ResolverOpts::default())
        };
        options.cache_size = 0;
        let search = config.domain().into_iter().chain(config.search()).cloned().collect();
        let dots = options.ndots;
        let provider = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(config, provider).with_options(options);
        let refresh_interval = settings.refresh_interval.max(INTERVAL_MIN);
        Ok(Self { resolver: builder.build()?, search, dots, refresh_interval })
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

    /// The addresses of the first of its names that has any, those of IPv4 if there are such, since the
    /// same machines answer to both families. That a name has none counts only if all before it were
    /// answered: the resolver's own search would give the answer to its last question.
    async fn look_up(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), ProviderError> {
        if let Ok(address) = host.parse() {
            return Ok((vec![address], self.refresh_interval));
        }
        let failed = |source| ProviderError::Lookup { host: host.to_owned(), source };
        for name in self.names(host).map_err(|error| failed(error.into()))? {
            for family in [RecordType::A, RecordType::AAAA] {
                let answer = match self.resolver.lookup(name.clone(), family).await {
                    Ok(answer) => answer,
                    Err(error) if error.is_no_records_found() => continue,
                    Err(error) => return Err(failed(error)),
                };
                let records = answer.answers().iter();
                let mut addresses: Vec<IpAddr> =
                    records.filter_map(|record| record.data.ip_addr()).collect();
                if addresses.is_empty() {
                    continue;
                }
                // Servers rotate their answers; the set is the same.
                addresses.sort_unstable();
                addresses.dedup();
                let ttl = answer.valid_until().saturating_duration_since(Instant::now());
                return Ok((addresses, ttl));
            }
        }
        Ok((Vec::new(), INTERVAL_MIN))
    }

    /// The full names that a name may stand for, as resolv.conf(5) has it.
    fn names(&self, host: &str) -> Result<Vec<Name>, ProtoError> {
        let name = Name::from_str_relaxed(host)?;
        if name.is_fqdn() {
            return Ok(vec![name]);
        }
        let completed = self.search.iter().map(|search| name.clone().append_domain(search));
        let mut names = completed.collect::<Result<Vec<_>, _>>()?;
        let mut as_it_is = name.clone();
        as_it_is.set_fqdn(true);
        let is_first = usize::from(name.num_labels()) > self.dots || name.is_localhost();
        names.insert(if is_first { 0 } else { names.len() }, as_it_is);
        Ok(names)
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
