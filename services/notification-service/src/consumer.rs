//! What the service does with other services' events.

use contracts::payment::{PaymentCompleted, PaymentFailed};
use contracts::user::{UserCreated, UserDeleted, UserUpdated};
use contracts::{Event, UserId};
use messaging::{Delivery, Handler, Verdict};

use crate::domain::{Contact, DomainError, Draft, Message};
use crate::error::Error;
use crate::store::{Store, Told};

/// The key of the service's queue in `[queues]`.
pub(crate) const QUEUE: &str = "notification_events";
/// The name under which this consumer's messages are remembered in the inbox.
pub(crate) const NAME: &str = "notification-service";

/// Handles the events of the service's queue.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) store: Store,
}

impl Handler for Events {
    fn handles(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (UserCreated::EXCHANGE, UserCreated::TYPE),
            (UserUpdated::EXCHANGE, UserUpdated::TYPE),
            (UserDeleted::EXCHANGE, UserDeleted::TYPE),
            (PaymentCompleted::EXCHANGE, PaymentCompleted::TYPE),
            (PaymentFailed::EXCHANGE, PaymentFailed::TYPE),
        ]
    }

    async fn handle(&self, delivery: Delivery) -> Verdict {
        self.dispatch(&delivery).await.unwrap_or_else(|verdict| verdict)
    }
}

impl Events {
    async fn dispatch(&self, delivery: &Delivery) -> Result<Verdict, Verdict> {
        let outcome = match delivery.event_type.as_str() {
            UserCreated::TYPE => self.user_created(delivery, delivery.decode()?).await,
            UserUpdated::TYPE => self.user_updated(delivery, delivery.decode()?).await,
            UserDeleted::TYPE => self.user_deleted(delivery, &delivery.decode()?).await,
            PaymentCompleted::TYPE => self.payment_completed(delivery, delivery.decode()?).await,
            PaymentFailed::TYPE => self.payment_failed(delivery, delivery.decode()?).await,
            other => return Err(Verdict::dead_letter(format!("no handler for {other}"))),
        };
        Ok(outcome.map_or_else(Verdict::from, |()| Verdict::Ack))
    }

    /// The contact, and a welcome.
    async fn user_created(&self, delivery: &Delivery, event: UserCreated) -> Result<(), Error> {
        let at = delivery.timestamp;
        let decide = |before: Option<Contact>| {
            let UserCreated { user_id, email, name } = event;
            let contact = Contact::told(before, user_id, email, name, at);
            let drafts = write_to(&contact, Message::Welcome);
            Ok((contact, drafts))
        };
        self.store.change_once(&delivery.message_id, event.user_id, decide).await
    }

    /// The contact; when the address changed, a notice to the address before.
    async fn user_updated(&self, delivery: &Delivery, event: UserUpdated) -> Result<(), Error> {
        let at = delivery.timestamp;
        let decide = |before: Option<Contact>| {
            let UserUpdated { user_id, email, name, previous_email, .. } = event;
            let notice = previous_email.map(|previous| Draft {
                email: previous,
                name: name.clone(),
                message: Message::EmailChanged,
            });
            let contact = Contact::told(before, user_id, email, name, at);
            let drafts = notice.into_iter().filter(|_| contact.reach.is_some()).collect();
            Ok((contact, drafts))
        };
        self.store.change_once(&delivery.message_id, event.user_id, decide).await
    }

    /// Forgets how to reach the user.
    async fn user_deleted(&self, delivery: &Delivery, event: &UserDeleted) -> Result<(), Error> {
        let gone = Contact::gone(event.user_id, delivery.timestamp);
        self.store.change_once(&delivery.message_id, event.user_id, |_| Ok((gone, vec![]))).await
    }

    async fn payment_completed(
        &self,
        delivery: &Delivery,
        event: PaymentCompleted,
    ) -> Result<(), Error> {
        let PaymentCompleted { payment_id, user_id, amount, currency } = event;
        let payment = payment_id.to_string();
        self.tell(delivery, user_id, Message::PaymentReceipt { payment, amount, currency }).await
    }

    async fn payment_failed(&self, delivery: &Delivery, event: PaymentFailed) -> Result<(), Error> {
        let PaymentFailed { payment_id, user_id, amount, currency, reason, .. } = event;
        let payment = payment_id.to_string();
        let message = Message::PaymentFailure { payment, amount, currency, reason };
        self.tell(delivery, user_id, message).await
    }

    /// Tells a user whose contact must be known by now, or soon.
    async fn tell(&self, of: &Delivery, user: UserId, message: Message) -> Result<(), Error> {
        let decide = |before: Option<Contact>| -> Told {
            let contact = before.ok_or(DomainError::UnknownContact)?;
            let drafts = write_to(&contact, message);
            Ok((contact, drafts))
        };
        self.store.change_once(&of.message_id, user, decide).await
    }
}

/// The message to the contact; nothing when the user is gone.
fn write_to(contact: &Contact, message: Message) -> Vec<Draft> {
    let reach = contact.reach.clone();
    reach.map(|reach| Draft { email: reach.email, name: reach.name, message }).into_iter().collect()
}
