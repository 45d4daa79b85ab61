//! Which notification goes to whom, and what may happen to a notification. Pure: no database, no network.

mod contact;
mod format;
mod kind;
mod mail_text;
mod notification;

pub use contact::{Before, Contact, ContactDetails, ContactUpdate};
pub use kind::{Kind, LinkPurpose};
pub use mail_text::{Content, MailText};
pub use notification::{Draft, Event, Failure, Notification, Status, Token};

/// Why something cannot happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// A field of the request is refused.
    #[error("{pointer} {reason}")]
    Invalid {
        /// JSON pointer to the field.
        pointer: &'static str,
        /// What is wrong; never the value.
        reason: &'static str,
    },
    /// We do not know yet how to reach the user: events of two publishers have no order.
    #[error("the contact is not known yet")]
    UnknownContact,
    /// There is no such notification.
    #[error("there is no such notification")]
    NotFound,
    /// The notification is sent or given up.
    #[error("the notification is settled already")]
    Settled,
}
