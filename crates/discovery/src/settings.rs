//! The settings of `services.tsk`, `microservices.tsk` and `scaling.tsk` that say whom to call.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tusk_config::{HttpRequest, Secret};
use url::Url;

mod check;

use crate::instance::Host;
use crate::{Instance, Scheme};

/// A section `[service:…]` of `services.tsk`: where a service is found.
#[derive(Debug, Clone, Deserialize)]
pub struct ServiceSettings {
    /// Host of its one instance, or the name under which all are found by `dns`.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How to ask an instance for its health.
    pub health_check: HttpRequest,
    /// The version that it reports.
    pub version: String,
    /// `host:port` of each instance, when there are several that callers balance over; `host` and
    /// `port` are then not called.
    #[serde(default)]
    pub instances: Vec<Address>,
    /// How its instances are spoken to.
    #[serde(default)]
    pub scheme: Scheme,
    /// The name that its certificate must have, where it is not the host that is called.
    #[serde(default)]
    pub tls_name: String,
}

/// The sections of `services.tsk` by the services' names.
pub type Services = BTreeMap<String, ServiceSettings>;

impl ServiceSettings {
    /// The instances that the section names.
    pub(crate) fn named(&self, service: &str) -> Vec<Instance> {
        let own = [Address { host: self.host.clone(), port: self.port }];
        let addresses = if self.instances.is_empty() { &own[..] } else { &self.instances };
        addresses.iter().map(|address| self.at(service, &address.host, address.port)).collect()
    }

    /// An instance at an address, with the section's health check asked there. A health check on
    /// another port than the service's keeps that port.
    pub(crate) fn at(&self, service: &str, host: &str, port: u16) -> Instance {
        let HttpRequest { method, url } = self.health_check.clone();
        let there = Url::parse(&url).ok().and_then(|mut there| {
            let is_own = there.port_or_known_default() == Some(self.port);
            there.set_host(Some(&Host(host).to_string())).ok()?;
            there.set_port(if is_own { Some(port) } else { there.port() }).ok()?;
            Some(there.to_string())
        });
        let url = there.unwrap_or(url);
        Instance::new(service, host, port).health_check(HttpRequest { method, url })
    }
}

/// `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl TryFrom<String> for Address {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let address = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = address.ok_or("an instance is written host:port")?;
        Ok(Self { host: host.trim_matches(['[', ']']).to_owned(), port })
    }
}

/// Section `[service_discovery]` of `microservices.tsk`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct DiscoverySettings {
    /// Where instances come from.
    pub r#type: ProviderType,
    /// How often a provider that polls is asked again, and one that watches makes sure that its
    /// watch still stands. From 1 second on.
    pub refresh_interval: Duration,
    /// Under which host this service registers; empty: the address from which it reaches the
    /// registry's server.
    pub advertise_host: String,
    /// How long a registration lives without a heartbeat; there are three in this time. From 3
    /// seconds on.
    pub registration_ttl: Duration,
    /// How long instances stay that are gone after the provider failed or lost its data: it may
    /// only have forgotten them.
    pub removal_grace: Duration,
    /// `dns`: `address:port` of the name servers; empty: those of the system.
    pub dns_servers: Vec<String>,
    /// `consul`: the agent's address.
    pub consul_url: String,
    /// `consul`: the token that is sent with each request; empty: none.
    pub consul_token: Secret<String>,
    /// `etcd`: where its members are; the next one is asked when one fails.
    pub etcd_endpoints: Vec<String>,
    /// `etcd`: what the keys begin with: `<prefix>/<service>/<host>:<port>`.
    pub etcd_prefix: String,
    /// `kubernetes`: the API's address.
    pub kubernetes_url: String,
    /// `kubernetes`: the namespace of the services; empty: the one that this pod runs in.
    pub kubernetes_namespace: String,
    /// `kubernetes`: the folder with this pod's token, namespace and the API's CA certificate.
    pub kubernetes_account_dir: String,
}

