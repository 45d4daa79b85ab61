//! A payment method: the provider's name for a card, never the card.

use super::{DomainError, card};

/// Longest name.
const BYTES_MAX: usize = 255;

/// `pm_…`, as the provider gave it to the caller's browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// Parses a name. What looks like a card number is refused, so that none is ever stored.
    ///
    /// # Errors
    /// It has another shape; the reason never repeats it.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let invalid = |reason| DomainError::Invalid { pointer: "/payment_method", reason };
        let name = text.strip_prefix("pm_").unwrap_or_default();
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || text.len() > BYTES_MAX || !name.bytes().all(word) {
            return Err(invalid("must be the provider's token: pm_ and letters, digits or _"));
        }
        if card::may_hold_number(name) {
            return Err(invalid("must be a token: it holds what may be a card number"));
        }
        Ok(Self(text.to_owned()))
    }

    /// A name as it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_and_card_numbers_are_not() {
        assert!(PaymentMethod::parse("pm_card_visa").is_ok());
        assert!(PaymentMethod::parse("pm_1MsFeQLkdIwHu7ixraU").is_ok());
        for text in ["4242424242424242", "pm_4242424242424242", "pm_", "card_1", "pm_a b", "pm_a\r"]
        {
            let error = PaymentMethod::parse(text).unwrap_err();
            assert!(!error.to_string().contains("4242"), "{error}");
        }
    }
}
