//! What the service does with other services' events.

use chassis::Clock;
use contracts::Event;
use contracts::user::{UserCreated, UserDeleted};
use messaging::{Delivery, Handler, Verdict};

use crate::domain::Customer;
use crate::error::Error;
use crate::store::Store;

/// The key of the service's queue in `[queues]`.
pub(crate) const QUEUE: &str = "payment_events";
/// The name under which this consumer's messages are remembered in the inbox.
pub(crate) const NAME: &str = "payment-service";

/// Handles the events of the service's queue.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

impl Handler for Events {
    fn handles(&self) -> &'static [(&'static str, &'static str)] {
        &[(UserCreated::EXCHANGE, UserCreated::TYPE), (UserDeleted::EXCHANGE, UserDeleted::TYPE)]
    }

    async fn handle(&self, delivery: Delivery) -> Verdict {
        self.dispatch(&delivery).await.unwrap_or_else(|verdict| verdict)
    }
}

impl Events {
    async fn dispatch(&self, delivery: &Delivery) -> Result<Verdict, Verdict> {
        let outcome = match delivery.event_type.as_str() {
            UserCreated::TYPE => self.user_created(delivery, &delivery.decode()?).await,
            UserDeleted::TYPE => self.user_deleted(delivery, &delivery.decode()?).await,
            other => return Err(Verdict::dead_letter(format!("no handler for {other}"))),
        };
        Ok(outcome.map_or_else(Verdict::from, |()| Verdict::Ack))
    }

    /// Opens the customer.
    async fn user_created(&self, delivery: &Delivery, event: &UserCreated) -> Result<(), Error> {
        let (id, user, at) = (self.clock.new_id(), event.user_id, delivery.timestamp);
        let open = |before| Customer::opened(before, id, user, at);
        self.store.change_once(&delivery.message_id, user, open).await
    }

    /// Closes the customer.
    async fn user_deleted(&self, delivery: &Delivery, event: &UserDeleted) -> Result<(), Error> {
        let (id, user, at) = (self.clock.new_id(), event.user_id, delivery.timestamp);
        let close = |before| Customer::closed(before, id, user, at);
        self.store.change_once(&delivery.message_id, user, close).await
    }
}
