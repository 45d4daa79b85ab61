//! What the service does with other services' events.

use chassis::Clock;
use contracts::notification::NotificationFailed;
use messaging::{Delivery, Handlers};

use crate::domain::User;
use crate::error::Error;
use crate::store::Store;

/// The key of the service's queue in `[queues]`.
pub(crate) const QUEUE: &str = "user_events";

/// Handles the events of the service's queue.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

impl Events {
    /// All that comes to the service's queue.
    pub(crate) fn handlers(self) -> Handlers<Self> {
        Handlers::new(self).on(Self::notification_failed)
    }

    /// A permanent failure marks the address that failed undeliverable.
    async fn notification_failed(self, failed: Delivery<NotificationFailed>) -> Result<(), Error> {
        let event = &failed.data;
        if !event.permanent || event.channel != "email" {
            return Ok(());
        }
        let now = self.clock.now();
        let mark = |user: User| user.mark_undeliverable(event.user_version, now);
        self.store.change_once(&failed.inbox_key(), event.user_id, mark).await
    }
}
