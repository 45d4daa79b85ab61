//! Settings of the chassis: `[server]` of a service's own file.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::phases;

mod check;
mod cors;
mod management;

pub use cors::CorsSettings;
pub(crate) use management::Audience;
pub use management::{ManagementPort, ManagementSettings};

/// Who a service is, on the wire and in logs, traces and metrics.
#[derive(Debug, Clone)]
pub struct ServiceInfo {
    /// The name in `services.tsk`, such as `user-service`.
    pub name: &'static str,
    /// The version in `services.tsk`, such as `1.0.0`, which a registry is told. What runs is
    /// [`telemetry::BuildInfo`].
    pub version: String,
}

impl ServiceInfo {
    /// The version and the commit that run. In tests, which run no binary: the version of the
    /// settings, and `unknown`.
    pub(crate) fn running(&self) -> (String, &'static str) {
        telemetry::build_info().map_or_else(
            || (self.version.clone(), "unknown"),
            |build| (build.version.to_owned(), build.commit),
        )
    }
}

/// A time between two rounds of work: a millisecond at least, since none at all would be a loop
/// that never rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Duration")]
pub struct Interval(Duration);

impl Interval {
    /// The time.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<Duration> for Interval {
    type Error = &'static str;

    fn try_from(time: Duration) -> Result<Self, Self::Error> {
        let long_enough = time >= Duration::from_millis(1);
        long_enough.then_some(Self(time)).ok_or("an interval must be 1ms or more")
    }
}

/// Section `[server]`: where a service listens, and the bounds of what it takes on.
#[derive(Debug, Clone, Deserialize)]
pub struct ServerSettings {
    /// Address to listen on; `0.0.0.0` for all.
    pub host: String,
    /// Port to listen on; 0 for a free one.
    pub port: u16,
    /// Connections at most, probes' and idle ones included. At the limit, the one that has waited for
    /// its peer for the longest time makes room. Less where the limit of open files is lower.
    pub connection_limit: usize,
    /// Longest time that a connection may stand idle before its first request and between two.
    pub idle_timeout: Duration,
    /// Largest request head, in bytes.
    pub head_limit: usize,
    /// Longest time from the first byte of a request's head to its last.
    pub head_timeout: Duration,
    /// Largest request body, in bytes.
    pub body_limit: usize,
    /// Longest time from a request's head to the last byte of its body.
    pub body_timeout: Duration,
    /// Longest time in which a caller takes nothing of an answer that is there for it.
    pub write_timeout: Duration,
    /// Longest time for one answer; the deadline of a service that calls can only shorten it.
    pub request_timeout: Duration,
    /// Requests in flight at most; more are refused with 503 at once.
    pub concurrency_limit: usize,
    /// Whether fewer may be in flight, down to a sixteenth, while answers take longer than usual; yes
    /// when left out.
    #[serde(default = "yes")]
    pub adaptive_concurrency: bool,
    /// Further requests that may be in flight, of other services only.
    pub service_concurrency_limit: usize,
    /// Longest time from SIGTERM to the end of the process, `drain_delay` included. Withdrawing the
    /// registration has up to 15 % of what that leaves, requests 45 %, tasks 30 %, telemetry 10 %.
    pub grace_period: Duration,
    /// Time between "not ready" and the closing of the port, so that balancers notice.
    pub drain_delay: Duration,
    /// Path of a Unix socket at which the open listeners are offered to a successor of the same user,
    /// from when the service serves; empty for none.
    #[serde(default)]
    pub takeover_socket: PathBuf,
    /// The `takeover_socket` of the process that this one replaces, whose listeners it takes over and
    /// uses once it is ready; empty for none.
    #[serde(default)]
    pub takeover_from: PathBuf,
    /// Proxies whose `X-Forwarded-For` is believed; none when left out.
    #[serde(default)]
    pub trusted_proxies: TrustedProxies,
    /// Proxies that begin traces: their `traceparent`, `tracestate` and `x-request-id` count, as another
    /// service's do; none when left out. One that hands on what strangers send is none of them.
    #[serde(default)]
    pub tracing_proxies: TrustedProxies,
    /// Whether `GET /debug` answers; off when left out.
    #[serde(default)]
    pub debug: bool,
}

fn yes() -> bool {
    true
}

impl ServerSettings {
    /// What telemetry has of the grace period, to send what it holds once all else has ended.
    pub fn telemetry_share(&self) -> Duration {
        phases::telemetry(self)
    }

    #[cfg(test)]
    pub(crate) fn on_a_free_port() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 0,
            connection_limit: 1,
            idle_timeout: Duration::from_secs(1),
            head_limit: 1,
            head_timeout: Duration::from_secs(1),
            body_limit: 1,
            body_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(1),
            concurrency_limit: 1,
            adaptive_concurrency: true,
            service_concurrency_limit: 1,
            grace_period: Duration::from_secs(10),
            drain_delay: Duration::ZERO,
            takeover_socket: PathBuf::new(),
            takeover_from: PathBuf::new(),
            trusted_proxies: TrustedProxies::default(),
            tracing_proxies: TrustedProxies::default(),
            debug: false,
        }
    }
}

/// Addresses and networks, such as `192.0.2.7` and `10.0.0.0/8`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Whether this address is a trusted proxy's.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

impl TryFrom<Vec<String>> for TrustedProxies {
    type Error = String;

    fn try_from(words: Vec<String>) -> Result<Self, String> {
        let network = |word: &String| {
            let one = || word.parse::<IpAddr>().map(IpNet::from);
            let parsed = word.parse::<IpNet>().or_else(|_| one());
            parsed.map_err(|_| format!("`{word}` is neither an address nor a network"))
        };
        words.iter().map(network).collect::<Result<_, _>>().map(Self)
    }
}
