//! What the service does with other services' events.

use contracts::UserId;
use contracts::payment::{PaymentCompleted, PaymentFailed};
use contracts::user::{UserCreated, UserDeleted, UserUpdated};
use messaging::inbox::InboxKey;
use messaging::{Delivery, Handlers};

use crate::domain::{Before, Contact, DomainError, Draft, Message, News, Reach};
use crate::error::Error;
use crate::store::{Store, Told};

/// The key of the service's queue in `[queues]`.
pub(crate) const QUEUE: &str = "notification_events";

/// Handles the events of the service's queue.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) store: Store,
}

impl Events {
    /// All that comes to the service's queue.
    pub(crate) fn handlers(self) -> Handlers<Self> {
        Handlers::new(self)
            .on(Self::user_created)
            .on(Self::user_updated)
            .on(Self::user_deleted)
            .on(Self::payment_completed)
            .on(Self::payment_failed)
    }

    /// The contact, and a welcome.
    async fn user_created(self, created: Delivery<UserCreated>) -> Result<(), Error> {
        let message = created.inbox_key();
        let UserCreated { user_id, email, name, version } = created.data;
        let (at, before) = (created.timestamp, Before::Nothing);
        let news = News { reach: Reach { email, name }, version, at, before };
        let decide = |known: Option<Contact>| {
            let contact = Contact::told(known, user_id, news.clone());
            let drafts = write_to(&contact, Message::Welcome);
            Ok((contact, drafts))
        };
        self.store.change_once(&message, user_id, decide).await
    }

    /// The contact; when the address changed, a notice to the address before.
    async fn user_updated(self, updated: Delivery<UserUpdated>) -> Result<(), Error> {
        let message = updated.inbox_key();
        let UserUpdated { user_id, email, name, previous_email, version, .. } = updated.data;
        let notice = previous_email.clone().map(|previous| Draft {
            email: previous,
            // Not the user's own any more.
            version: None,
            message: Message::EmailChanged,
        });
        let (at, before) = (updated.timestamp, previous_email.into());
        let news = News { reach: Reach { email, name }, version, at, before };
        let decide = |known: Option<Contact>| {
            let contact = Contact::told(known, user_id, news.clone());
            let drafts = notice.iter().filter(|_| contact.reach.is_some()).cloned().collect();
            Ok((contact, drafts))
        };
        self.store.change_once(&message, user_id, decide).await
    }

    /// Forgets how to reach the user.
    async fn user_deleted(self, deleted: Delivery<UserDeleted>) -> Result<(), Error> {
        let user = deleted.data.user_id;
        let gone = Contact::gone(user, deleted.timestamp);
        self.store.change_once(&deleted.inbox_key(), user, |_| Ok((gone.clone(), vec![]))).await
    }

    /// A receipt.
    async fn payment_completed(self, completed: Delivery<PaymentCompleted>) -> Result<(), Error> {
        let why = completed.inbox_key();
        let PaymentCompleted { payment_id, user_id, amount, currency } = completed.data;
        let payment = payment_id.to_string();
        let receipt = Message::PaymentReceipt { payment, amount, currency };
        self.tell(&why, user_id, receipt).await
    }

    /// A notice of what went wrong.
    async fn payment_failed(self, failed: Delivery<PaymentFailed>) -> Result<(), Error> {
        let why = failed.inbox_key();
        let PaymentFailed { payment_id, user_id, amount, currency, reason, .. } = failed.data;
        let payment = payment_id.to_string();
        let notice = Message::PaymentFailure { payment, amount, currency, reason };
        self.tell(&why, user_id, notice).await
    }

    /// Tells a user whose contact must be known by now, or soon.
    async fn tell(&self, why: &InboxKey, user: UserId, message: Message) -> Result<(), Error> {
        let decide = |before: Option<Contact>| -> Told {
            let contact = before.ok_or(DomainError::UnknownContact)?;
            let drafts = write_to(&contact, message.clone());
            Ok((contact, drafts))
        };
        self.store.change_once(why, user, decide).await
    }
}

/// The message to the contact; nothing when the user is gone.
fn write_to(contact: &Contact, message: Message) -> Vec<Draft> {
    let reach = contact.reach.clone();
    let version = contact.version;
    let draft = |Reach { email, .. }| Draft { email, version, message };
    reach.map(draft).into_iter().collect()
}
