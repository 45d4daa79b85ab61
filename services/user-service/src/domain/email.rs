//! An e-mail address that can be written to.

use std::fmt;

use uuid::Uuid;

use super::DomainError;

/// Longest address (RFC 5321 §4.5.3.1.3, less the angle brackets).
const BYTES_MAX: usize = 254;
/// Longest part before the `@` (RFC 5321 §4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;

/// Where no name is ever found (RFC 6761 §6.4).
const RESERVED: &str = ".invalid";

/// An address with the shape `local@domain`. The domain is in lower case; two addresses that
/// differ in case only are one address to the table's unique index. Not shown by Debug.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Whether both are one address to the table: they differ in case at most.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// Parses an address. What only a mail server can know is left to the mail server.
    ///
    /// # Errors
    /// The shape is wrong; the reason never repeats the address.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let invalid = |reason| DomainError::Invalid { pointer: "/email", reason };
        if text.len() > BYTES_MAX {
            return Err(invalid("is longer than 254 bytes"));
        }
        let (local, domain) = text.rsplit_once('@').ok_or(invalid("has no @"))?;
        if local.is_empty() || local.len() > LOCAL_BYTES_MAX {
            return Err(invalid("needs 1 to 64 bytes before the @"));
        }
        if !local.bytes().all(|byte| byte.is_ascii_graphic() && !b"@\"(),:;<>[\\]".contains(&byte))
        {
            return Err(invalid("has a character before the @ that is not supported"));
        }
        // RFC 5321 §4.1.2, `Dot-string`: mail to another one can be neither composed nor sent.
        if local.split('.').any(str::is_empty) {
            return Err(invalid("begins or ends with a dot before the @, or has two in a row"));
        }
        if !is_domain(domain) {
            return Err(invalid("needs a domain name after the @"));
        }
        let domain = domain.to_ascii_lowercase();
        if domain.ends_with(RESERVED) {
            return Err(invalid("has a domain in .invalid after the @, where no mail can go"));
        }
        Ok(Self(format!("{local}@{domain}")))
    }

    /// What stands in the place of the address of somebody who is gone. [`Self::parse`] refuses it, and nobody knows
    /// `id` before, so that it is nobody's address even where one of its shape was accepted once.
    pub fn nobody(id: Uuid) -> Self {
        Self(format!("{id}@deleted{RESERVED}"))
    }

    /// An address to look an account up by. Accounts are found too whose addresses are older than a rule
    /// of [`Self::parse`]. None for a text that no account can have.
    pub fn to_look_up(text: String) -> Option<Self> {
        let is_plain = text.len() <= BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        (is_plain && text.contains('@')).then_some(Self(text))
    }

    /// An address as it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The account that the address names, however it is spelt; see [`account_of`].
    pub fn account(&self) -> String {
        account_of(&self.0)
    }

    /// The address as text, for storage and for sending.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The account that a text names, whether or not it is an address and there is the account. All
/// spellings that sign in to one account are one; guesses are counted by it.
pub fn account_of(text: &str) -> String {
    text.to_lowercase()
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email")
    }
}

/// Two labels or more of letters, digits and inner hyphens (RFC 1035 §2.3.1), the last of them not of
/// digits alone (RFC 3696 §2): that would be an address of a machine.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    text.contains('.') && text.split('.').all(label) && !is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_tagged_and_mixed_case_addresses_are_accepted() {
        for (text, kept) in [
            ("ada@example.com", "ada@example.com"),
            ("Ada.L+news@Mail.EXAMPLE.org", "Ada.L+news@mail.example.org"),
        ] {
            assert_eq!(Email::parse(text).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@example",
            "a b@example.com",
            "a@b..com",
            "a@-b.com",
            "a@b.com\r\nBcc: x@y.z",
            "<ada@example.com>",
            "a..b@example.com",
            ".a@example.com",
            "a.@example.com",
            ".@example.com",
            "a@127.0.0.1",
            "a@example.123",
            "a@deleted.invalid",
            "a@mail.example.INVALID",
            long.as_str(),
        ] {
            let error = Email::parse(text).unwrap_err();
            assert!(matches!(error, DomainError::Invalid { pointer: "/email", .. }), "{text}");
        }
    }

    #[test]
    fn what_stands_for_nobody_is_no_address_that_anybody_can_give() {
        let nobody = Email::nobody(Uuid::nil());
        let reason = "has a domain in .invalid after the @, where no mail can go";
        let refused = Err(DomainError::Invalid { pointer: "/email", reason });
        assert_eq!(Email::parse(nobody.as_str()), refused);
        assert!(Email::parse("a@invalid.example").is_ok());
    }

    #[test]
    fn an_account_whose_address_would_be_refused_today_is_still_found() {
        let look_up = |text: &str| Email::to_look_up(text.to_owned());
        assert_eq!(look_up("a..b@example.com").unwrap().as_str(), "a..b@example.com");
        for text in ["", "ada", "a\0@example.com", "\u{e4}@example.com", &"a@".repeat(128)] {
            assert!(look_up(text).is_none(), "{text:?}");
        }
    }

    proptest::proptest! {
        /// notification-service writes to it by lettre: what is accepted here can be written to.
        #[test]
        fn whatever_is_accepted_is_an_address_to_the_mailer(
            text in "[a-z.+!'=~-]{1,8}@[a-z0-9.-]{1,12}(\\.[a-z0-9-]{1,4})?"
        ) {
            if let Ok(email) = Email::parse(&text) {
                proptest::prop_assert!(email.as_str().parse::<lettre::Address>().is_ok(), "{}", text);
            }
        }

        #[test]
        fn parsing_never_panics_and_is_idempotent(text in "\\PC{0,80}") {
            if let Ok(email) = Email::parse(&text) {
                proptest::prop_assert_eq!(Email::parse(email.as_str()), Ok(email));
            }
        }
    }
}
