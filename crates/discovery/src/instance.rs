//! An instance of a service, and what is known of its health.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Failures in a row after which an instance counts as unhealthy.
const FAILURES_MAX: u32 = 3;

/// One address at which a service answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Instance {
    /// The service's name in `services.tsk`.
    pub service: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What is asked for its health, such as `http://127.0.0.1:3001/health`.
    pub health_url: String,
}

impl Instance {
    /// An instance with the health check every service has: `GET /health`.
    pub fn new(service: &str, host: &str, port: u16) -> Self {
        let health_url = format!("http://{host}:{port}/health");
        Self { service: service.to_owned(), host: host.to_owned(), port, health_url }
    }

    /// `http://host:port`, without a slash at its end.
    pub fn base_url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }
}

/// What is known of an instance's health, in the seed's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not checked yet.
    Unknown,
    /// The last check succeeded, or too few have failed since.
    Healthy,
    /// Three checks in a row failed.
    Unhealthy,
}

/// An instance's health and when it was last checked.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    /// What is known.
    pub health: Health,
    /// When it was last checked; none before the first check.
    pub last_check: Option<Instant>,
}

/// An instance in the registry.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) instance: Instance,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    status: Status,
    failures: u32,
}

impl Tracked {
    pub(crate) fn new(instance: Instance) -> Self {
        let status = Status { health: Health::Unknown, last_check: None };
        Self { instance, known: Mutex::new(Known { status, failures: 0 }) }
    }

    pub(crate) fn status(&self) -> Status {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).status
    }

    /// Notes a check's outcome; gives the health when that changed it.
    pub(crate) fn checked(&self, success: bool) -> Option<Health> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.status.health;
        known.status.last_check = Some(Instant::now());
        known.failures = if success { 0 } else { known.failures.saturating_add(1) };
        if success {
            known.status.health = Health::Healthy;
        } else if known.failures >= FAILURES_MAX {
            known.status.health = Health::Unhealthy;
        }
        (known.status.health != before).then_some(known.status.health)
    }
}
