//! Section `[audit]` of `auth.tsk`.

use std::time::Duration;

use chassis::Interval;
use serde::Deserialize;
use tusk_config::ValidationError;

/// How long the trail is kept.
#[derive(Debug, Clone, Deserialize)]
pub struct AuditSettings {
    /// How long an entry is kept: an hour to ten years.
    pub retention: Duration,
    /// How often older ones are removed.
    pub sweep_interval: Interval,
}

impl AuditSettings {
    pub(crate) fn check(&self) -> Vec<ValidationError> {
        let bounds = Duration::from_hours(1)..=Duration::from_hours(24 * 3_650);
        let retention = ValidationError::outside("audit.retention", self.retention, bounds);
        let interval = self.sweep_interval.check("audit.sweep_interval");
        [retention, interval].into_iter().flatten().collect()
    }
}
