//! Everything the service reads from `config/`: typed, checked at start, all faults at once.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::ServiceSecret;
use chassis::Interval;
use serde::Deserialize;
use tusk_config::{Unread, ValidationError};

/// What the service reads besides [`platform::PlatformSettings`].
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// `auth.tsk`: what this service proves itself with.
    #[serde(rename = "services")]
    pub service_secret: OwnSecret,
    /// `sample-service.tsk`: how long what is closed is kept.
    pub sweep: SweepSettings,
}

impl Settings {
    /// What of the service's own settings cannot work, each with its place.
    pub(crate) fn check(&self) -> Vec<ValidationError> {
        let bounds = Duration::ZERO..=Duration::from_hours(24 * 3_650);
        let retention = ValidationError::outside("sweep.retention", self.sweep.retention, bounds);
        let interval = self.sweep.interval.check("sweep.interval");
        [retention, interval].into_iter().flatten().collect()
    }
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
