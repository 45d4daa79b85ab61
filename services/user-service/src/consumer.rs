//! What the service does with other services' events.

use contracts::Event;
use contracts::notification::NotificationFailed;
use messaging::{Delivery, Handler, Verdict};

use chassis::Clock;

use crate::error::Error;
use crate::store::Store;

/// The key of the service's queue in `[queues]`.
pub(crate) const QUEUE: &str = "user_events";
/// The name under which this consumer's messages are remembered in the inbox.
pub(crate) const NAME: &str = "user-service";

/// Handles the events of the service's queue.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

impl Handler for Events {
    fn handles(&self) -> &'static [(&'static str, &'static str)] {
        &[(NotificationFailed::EXCHANGE, NotificationFailed::TYPE)]
    }

    async fn handle(&self, delivery: Delivery) -> Verdict {
        let outcome = match delivery.event_type.as_str() {
            NotificationFailed::TYPE => match delivery.decode() {
                Ok(event) => self.notification_failed(&delivery, &event).await,
                Err(verdict) => return verdict,
            },
            other => return Verdict::dead_letter(format!("no handler for {other}")),
        };
        outcome.map_or_else(Verdict::from, |()| Verdict::Ack)
    }
}

impl Events {
    /// A permanent failure marks the address undeliverable.
    async fn notification_failed(
        &self,
        delivery: &Delivery,
        event: &NotificationFailed,
    ) -> Result<(), Error> {
        if !event.permanent || event.channel != "email" {
            return Ok(());
        }
        let now = self.clock.now();
        let mark = |user: crate::domain::User| user.mark_undeliverable(now);
        self.store.change_once(&delivery.message_id, event.user_id, mark).await
    }
}
