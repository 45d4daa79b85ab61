//! Everything the service reads from `config/`: typed, checked at start, all faults at once.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::password::PasswordSettings;
use auth::{AuthSettings, KeySettings, PolicySettings, ServiceSecret};
use cache::CacheSettings;
use chassis::{DatabaseSettings, Interval, ServerSettings};
use discovery::{DiscoverySettings, LoadBalancingSettings, ServiceSettings};
use messaging::MessagingSettings;
use serde::Deserialize;
use telemetry::TelemetrySettings;

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
    "user-service",
];

/// The sections of those files that this service uses.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// `services.tsk`: where each service is found; our own version stands there too.
    #[serde(rename = "service:*")]
    pub services: BTreeMap<String, ServiceSettings>,
    /// `microservices.tsk`: where instances come from, and whether we register as one.
    pub service_discovery: DiscoverySettings,
    /// `scaling.tsk`: where this instance runs.
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
    /// `auth.tsk`: what each service proves itself with.
    #[serde(rename = "services")]
    pub service_secrets: BTreeMap<String, ServiceSecret>,
    /// `auth.tsk`: who may call which route.
    pub policy: PolicySettings,
    /// `tracing.tsk`: logs and traces.
    #[serde(flatten)]
    pub telemetry: TelemetrySettings,
    /// `user-service.tsk`: where it listens.
    pub server: ServerSettings,
    /// `user-service.tsk`: how passwords are hashed.
    pub password: PasswordSettings,
    /// `user-service.tsk`: how long people stay signed in.
    pub sessions: SessionSettings,
}

/// Section `[sessions]`.
#[derive(Debug, Clone, Deserialize)]
pub struct SessionSettings {
    /// How long a refresh token is valid after its last use.
    pub refresh_expiration: Duration,
    /// How often sessions past their time are removed.
    pub sweep_interval: Interval,
}
