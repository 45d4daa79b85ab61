//! Values with which the service could not start, or not work.

use std::time::Duration;

use tusk_config::Misfit;

use super::{IdempotencySettings, Settings, SettlementSettings};

/// The longest time of a setting: ten years.
const TIME_MAX: Duration = Duration::from_hours(24 * 3_650);

impl Settings {
    /// What cannot work, section by section. What belongs to routes, queues and handlers is known
    /// where these are.
    pub(crate) fn check(&self) -> Vec<Misfit> {
        // A lease that ends while the provider is asked has another worker ask it too.
        let why = "the calls of one step, each within [gateway] timeout, may take";
        let parts = [
            self.calls.check(),
            self.load_balancing.check(),
            self.database.check(),
            self.messaging.rabbitmq.check(&self.telemetry.tracing.environment),
            self.cache.check(),
            self.auth.check(),
            self.keys.check(false),
            self.server.check(),
            self.gateway.check(),
            self.worker.check(self.gateway.step_max(), why),
            self.settlement.check(),
            self.idempotency.check(),
        ];
        parts.into_iter().flatten().collect()
    }
}

impl SettlementSettings {
    fn check(&self) -> Vec<Misfit> {
        let bounds = Duration::ZERO..=TIME_MAX;
        Vec::from_iter(Misfit::outside("settlement.look_up_for", self.look_up_for, bounds))
    }
}

impl IdempotencySettings {
    fn check(&self) -> Vec<Misfit> {
        let bounds = Duration::from_secs(1)..=TIME_MAX;
        let expiration = Misfit::outside("idempotency.expiration", self.expiration, bounds);
        let interval = self.sweep_interval.check("idempotency.sweep_interval");
        [expiration, interval].into_iter().flatten().collect()
    }
}
