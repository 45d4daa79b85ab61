//! Values with which the service could not start, or not work.

use tusk_config::Misfit;

use super::Settings;

impl Settings {
    /// What cannot work, section by section. What belongs to routes, queues and handlers is known
    /// where these are.
    pub(crate) fn check(&self) -> Vec<Misfit> {
        // A lease that ends while the mail is on its way has another worker send it too.
        let why = "sending one mail, within [mail] send_timeout, may take";
        let parts = [
            self.calls.check(),
            self.load_balancing.check(),
            self.database.check(),
            self.messaging.rabbitmq.check(&self.telemetry.tracing.environment),
            self.cache.check(),
            self.auth.check(),
            self.keys.check(false),
            self.server.check(),
            self.mail.check(),
            self.worker.check(self.mail.send_timeout, why),
        ];
        parts.into_iter().flatten().collect()
    }
}
