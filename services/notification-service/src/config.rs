//! Everything the service reads from `config/`: typed, checked at start, all faults at once.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::ServiceSecret;
use chassis::Interval;
use chassis::worker::WorkerSettings;
use platform::PlatformSettings;
use serde::Deserialize;
use tusk_config::{Unread, ValidationError};

use crate::links::LinkSettings;
use crate::mailer::MailSettings;

/// What the service reads besides [`platform::PlatformSettings`].
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// `auth.tsk`: what this service proves itself with.
    #[serde(rename = "services")]
    pub service_secret: OwnSecret,
    /// `notification-service.tsk`: how mail goes out.
    pub mail: MailSettings,
    /// `notification-service.tsk`: where the links of mails lead.
    pub links: LinkSettings,
    /// `notification-service.tsk`: how pending notifications are taken up.
    pub worker: WorkerSettings,
    /// `notification-service.tsk`: how long notifications are kept.
    pub notifications: NotificationSettings,
}

impl Settings {
    /// Which of its own sections cannot work.
    pub(crate) fn check(&self, platform: &PlatformSettings) -> Vec<ValidationError> {
        // A lease that ends while the mail is on its way has another worker send it too.
        let why = "sending one mail, within [mail] send_timeout, may take";
        let mut errors = self.mail.check(platform.requires_tls());
        errors.extend(self.links.check(platform.requires_tls()));
        errors.extend(self.worker.check(self.mail.send_timeout, why));
        errors.extend(self.notifications.check(platform.messaging.consumer.inbox_retention));
        errors
    }
}

/// Section `[notifications]`.
#[derive(Debug, Clone, Deserialize)]
pub struct NotificationSettings {
    /// How long one is kept that was sent or given up: no shorter than a message is known again, which
    /// would make it once more.
    pub retention: Duration,
    /// How often older ones are removed.
    pub sweep_interval: Interval,
}

impl NotificationSettings {
    fn check(&self, inbox_retention: Duration) -> Vec<ValidationError> {
        let bounds = inbox_retention..=Duration::from_hours(24 * 3_650);
        let retention = ValidationError::outside("notifications.retention", self.retention, bounds);
        let interval = self.sweep_interval.check("notifications.sweep_interval");
        retention.into_iter().chain(interval).collect()
    }
}

/// Section `[services]`, of which a service reads its own part only.
#[derive(Debug, Clone, Deserialize)]
pub struct OwnSecret {
    /// What this service proves itself with when it asks user-service for a token.
    pub notification_service_token: ServiceSecret,
    /// Not ours to know.
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "the values are what is not read")]
    pub of_others: BTreeMap<String, Unread>,
}
