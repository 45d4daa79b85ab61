//! What the service does with other services' events.

use contracts::UserId;
use contracts::payment::{PaymentCompleted, PaymentFailed};
use contracts::user::{
    UserCreated, UserDeleted, UserEmailChangeRequested, UserEmailVerificationRequested,
    UserExternalAccountLinked, UserExternalAccountUnlinked, UserPasswordChanged,
    UserPasswordResetRequested, UserRecoveryCodeUsed, UserSecondFactorDisabled,
    UserSecondFactorEnabled, UserSessionReused, UserUpdated,
};
use messaging::inbox::InboxKey;
use messaging::{Delivery, Handlers};

use crate::domain::{
    Before, Contact, ContactDetails, ContactUpdate, DomainError, Draft, MailText, Token,
};
use crate::error::Error;
use crate::store::{ContactDecided, Store};

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
            .on(Self::verification_requested)
            .on(Self::email_change_requested)
            .on(Self::password_reset_requested)
            .on(Self::password_changed)
            .on(Self::session_reused)
            .on(Self::second_factor_enabled)
            .on(Self::second_factor_disabled)
            .on(Self::recovery_code_used)
            .on(Self::external_account_linked)
            .on(Self::external_account_unlinked)
            .on(Self::payment_completed)
            .on(Self::payment_failed)
    }

    /// The contact, and a welcome, in which the user is asked to prove the address.
    async fn user_created(self, created: Delivery<UserCreated>) -> Result<(), Error> {
        let message = created.inbox_key();
        let UserCreated { user_id, email, name, version, token_id, expires_at } = created.data;
        let at = created.timestamp;
        let before = Before::Nothing;
        let token = token_id.zip(expires_at).map(|(id, expires_at)| Token { id, expires_at });
        let update = ContactUpdate {
            details: ContactDetails { email, name },
            version,
            at,
            before,
            reached: false,
        };
        let decide = |known: Option<Contact>| {
            let contact = Contact::updated(known, user_id, update.clone());
            // The token is for the address with which the user registered, and proves no later one.
            let address = contact.details.as_ref().map(|details| &details.email);
            let token = token.filter(|_| address == Some(&update.details.email));
            let welcome = MailText::Welcome(token.map(|token| token.expires_at - at));
            let drafts = write_to(&contact, welcome, token);
            Ok((contact, drafts))
        };
        self.store.change_once(&message, user_id, decide).await
    }

    /// The contact; when the address changed, a notice to the address before.
    async fn user_updated(self, updated: Delivery<UserUpdated>) -> Result<(), Error> {
        let message = updated.inbox_key();
        let UserUpdated { user_id, email, name, previous_email, version, changed } = updated.data;
        let notice = previous_email.clone().map(|previous| Draft {
            email: previous,
            // Not the user's own any more.
            version: None,
            message: MailText::EmailChanged,
            token: None,
        });
        let at = updated.timestamp;
        let before = previous_email.into();
        let reached = changed.iter().any(|field| field == "email_deliverable");
        let update =
            ContactUpdate { details: ContactDetails { email, name }, version, at, before, reached };
        let decide = |known: Option<Contact>| {
            let contact = Contact::updated(known, user_id, update.clone());
            let drafts = notice.iter().filter(|_| contact.details.is_some()).cloned().collect();
            Ok((contact, drafts))
        };
        self.store.change_once(&message, user_id, decide).await
    }

    /// Forgets how to reach the user, and confirms it.
    async fn user_deleted(self, deleted: Delivery<UserDeleted>) -> Result<(), Error> {
        let gone = Contact::gone(deleted.data.user_id, deleted.timestamp);
        self.store.forget_once(&deleted.inbox_key(), gone).await
    }

    /// A mail with which an address is proven, to that address.
    async fn verification_requested(
        self,
        requested: Delivery<UserEmailVerificationRequested>,
    ) -> Result<(), Error> {
        let cause = requested.inbox_key();
        let at = requested.timestamp;
        let UserEmailVerificationRequested { user_id, token_id, expires_at, version, .. } =
            requested.data;
        let email = requested.data.email;
        let is_change = requested.data.is_change;
        let mail = if is_change { MailText::EmailChange } else { MailText::EmailVerification };
        let draft = Draft {
            email,
            // Not the user's own yet.
            version: version.filter(|_| !is_change),
            message: mail(expires_at - at),
            token: Some(Token { id: token_id, expires_at }),
        };
        self.send(&cause, user_id, draft).await
    }

    /// A notice to the address that the user has.
    async fn email_change_requested(
        self,
        requested: Delivery<UserEmailChangeRequested>,
    ) -> Result<(), Error> {
        let user = requested.data.user_id;
        self.notify(&requested.inbox_key(), user, MailText::EmailChangeRequested).await
    }

    /// A mail with which another password is set.
    async fn password_reset_requested(
        self,
        requested: Delivery<UserPasswordResetRequested>,
    ) -> Result<(), Error> {
        let cause = requested.inbox_key();
        let at = requested.timestamp;
        let UserPasswordResetRequested { user_id, email, token_id, expires_at, version } =
            requested.data;
        let message = MailText::PasswordReset(expires_at - at);
        let token = Some(Token { id: token_id, expires_at });
        self.send(&cause, user_id, Draft { email, version, message, token }).await
    }

    /// A notice of another password.
    async fn password_changed(self, changed: Delivery<UserPasswordChanged>) -> Result<(), Error> {
        self.notify(&changed.inbox_key(), changed.data.user_id, MailText::PasswordChanged).await
    }

    /// A notice that somebody else may have been signed in.
    async fn session_reused(self, reused: Delivery<UserSessionReused>) -> Result<(), Error> {
        self.notify(&reused.inbox_key(), reused.data.user_id, MailText::SessionReused).await
    }

    /// A notice that codes are asked for.
    async fn second_factor_enabled(
        self,
        enabled: Delivery<UserSecondFactorEnabled>,
    ) -> Result<(), Error> {
        self.notify(&enabled.inbox_key(), enabled.data.user_id, MailText::SecondFactorEnabled).await
    }

    /// A notice that codes are not asked for any more.
    async fn second_factor_disabled(
        self,
        disabled: Delivery<UserSecondFactorDisabled>,
    ) -> Result<(), Error> {
        self.notify(&disabled.inbox_key(), disabled.data.user_id, MailText::SecondFactorDisabled)
            .await
    }

    /// A notice that a recovery code was used.
    async fn recovery_code_used(self, used: Delivery<UserRecoveryCodeUsed>) -> Result<(), Error> {
        let notice = MailText::RecoveryCodeUsed { left: used.data.left };
        self.notify(&used.inbox_key(), used.data.user_id, notice).await
    }

    /// A notice that an account elsewhere lets the user in.
    async fn external_account_linked(
        self,
        linked: Delivery<UserExternalAccountLinked>,
    ) -> Result<(), Error> {
        let user = linked.data.user_id;
        self.notify(&linked.inbox_key(), user, MailText::ExternalAccountLinked).await
    }

    /// A notice that an account elsewhere lets the user in no more.
    async fn external_account_unlinked(
        self,
        unlinked: Delivery<UserExternalAccountUnlinked>,
    ) -> Result<(), Error> {
        let user = unlinked.data.user_id;
        self.notify(&unlinked.inbox_key(), user, MailText::ExternalAccountUnlinked).await
    }

    /// A receipt.
    async fn payment_completed(self, completed: Delivery<PaymentCompleted>) -> Result<(), Error> {
        let cause = completed.inbox_key();
        let PaymentCompleted { payment_id, user_id, amount, currency } = completed.data;
        let payment = payment_id.to_string();
        let receipt = MailText::PaymentReceipt { payment, amount, currency };
        self.notify(&cause, user_id, receipt).await
    }

    /// A notice of what went wrong.
    async fn payment_failed(self, failed: Delivery<PaymentFailed>) -> Result<(), Error> {
        let cause = failed.inbox_key();
        let PaymentFailed { payment_id, user_id, amount, currency, reason, .. } = failed.data;
        let payment = payment_id.to_string();
        let notice = MailText::PaymentFailure { payment, amount, currency, reason };
        self.notify(&cause, user_id, notice).await
    }

    /// Sends what goes to an address that the event names, as long as the user is there.
    async fn send(&self, cause: &InboxKey, user: UserId, draft: Draft) -> Result<(), Error> {
        let decide = |before: Option<Contact>| -> ContactDecided {
            let contact = before.ok_or(DomainError::UnknownContact)?;
            let drafts = contact.details.iter().map(|_| draft.clone()).collect();
            Ok((contact, drafts))
        };
        self.store.change_once(cause, user, decide).await
    }

    /// Notifies a user whose contact must be known by now, or soon.
    async fn notify(&self, cause: &InboxKey, user: UserId, message: MailText) -> Result<(), Error> {
        let decide = |before: Option<Contact>| -> ContactDecided {
            let contact = before.ok_or(DomainError::UnknownContact)?;
            let drafts = write_to(&contact, message.clone(), None);
            Ok((contact, drafts))
        };
        self.store.change_once(cause, user, decide).await
    }
}

/// The message to the contact; nothing when the user is gone, or when mail is refused there and the
/// message is not about the account itself.
fn write_to(contact: &Contact, message: MailText, token: Option<Token>) -> Vec<Draft> {
    if contact.undeliverable && !message.kind().is_essential() {
        tracing::info!(
            notification.kind = message.kind().as_str(),
            "a notification is left out: mail to the user's address was refused"
        );
        return Vec::new();
    }
    let details = contact.details.clone();
    let version = contact.version;
    let draft = |ContactDetails { email, .. }| Draft { email, version, message, token };
    details.map(draft).into_iter().collect()
}
