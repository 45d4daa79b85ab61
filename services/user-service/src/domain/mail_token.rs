//! A token that goes to an address by mail: whoever shows it reads what comes to that address.
//!
//! It is good once, for one purpose, at the address that it was sent to, and for a while. Several of one
//! purpose may be good at a time: were it the newest alone, a stranger who asks for another would make the
//! owner's worthless before it is read. The use of one ends the others.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Email;

/// A token that was asked for: what is known of it before it is known what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewToken {
    /// Its id, from which the token is made.
    pub id: Uuid,
    /// When it is no longer good.
    pub expires_at: DateTime<Utc>,
}

/// A token, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailToken {
    /// Its id, from which the token is made.
    pub id: Uuid,
    /// What it is good for.
    pub purpose: Purpose,
    /// Where it is sent.
    pub email: Email,
    /// When it is no longer good.
    pub expires_at: DateTime<Utc>,
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Proves the user's address, or the one that it is to become.
    Verification,
    /// Sets another password.
    PasswordReset,
}

impl Purpose {
    /// The word for it, in the table and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::PasswordReset => "password_reset",
        }
    }
}

impl NewToken {
    /// The token for this purpose, sent to this address.
    pub(super) fn sent_to(self, email: &Email, purpose: Purpose) -> MailToken {
        let Self { id, expires_at } = self;
        MailToken { id, purpose, email: email.clone(), expires_at }
    }
}
