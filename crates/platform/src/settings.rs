//! The sections of the files that all services share, and of each one's own file the chassis' part.

use std::collections::BTreeMap;

use auth::{AuthSettings, KeySettings, PolicySettings};
use cache::CacheSettings;
use chassis::{CorsSettings, DatabaseSettings, ManagementSettings, ServerSettings};
use discovery::{DiscoverySettings, LoadBalancingSettings, ServiceSettings, ServiceTls};
use messaging::MessagingSettings;
use rate_limit::RateLimitSettings;
use serde::Deserialize;
use service_client::ClientSettings;
use telemetry::TelemetrySettings;

use crate::audit::AuditSettings;

/// The files of `config/` that services share, without `.tsk`, and the kinds of their sections: a
/// service reads some of them and cannot know a misspelt one from another's. A service's own file
/// comes after them, and the later one wins.
pub(crate) const SHARED_FILES: [(&str, &[&str]); 8] = [
    ("services", &["service"]),
    (
        "microservices",
        &["circuit_breaker", "client", "retry", "service_discovery", "service_tls", "tls"],
    ),
    ("scaling", &["load_balancing", "scaling"]),
    ("database", &["database"]),
    (
        "message_queue",
        &[
            "consumer",
            "exchanges",
            "outbox",
            "queue",
            "queues",
            "rabbitmq",
            "relay",
            "subscriptions",
        ],
    ),
    ("cache", &["cache"]),
    ("auth", &["audit", "auth", "keys", "policy", "services"]),
    ("tracing", &["log", "sampling", "tracing"]),
];

/// Where they are listed, for whoever adds a section.
pub(crate) const SHARED_FILES_PLACE: &str = concat!("SHARED_FILES of ", file!());

/// What a [`Platform`](crate::Platform) is set up by.
#[derive(Debug, Clone, Deserialize)]
pub struct PlatformSettings {
    /// `services.tsk`: where each service is found; our own version stands there too.
    #[serde(rename = "service:*")]
    pub services: BTreeMap<String, ServiceSettings>,
    /// `microservices.tsk`: where instances come from, and whether we register as one.
    pub service_discovery: DiscoverySettings,
    /// `microservices.tsk`: how calls to other services are guarded.
    #[serde(flatten)]
    pub calls: ClientSettings,
    /// `microservices.tsk`: whom to trust where other services are spoken to over TLS, and who we are.
    #[serde(default)]
    pub service_tls: ServiceTls,
    /// `microservices.tsk`: where servers must be spoken to over TLS.
    #[serde(default)]
    pub tls: TlsSettings,
    /// `scaling.tsk`: where this instance runs, and how one of several others is picked.
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
    /// `auth.tsk`: how long the audit trail is kept.
    pub audit: AuditSettings,
    /// `auth.tsk`: what they are signed with.
    pub keys: KeySettings,
    /// `auth.tsk`: who may call which route.
    pub policy: PolicySettings,
    /// `tracing.tsk`: logs and traces.
    #[serde(flatten)]
    pub telemetry: TelemetrySettings,
    /// The service's own file: where it listens, and what it takes on.
    pub server: ServerSettings,
    /// The service's own file: where operators are answered; left out, where everybody is.
    #[serde(default)]
    pub management: ManagementSettings,
    /// The service's own file: the limits of its routes.
    pub rate_limit: RateLimitSettings,
    /// The service's own file: which pages of other origins may call.
    #[serde(default)]
    pub cors: CorsSettings,
}

/// Section `[tls]`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct TlsSettings {
    /// The environments, as `[tracing] environment` names them, in which PostgreSQL, RabbitMQ, Redis, the
    /// collector and the mail server must be spoken to over TLS, unless they are on this machine.
    pub required_in: Vec<String>,
}

impl PlatformSettings {
    /// Whether servers on other machines must be spoken to over TLS here.
    pub fn requires_tls(&self) -> bool {
        self.tls.required_in.contains(&self.telemetry.tracing.environment)
    }
}

/// All settings of a service: what every service reads, and what is its own.
#[derive(Debug, Clone)]
pub struct Settings<T> {
    /// What every service reads.
    pub platform: PlatformSettings,
    /// What is the service's own.
    pub own: T,
}
