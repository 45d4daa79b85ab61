//! What the service does with other services' events.

use std::time::Duration;

use chassis::Clock;
use contracts::user::{UserCreated, UserDeleted};
use messaging::{Delivery, Handlers};

use crate::domain::Customer;
use crate::error::Error;
use crate::store::Store;

/// The key of the service's queue in `[queues]`.
pub(crate) const QUEUE: &str = "payment_events";

/// So many registrations at most open their customers in one transaction.
const BATCH: usize = 20;
/// So long a registration waits for others. Nobody waits for the customer: who pays before it is there
/// pays.
const LINGER: Duration = Duration::from_millis(20);

/// Handles the events of the service's queue.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

impl Events {
    /// All that comes to the service's queue.
    pub(crate) fn handlers(self) -> Handlers<Self> {
        Handlers::new(self).on_batch(BATCH, LINGER, Self::users_created).on(Self::user_deleted)
    }

    /// Opens the customers. Together, since thousands wait after an import of users or an outage, and a
    /// transaction of its own is most of what one of them costs.
    async fn users_created(self, created: Vec<Delivery<UserCreated>>) -> Result<(), Error> {
        let open = |one: &Delivery<UserCreated>| {
            Customer::opened(None, self.clock.new_id(), one.data.user_id, one.timestamp)
        };
        self.store.open_once(created, open).await
    }

    /// Closes the customer, erases what the user wrote, and confirms it.
    async fn user_deleted(self, deleted: Delivery<UserDeleted>) -> Result<(), Error> {
        let id = self.clock.new_id();
        let user = deleted.data.user_id;
        let at = deleted.timestamp;
        let close = |before| Customer::closed(before, id, user, at);
        self.store.close_once(&deleted.inbox_key(), user, close).await
    }
}
