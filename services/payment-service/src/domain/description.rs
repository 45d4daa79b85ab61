//! What a payment is for, in the caller's words.

use super::{DomainError, card};

/// Longest description, in characters.
const CHARS_MAX: usize = 200;

/// A line of up to 200 characters without control characters or anything that may be a card number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// Parses a description.
    ///
    /// # Errors
    /// It is too long, or holds a control character (the database stores no NUL) or what may be a
    /// card number; the reason never repeats it.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let invalid = |reason| Err(DomainError::Invalid { pointer: "/description", reason });
        if text.chars().count() > CHARS_MAX {
            return invalid("is longer than 200 characters");
        }
        if text.chars().any(char::is_control) {
            return invalid("must be one line without control characters");
        }
        if card::may_hold_number(text) {
            return invalid("holds what may be a card number");
        }
        Ok(Self(text.to_owned()))
    }

    /// A description as it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
