//! The rule for passwords: length only, as NIST SP 800-63B §5.1.1.2 asks.

use std::ops::RangeInclusive;

use super::DomainError;

/// How many characters a password may have. The upper bound keeps hashing cheap to refuse.
pub const PASSWORD_CHARS: RangeInclusive<usize> = 10..=128;

/// Checks a new password's length.
///
/// # Errors
/// It is too short or too long.
pub fn check_length(password: &str) -> Result<(), DomainError> {
    if PASSWORD_CHARS.contains(&password.chars().count()) {
        return Ok(());
    }
    Err(DomainError::Invalid { pointer: "/password", reason: "needs 10 to 128 characters" })
}
