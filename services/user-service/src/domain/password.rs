//! A password as it is compared: normalised, and ruled by its length only, as NIST SP 800-63B §5.1.1.2
//! asks for both.
//!
//! The same letters come in different code points, by keyboard and system: `ä` as one or as two,
//! full-width digits. NFKC makes them one. (PRECIS' `OpaqueString`, RFC 8265, would keep full-width and
//! half-width apart, which people who type them do not.)

use std::ops::RangeInclusive;

use tusk_config::Secret;
use unicode_normalization::UnicodeNormalization;

use super::DomainError;

/// How many characters a password may have, once it is normalised. The upper bound keeps hashing cheap to
/// refuse.
pub const PASSWORD_CHARS: RangeInclusive<usize> = 10..=128;

/// A password that somebody typed. Not shown by Debug.
#[derive(Debug)]
pub struct Password {
    normalised: Secret<String>,
    typed: Option<Secret<String>>,
}

impl Password {
    /// A password in NFKC.
    pub fn new(typed: Secret<String>) -> Self {
        let normalised: String = typed.expose().nfkc().collect();
        let typed = (normalised != *typed.expose()).then_some(typed);
        Self { normalised: normalised.into(), typed }
    }

    /// Checks a new password's length.
    ///
    /// # Errors
    /// It is too short or too long.
    pub fn check_length(&self) -> Result<(), DomainError> {
        if PASSWORD_CHARS.contains(&self.normalised.expose().chars().count()) {
            return Ok(());
        }
        Err(DomainError::Invalid { pointer: "/password", reason: "needs 10 to 128 characters" })
    }

    /// What is hashed.
    pub fn normalised(&self) -> Secret<String> {
        self.normalised.clone()
    }

    /// What was typed, where that is something else: hashes from before passwords were normalised are of
    /// it.
    pub fn as_typed(&self) -> Option<Secret<String>> {
        self.typed.clone()
    }
}