impl Default for DiscoverySettings {
    fn default() -> Self {
        Self {
            r#type: ProviderType::Static,
            refresh_interval: Duration::from_secs(30),
            advertise_host: String::new(),
            registration_ttl: Duration::from_secs(30),
            removal_grace: Duration::from_secs(30),
            dns_servers: Vec::new(),
            consul_url: "http://127.0.0.1:8500".to_owned(),
            consul_token: Secret::from(""),
            etcd_endpoints: vec!["http://127.0.0.1:2379".to_owned()],
            etcd_prefix: "/services".to_owned(),
            kubernetes_url: "https://kubernetes.default.svc".to_owned(),
            kubernetes_namespace: String::new(),
            kubernetes_account_dir: "/var/run/secrets/kubernetes.io/serviceaccount".to_owned(),
        }
    }
}

/// Where instances come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderType {
    /// `services.tsk` names them.
    Static,
    /// A name with several addresses, such as that of a headless service in Kubernetes.
    Dns,
    /// A Consul agent.
    Consul,
    /// An etcd cluster.
    Etcd,
    /// The `EndpointSlices` of a Kubernetes service.
    Kubernetes,
}

/// Section `[load_balancing]` of `scaling.tsk`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct LoadBalancingSettings {
    /// How one of several is picked.
    pub algorithm: Algorithm,
    /// How often each instance is asked for its health; 0: never.
    pub health_check_interval: Duration,
    /// How often an instance that may be down (its calls or its last check failed) is asked; a
    /// longer time than `health_check_interval` counts as that, and a time below 10 milliseconds as
    /// 10 milliseconds.
    pub recheck_interval: Duration,
    /// How long it may take to answer.
    pub health_check_timeout: Duration,
    /// Checks in a row that make an unhealthy instance healthy; 0 counts as 1.
    pub healthy_threshold: u32,
    /// Checks in a row that make a healthy instance unhealthy; 0 counts as 1.
    pub unhealthy_threshold: u32,
    /// Failed calls in a row after which an instance is ejected; 0 counts as 1.
    pub ejection_threshold: u32,
    /// How long it is left alone the first time; up to ten times as long when it is ejected again and
    /// again or its trials fail.
    pub ejection_time: Duration,
    /// The largest share of the instances that is ejected, in percent.
    pub ejection_percent_max: u32,
    /// How often the success rates and latencies of the instances are compared.
    pub outlier_interval: Duration,
    /// Calls of an instance without which it is not compared; fewer wait for those of the next interval.
    pub outlier_minimum_calls: u32,
    /// By how many percent points an instance's success rate may lie below the median of the others
    /// before it is ejected, if chance does not explain it; 0: it is never ejected for that.
    pub success_rate_margin: u32,
    /// From what multiple of the median of the others on the mean latency of an instance ejects it; 0: it
    /// is never ejected for that.
    pub latency_factor: u32,
    /// When fewer than this share could be picked, in percent, health and ejection are not looked
    /// at: all would be too much for the few, and the checks may be what is wrong. 0: never.
    pub panic_percent: u32,
    /// How long the share of an instance grows that is new or comes back; 0: it starts with all. Keys of
    /// `ip_hash` go to their instance at once.
    pub slow_start: Duration,
    /// Where this service runs: instances there are preferred. Empty: no preference.
    pub zone: String,
    /// How many of more instances this process calls and checks, a quarter more being checked as spare
    /// ones; 0: all of them.
    pub subset_size: u32,
}

impl Default for LoadBalancingSettings {
    /// Ejection by failures in a row as Envoy's, and by success rate; no slow start, no subset.
    fn default() -> Self {
        Self {
            algorithm: Algorithm::RoundRobin,
            health_check_interval: Duration::from_secs(30),
            recheck_interval: Duration::from_secs(1),
            health_check_timeout: Duration::from_secs(2),
            healthy_threshold: 2,
            unhealthy_threshold: 3,
            ejection_threshold: 5,
            ejection_time: Duration::from_secs(30),
            ejection_percent_max: 50,
            outlier_interval: Duration::from_secs(5),
            outlier_minimum_calls: 20,
            success_rate_margin: 20,
            latency_factor: 0,
            panic_percent: 50,
            slow_start: Duration::ZERO,
            zone: String::new(),
            subset_size: 0,
        }
    }
}

/// How one of several instances is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// One after the other, by weight.
    RoundRobin,
    /// Of two, the one with fewer calls in flight.
    LeastConnections,
    /// The same one for the same key, as long as it is not overloaded.
    IpHash,
    /// Of two, the one with fewer calls in flight for its latency.
    P2c,
}
