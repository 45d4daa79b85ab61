//! What the service does with other services' events.

use chassis::Clock;
// template: if events=payment
use contracts::payment::PaymentCompleted;
// template: end
// template: if events=user
use contracts::user::UserDeleted;
// template: end
use messaging::{Delivery, Handlers};

use crate::domain::Sample;
use crate::error::Error;
use crate::store::Store;

/// The key of the service's queue in `[queues]`.
pub(crate) const QUEUE: &str = "sample_events";

/// Handles the events of the service's queue.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

impl Events {
    /// All that comes to the service's queue.
    pub(crate) fn handlers(self) -> Handlers<Self> {
        Handlers::new(self)
            // template: if events=user
            .on(Self::user_deleted)
            // template: end
            // template: if events=payment
            .on(Self::payment_completed)
        // template: end
    }

    // template: if events=user
    /// Erases what the user made, and confirms it.
    async fn user_deleted(self, deleted: Delivery<UserDeleted>) -> Result<(), Error> {
        let now = self.clock.now();
        let erase = |sample: Sample| sample.erase(now);
        self.store.erase_once(&deleted.inbox_key(), deleted.data.user_id, erase).await
    }
    // template: end

    // template: if events=payment
    /// Closes what the user made: it is paid.
    async fn payment_completed(self, completed: Delivery<PaymentCompleted>) -> Result<(), Error> {
        let now = self.clock.now();
        let close = |sample: Sample| sample.close(now);
        self.store.change_once(&completed.inbox_key(), completed.data.user_id, close).await
    }
    // template: end
}
