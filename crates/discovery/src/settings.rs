//! The settings of `services.tsk`, `microservices.tsk` and `scaling.tsk` that say whom to call.

use std::time::Duration;

use serde::Deserialize;
use tusk_config::HttpRequest;

/// A section `[service:…]` of `services.tsk`: where a service is found.
#[derive(Debug, Clone, Deserialize)]
pub struct ServiceSettings {
    /// Host of its one instance, or of what stands before several.
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
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Section `[service_discovery]` of `microservices.tsk`.
#[derive(Debug, Clone, Deserialize)]
pub struct DiscoverySettings {
    /// Where instances come from.
    pub r#type: ProviderType,
    /// How often a provider that polls is asked again.
    pub refresh_interval: Duration,
}

/// Where instances come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderType {
    /// `services.tsk` names them.
    Static,
}

/// Section `[load_balancing]` of `scaling.tsk`.
#[derive(Debug, Clone, Deserialize)]
pub struct LoadBalancingSettings {
    /// How one of several is picked.
    pub algorithm: Algorithm,
    /// How often each instance is asked for its health.
    pub health_check_interval: Duration,
}

/// How one of several instances is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// One after the other.
    RoundRobin,
}
