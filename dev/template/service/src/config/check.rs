//! Values with which the service could not start, or not work.

use std::time::Duration;

use tusk_config::Misfit;

use super::{Settings, SweepSettings};

impl Settings {
    /// What cannot work, section by section. What belongs to routes, queues and handlers is known
    /// where these are.
    pub(crate) fn check(&self) -> Vec<Misfit> {
        let parts = [
            self.calls.check(),
            self.load_balancing.check(),
            self.database.check(),
            self.messaging.rabbitmq.check(&self.telemetry.tracing.environment),
            self.cache.check(),
            self.auth.check(),
            self.keys.check(false),
            self.server.check(),
            self.sweep.check(),
        ];
        parts.into_iter().flatten().collect()
    }
}

impl SweepSettings {
    fn check(&self) -> Vec<Misfit> {
        let bounds = Duration::ZERO..=Duration::from_hours(24 * 3_650);
        let retention = Misfit::outside("sweep.retention", self.retention, bounds);
        let interval = self.interval.check("sweep.interval");
        [retention, interval].into_iter().flatten().collect()
    }
}
