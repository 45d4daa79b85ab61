//! Of `state.json`, which the tool writes, what is shown.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use testkit::native::ProcessId;

/// What `up` has started.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct State {
    pub(crate) addresses: Addresses,
    pub(crate) processes: Vec<Process>,
    /// The services that were stopped by `cargo dev stop`.
    #[serde(default)]
    pub(crate) stopped: Vec<String>,
}

/// Where the servers answer. Holds passwords: never shown.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Addresses {
    /// `postgres://` of a superuser.
    pub(crate) postgres: String,
    /// `redis://`.
    pub(crate) redis: String,
    /// `amqp://`.
    pub(crate) amqp: String,
    /// `http://` of RabbitMQ's management API; empty when it is not known.
    pub(crate) rabbitmq_api: String,
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Addresses(…)")
    }
}

/// A process of the system.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: String,
    /// `service`, `simulator`, `server` or `tool`.
    pub(crate) kind: String,
    pub(crate) pid: u32,
    pub(crate) started: u64,
    pub(crate) port: Option<u16>,
}

impl State {
    pub(super) fn read(file: &Path) -> Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(file)?)?)
    }

    /// The services, in the order of their ports.
    pub(crate) fn services(&self) -> Vec<&Process> {
        let mut services: Vec<&Process> =
            self.processes.iter().filter(|process| process.kind == "service").collect();
        services.sort_by_key(|process| process.port);
        services
    }

    /// The process of this name.
    pub(crate) fn process(&self, name: &str) -> Option<&Process> {
        self.processes.iter().find(|process| process.name == name)
    }
}

impl Process {
    pub(crate) fn id(&self) -> ProcessId {
        ProcessId { pid: self.pid, started: self.started }
    }

    /// Where a service or the simulator answers HTTP.
    pub(crate) fn url(&self) -> Option<String> {
        let port = self.port.filter(|_| self.kind != "server")?;
        Some(format!("http://127.0.0.1:{port}"))
    }
}
