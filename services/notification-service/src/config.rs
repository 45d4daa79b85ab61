//! Everything the service reads from `config/`: typed, checked at start, all faults at once.

use std::collections::BTreeMap;

use auth::AuthSettings;
use cache::CacheSettings;
use chassis::worker::WorkerSettings;
use chassis::{DatabaseSettings, ServerSettings};
use discovery::ServiceSettings;
use messaging::MessagingSettings;
use serde::Deserialize;
use telemetry::TelemetrySettings;

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
    /// `message_queue.tsk`: the broker, its names, and how outbox and queue are worked on.
    #[serde(flatten)]
    pub messaging: MessagingSettings,
    /// `cache.tsk`.
    pub cache: CacheSettings,
    /// `auth.tsk`.
    pub auth: AuthSettings,
    /// `tracing.tsk`: logs and traces.
    #[serde(flatten)]
    pub telemetry: TelemetrySettings,
    /// `notification-service.tsk`: where it listens.
    pub server: ServerSettings,
    /// `notification-service.tsk`: how mail goes out.
    pub mail: MailSettings,
    /// `notification-service.tsk`: how pending notifications are taken up.
    pub worker: WorkerSettings,
}
