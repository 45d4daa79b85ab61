//! Everything the service reads from `config/`: typed, checked at start, all faults at once.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::{AuthSettings, KeySettings, PolicySettings, ServiceSecret};
use cache::CacheSettings;
use chassis::{DatabaseSettings, Interval, ServerSettings};
use discovery::{DiscoverySettings, LoadBalancingSettings, ServiceSettings};
use messaging::MessagingSettings;
use serde::Deserialize;
use service_client::ClientSettings;
use telemetry::TelemetrySettings;
use tusk_config::Unread;

mod check;

/// The files, without `.tsk`.
pub(crate) const FILES: &[&str] = &[
    "services",
    "microservices",
    "scaling",
    "database",
    "message_queue",
    "cache",
    "auth",
    "tracing",
    "sample-service",
];

/// The sections of those files that this service uses.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// `services.tsk`: where each service is found; our own version stands there too.
    #[serde(rename = "service:*")]
    pub services: BTreeMap<String, ServiceSettings>,
    /// `microservices.tsk`: where instances come from.
    pub service_discovery: DiscoverySettings,
    /// `microservices.tsk`: how calls to other services are guarded.
    #[serde(flatten)]
    pub calls: ClientSettings,
    /// `scaling.tsk`: how one of several instances is picked.
    pub load_balancing: LoadBalancingSettings,
    /// `database.tsk`.
    pub database: DatabaseSettings,
    /// `message_queue.tsk`: the broker, its names, and how outbox and queue are worked on.
    #[serde(flatten)]
    pub messaging: MessagingSettings,
    /// `cache.tsk`.
    pub cache: CacheSettings,
    /// `auth.tsk`: how long tokens are valid.
    pub auth: AuthSettings,
    /// `auth.tsk`: what they are signed with.
    pub keys: KeySettings,
    /// `auth.tsk`: what this service proves itself with.
    #[serde(rename = "services")]
    pub service_secret: OwnSecret,
    /// `auth.tsk`: who may call which route.
    pub policy: PolicySettings,
    /// `tracing.tsk`: logs and traces.
    #[serde(flatten)]
    pub telemetry: TelemetrySettings,
    /// `sample-service.tsk`: where it listens.
    pub server: ServerSettings,
    /// `sample-service.tsk`: how long what is closed is kept.
    pub sweep: SweepSettings,
}

/// Section `[sweep]`.
#[derive(Debug, Clone, Deserialize)]
pub struct SweepSettings {
    /// How long what is closed is kept.
    pub retention: Duration,
    /// How often what is past that is removed.
    pub interval: Interval,
}

/// Section `[services]`, of which a service reads its own part only.
#[derive(Debug, Clone, Deserialize)]
pub struct OwnSecret {
    /// What this service proves itself with when it asks user-service for a token.
    pub sample_service_token: ServiceSecret,
    /// Not ours to know.
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "the values are what is not read")]
    pub of_others: BTreeMap<String, Unread>,
}
