//! An instance of a service, as a provider tells of it, and what is known of its health.

use std::fmt;

use tokio::time::Instant;
use tusk_config::HttpRequest;

/// One address at which a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The service's name in `services.tsk`.
    pub service: String,
    /// Host name or address; one of IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What is asked for its health, such as `GET http://127.0.0.1:3001/health`; only a 200 means
    /// that it is well.
    pub health_check: HttpRequest,
    /// Its share beside others, which have 1 by default; 0 counts as 1.
    pub weight: u32,
    /// Where it runs, if the provider knows.
    pub zone: Option<String>,
    /// What its provider says of it.
    pub readiness: Readiness,
}

/// What a provider says of an instance. New calls go to the best readiness that any has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Readiness {
    /// It takes calls.
    #[default]
    Ready,
    /// It still answers but is about to go: no new calls while others are ready.
    Draining,
    /// The provider's own check says that it is not well: it is called when nobody else is left.
    NotReady,
}

impl Instance {
    /// An instance with the health check that every service here has: `GET /health`.
    pub fn new(service: &str, host: &str, port: u16) -> Self {
        let url = format!("http://{}/health", Authority(host, port));
        Self {
            service: service.to_owned(),
            host: host.to_owned(),
            port,
            health_check: HttpRequest::get(url),
            weight: 1,
            zone: None,
            readiness: Readiness::Ready,
        }
    }

    /// The same instance with another share.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// The same instance in a zone.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// The same instance with another readiness.
    #[must_use]
    pub fn readiness(mut self, readiness: Readiness) -> Self {
        self.readiness = readiness;
        self
    }

    /// The same instance with another health check.
    #[must_use]
    pub fn health_check(mut self, request: HttpRequest) -> Self {
        self.health_check = request;
        self
    }

    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        Authority(&self.host, self.port).to_string()
    }

    /// `http://host:port`, without a slash at its end.
    pub fn base_url(&self) -> String {
        format!("http://{}", Authority(&self.host, self.port))
    }

    /// Host and port: what tells it from the others of its service.
    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Whether both are at the same address of the same service, whatever else is said of them.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.port, &self.host, &self.service) == (other.port, &other.host, &other.service)
    }
}

/// A host as it stands in a URL: an IPv6 address in brackets.
pub(crate) struct Host<'a>(pub(crate) &'a str);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.trim_matches(['[', ']']);
        if host.contains(':') { write!(f, "[{host}]") } else { f.write_str(host) }
    }
}

/// `host:port`, as it stands in a URL.
pub(crate) struct Authority<'a>(pub(crate) &'a str, pub(crate) u16);

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Host(self.0), self.1)
    }
}

/// What is known of an instance's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not checked yet.
    Unknown,
    /// The last checks succeeded, or too few have failed since.
    Healthy,
    /// `unhealthy_threshold` checks in a row failed, and not `healthy_threshold` succeeded since.
    Unhealthy,
}

/// An instance's health and when it was last checked.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    /// What its checks say.
    pub health: Health,
    /// When it was last checked; none before the first check.
    pub last_check: Option<Instant>,
    /// Whether it is left alone for a while because calls to it failed.
    pub ejected: bool,
    /// Calls that are under way.
    pub in_flight: usize,
}
