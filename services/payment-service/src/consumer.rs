//! What the service does with other services' events.

use chassis::Clock;
use contracts::user::{UserCreated, UserDeleted};
use messaging::{Delivery, Handlers};

use crate::domain::Customer;
use crate::error::Error;
use crate::store::Store;

/// The key of the service's queue in `[queues]`.
pub(crate) const QUEUE: &str = "payment_events";

/// Handles the events of the service's queue.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

impl Events {
    /// All that comes to the service's queue.
    pub(crate) fn handlers(self) -> Handlers<Self> {
        Handlers::new(self).on(Self::user_created).on(Self::user_deleted)
    }

    /// Opens the customer.
    async fn user_created(self, created: Delivery<UserCreated>) -> Result<(), Error> {
        let id = self.clock.new_id();
        let user = created.data.user_id;
        let at = created.timestamp;
        let open = |before| Customer::opened(before, id, user, at);
        self.store.change_once(&created.inbox_key(), user, open).await
    }

    /// Closes the customer, and erases what the user wrote.
    async fn user_deleted(self, deleted: Delivery<UserDeleted>) -> Result<(), Error> {
        let id = self.clock.new_id();
        let user = deleted.data.user_id;
        let at = deleted.timestamp;
        let close = |before| Customer::closed(before, id, user, at);
        self.store.change_once(&deleted.inbox_key(), user, close).await
    }
}
