//! Everything the service reads from `config/`: typed, checked at start, all faults at once.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::AuthSettings;
use auth::password::PasswordSettings;
use cache::CacheSettings;
use chassis::{DatabaseSettings, Interval, ServerSettings};
use discovery::ServiceSettings;
use messaging::{ConsumerSettings, MessagingSettings, RabbitSettings, RelaySettings};
use serde::Deserialize;
use telemetry::{LogSettings, SamplingSettings, TelemetrySettings, TracingSettings};

/// The files, without `.tsk`.
pub(crate) const FILES: &[&str] =
    &["services", "database", "message_queue", "cache", "auth", "tracing", "user-service"];

/// The sections of those files that this service uses.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// `services.tsk`: where each service is found; our own version stands there too.
    #[serde(rename = "service:*")]
    pub services: BTreeMap<String, ServiceSettings>,
    /// `database.tsk`.
    pub database: DatabaseSettings,
    /// `message_queue.tsk`: the broker.
    pub rabbitmq: RabbitSettings,
    /// `message_queue.tsk`: queue names by key.
    pub queues: BTreeMap<String, String>,
    /// `message_queue.tsk`: exchange names by key.
    pub exchanges: BTreeMap<String, String>,
    /// `message_queue.tsk`: how the outbox is emptied.
    pub relay: RelaySettings,
    /// `message_queue.tsk`: how the queue is read.
    pub consumer: ConsumerSettings,
    /// `cache.tsk`.
    pub cache: CacheSettings,
    /// `auth.tsk`.
    pub auth: AuthSettings,
    /// `tracing.tsk`.
    pub tracing: TracingSettings,
    /// `tracing.tsk`.
    pub sampling: SamplingSettings,
    /// `tracing.tsk`.
    pub log: LogSettings,
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

impl Settings {
    /// The settings of logs and traces.
    pub fn telemetry(&self) -> TelemetrySettings {
        let (tracing, sampling) = (self.tracing.clone(), self.sampling.clone());
        TelemetrySettings { tracing, sampling, log: self.log.clone() }
    }

    /// The settings of outbox, relay and consumer.
    pub fn messaging(&self) -> MessagingSettings {
        MessagingSettings {
            rabbitmq: self.rabbitmq.clone(),
            queues: self.queues.clone(),
            exchanges: self.exchanges.clone(),
            relay: self.relay.clone(),
            consumer: self.consumer.clone(),
        }
    }
}
