//! Values with which the service could not start, or not work.

use std::time::Duration;

use auth::ServiceSecret;
use tusk_config::Misfit;

use super::{SessionSettings, Settings};

impl Settings {
    /// What cannot work, section by section. What belongs to routes, queues and handlers is known
    /// where these are.
    pub(crate) fn check(&self) -> Vec<Misfit> {
        let parts = [
            self.load_balancing.check(),
            self.database.check(),
            self.messaging.rabbitmq.check(&self.telemetry.tracing.environment),
            self.cache.check(),
            self.auth.check(),
            self.keys.check(true),
            ServiceSecret::check(&self.service_secrets, self.services.keys()),
            self.server.check(),
            self.password.check(),
            self.sessions.check(),
        ];
        parts.into_iter().flatten().collect()
    }
}

impl SessionSettings {
    fn check(&self) -> Vec<Misfit> {
        let bounds = Duration::from_secs(1)..=Duration::from_hours(24 * 3_650);
        let expiration =
            Misfit::outside("sessions.refresh_expiration", self.refresh_expiration, bounds);
        let interval = self.sweep_interval.check("sessions.sweep_interval");
        [expiration, interval].into_iter().flatten().collect()
    }
}
