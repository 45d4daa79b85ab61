//! The kinds of notifications: their names, and the rules that hold for all of a kind.

#[cfg(doc)]
use super::MailText;

/// The kind of a notification, as it stands in the table, in the API and in events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// [`MailText::Welcome`]
    Welcome,
    /// [`MailText::EmailVerification`]
    EmailVerification,
    /// [`MailText::EmailChange`]
    EmailChange,
    /// [`MailText::EmailChangeRequested`]
    EmailChangeRequested,
    /// [`MailText::EmailChanged`]
    EmailChanged,
    /// [`MailText::PasswordReset`]
    PasswordReset,
    /// [`MailText::PasswordChanged`]
    PasswordChanged,
    /// [`MailText::SessionReused`]
    SessionReused,
    /// [`MailText::SecondFactorEnabled`]
    SecondFactorEnabled,
    /// [`MailText::SecondFactorDisabled`]
    SecondFactorDisabled,
    /// [`MailText::RecoveryCodeUsed`]
    RecoveryCodeUsed,
    /// [`MailText::ExternalAccountLinked`]
    ExternalAccountLinked,
    /// [`MailText::ExternalAccountUnlinked`]
    ExternalAccountUnlinked,
    /// [`MailText::PaymentReceipt`]
    PaymentReceipt,
    /// [`MailText::PaymentFailure`]
    PaymentFailure,
    /// [`MailText::Custom`]
    Message,
    /// One of a newer version of the service, by its word: this version shows it, and sends none.
    Other(String),
}

/// What the link of a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPurpose {
    /// To prove an address.
    Verification,
    /// To set another password.
    PasswordReset,
}

impl Kind {
    /// All that this version sends.
    pub const ALL: [Self; 16] = [
        Self::Welcome,
        Self::EmailVerification,
        Self::EmailChange,
        Self::EmailChangeRequested,
        Self::EmailChanged,
        Self::PasswordReset,
        Self::PasswordChanged,
        Self::SessionReused,
        Self::SecondFactorEnabled,
        Self::SecondFactorDisabled,
        Self::RecoveryCodeUsed,
        Self::ExternalAccountLinked,
        Self::ExternalAccountUnlinked,
        Self::PaymentReceipt,
        Self::PaymentFailure,
        Self::Message,
    ];

    /// The word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Welcome => "welcome",
            Self::EmailVerification => "email_verification",
            Self::EmailChange => "email_change",
            Self::EmailChangeRequested => "email_change_requested",
            Self::EmailChanged => "email_changed",
            Self::PasswordReset => "password_reset",
            Self::PasswordChanged => "password_changed",
            Self::SessionReused => "session_reused",
            Self::SecondFactorEnabled => "second_factor_enabled",
            Self::SecondFactorDisabled => "second_factor_disabled",
            Self::RecoveryCodeUsed => "recovery_code_used",
            Self::ExternalAccountLinked => "external_account_linked",
            Self::ExternalAccountUnlinked => "external_account_unlinked",
            Self::PaymentReceipt => "payment_receipt",
            Self::PaymentFailure => "payment_failure",
            Self::Message => "message",
            Self::Other(word) => word,
        }
    }

    /// How many of it are made for one user in a day; none: as many as there are. Whoever registered somebody else's
    /// address makes the user's notices happen as often as requests are served, and a declined payment costs nothing.
    /// Each kind is counted by itself, and the notices that tell of a thief generously: one who wears out a kind has
    /// been told of twenty times. What has a link is counted by the address, where it is asked for; a receipt costs
    /// money, and what other services write is theirs to count.
    pub fn per_day_max(&self) -> Option<i64> {
        match self {
            Self::EmailChangeRequested
            | Self::EmailChanged
            | Self::PasswordChanged
            | Self::SessionReused
            | Self::SecondFactorEnabled
            | Self::SecondFactorDisabled
            | Self::RecoveryCodeUsed
            | Self::ExternalAccountLinked
            | Self::ExternalAccountUnlinked => Some(20),
            Self::PaymentFailure => Some(10),
            Self::Welcome
            | Self::EmailVerification
            | Self::EmailChange
            | Self::PasswordReset
            | Self::PaymentReceipt
            | Self::Message
            | Self::Other(_) => None,
        }
    }

    /// Whether the account itself is at stake: sent too where mail was refused before.
    pub fn is_essential(&self) -> bool {
        matches!(
            self,
            Self::EmailVerification
                | Self::EmailChange
                | Self::EmailChangeRequested
                | Self::EmailChanged
                | Self::PasswordReset
                | Self::PasswordChanged
                | Self::SessionReused
                | Self::SecondFactorEnabled
                | Self::SecondFactorDisabled
                | Self::RecoveryCodeUsed
                | Self::ExternalAccountLinked
                | Self::ExternalAccountUnlinked
        )
    }

    /// Whether it goes to the address that the user has: what becomes of it says something of that
    /// address then.
    pub fn is_to_own_address(&self) -> bool {
        !matches!(self, Self::EmailChange | Self::EmailChanged)
    }

    /// What its link is for, if it has one.
    pub fn link(&self) -> Option<LinkPurpose> {
        match self {
            Self::Welcome | Self::EmailVerification | Self::EmailChange => {
                Some(LinkPurpose::Verification)
            }
            Self::PasswordReset => Some(LinkPurpose::PasswordReset),
            _ => None,
        }
    }
}

impl From<String> for Kind {
    fn from(word: String) -> Self {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.unwrap_or(Self::Other(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_word_and_an_unknown_word_is_kept() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from(kind.as_str().to_owned()), kind);
        }
        assert_eq!(Kind::from("postcard".to_owned()), Kind::Other("postcard".to_owned()));
    }
}
