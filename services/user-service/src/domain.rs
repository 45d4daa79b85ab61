//! What a user is and what may happen to one. Pure: no database, no network, no clock of its own.

mod email;
mod mail_token;
mod name;
mod password;
mod proofs;
mod second_factor;
mod session;
mod user;

pub use email::{Email, account_of};
pub use mail_token::{MailToken, NewToken, Purpose};
pub use name::Name;
pub use password::{PASSWORD_CHARS, Password};
pub use second_factor::Code;
pub use session::{Presented, Refresh, Session, device};
pub use user::{Change, Event, Status, User};

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
    /// Another user has the address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// There is no such user, or none any more.
    #[error("there is no such user")]
    NotFound,
    /// The token that came by mail is not known, was used, or its time is up.
    #[error("the token is not known, was used, or its time is up")]
    WrongToken,
    /// The flow by an external issuer is not known, was used, is another browser's or session's, or its time is up.
    #[error("the flow is not known, was used, or its time is up")]
    WrongFlow,
    /// The account at the external issuer is linked to a user, or the user has another one there.
    #[error("the external account is linked already")]
    ExternalAccountTaken,
    /// The user has no such account at an external issuer.
    #[error("there is no such external account")]
    NoExternalAccount,
    /// The user's second factor is on already.
    #[error("the second factor is on already")]
    SecondFactorOn,
    /// The user has no second factor, or none that waits for its first code.
    #[error("there is no second factor")]
    NoSecondFactor,
    /// A newer version of the service keeps the user in a status that this one does not know: it
    /// decides nothing about it.
    #[error("the user is in a status that this version does not know")]
    UnknownStatus,
    /// Nobody else is an administrator.
    #[error("there is no other administrator")]
    LastAdministrator,
    /// The user changed since the caller read it.
    #[error("the user has changed since it was read")]
    Stale,
}

impl DomainError {
    /// What is shown at `pointer` of the request is not the user's password.
    pub(crate) fn wrong_password(pointer: &'static str) -> Self {
        Self::Invalid { pointer, reason: "is not the password" }
    }
}
