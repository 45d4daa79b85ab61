//! Everything the service reads from `config/`: typed, checked at start, all faults at once.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::AuthSettings;
use cache::CacheSettings;
use chassis::{DatabaseSettings, Interval, ServerSettings};
use discovery::ServiceSettings;
use messaging::{ConsumerSettings, MessagingSettings, RabbitSettings, RelaySettings};
use serde::Deserialize;
use telemetry::{LogSettings, SamplingSettings, TelemetrySettings, TracingSettings};

use crate::mailer::MailSettings;

/// The files, without `.tsk`.
pub(crate) const FILES: &[&str] =
    &["services", "database", "message_queue", "cache", "auth", "tracing", "notification-service"];

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
    /// `notification-service.tsk`: where it listens.
    pub server: ServerSettings,
    /// `notification-service.tsk`: how mail goes out.
    pub mail: MailSettings,
    /// `notification-service.tsk`: how pending notifications are taken up.
    pub worker: WorkerSettings,
}

/// Section `[worker]`.
#[derive(Debug, Clone, Deserialize)]
pub struct WorkerSettings {
    /// Notifications sent at a time by one process; 0 counts as 1.
    pub concurrency: usize,
    /// How long a due notification waits at most when nothing woke the worker.
    pub poll_interval: Interval,
    /// How long a notification is left to the worker that took it up; longer than a send may take.
    pub lease: Duration,
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
