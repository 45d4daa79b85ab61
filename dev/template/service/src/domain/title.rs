//! What a user calls it.

use std::fmt;

use super::DomainError;

/// Longest title, in characters.
const CHARS_MAX: usize = 100;

/// One line of 1 to 100 characters, trimmed; empty once it is erased. Not shown by Debug.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// Parses a title.
    ///
    /// # Errors
    /// It is empty, too long, or holds control characters.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let invalid = |reason| DomainError::Invalid { pointer: "/title", reason };
        let text = text.trim();
        match text.chars().count() {
            0 => Err(invalid("is empty")),
            count if count > CHARS_MAX => Err(invalid("is longer than 100 characters")),
            _ if text.chars().any(char::is_control) => Err(invalid("has a control character")),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// A title as it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The title as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Title")
    }
}
