//! A password as it is compared: normalised; a new one is ruled by its length and must not be one of
//! the commonest, as NIST SP 800-63B §5.1.1.2 asks for all three. No rule asks for digits or signs.
//!
//! The same letters come in different code points, by keyboard and system: `ä` as one or as two,
//! full-width digits. NFKC makes them one. (PRECIS' `OpaqueString`, RFC 8265, would keep full-width and
//! half-width apart, which people who type them do not.)

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use tusk_config::Secret;
use unicode_normalization::UnicodeNormalization;

use super::DomainError;

/// How many characters a password may have, once it is normalised. The upper bound keeps hashing cheap to
/// refuse.
pub const PASSWORD_CHARS: RangeInclusive<usize> = 10..=128;

/// The commonest passwords of at least the shortest length, in lower case and in order; `data/README.md`
/// says whose they are.
static COMMONEST: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("../../data/common-passwords.txt").lines().collect());

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

    /// Checks a new password, which stands at `pointer` of the request.
    ///
    /// # Errors
    /// It is too short, too long, or one that is tried first.
    pub fn check_new(&self, pointer: &'static str) -> Result<(), DomainError> {
        let invalid = |reason| Err(DomainError::Invalid { pointer, reason });
        let password = self.normalised.expose();
        if !PASSWORD_CHARS.contains(&password.chars().count()) {
            return invalid("needs 10 to 128 characters");
        }
        let lower_case = Secret::from(password.to_lowercase());
        if COMMONEST.binary_search(&lower_case.expose().as_str()).is_ok() {
            return invalid("is one of the commonest passwords");
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), &'static str> {
        match Password::new(text.to_owned().into()).check_new("/password") {
            Ok(()) => Ok(()),
            Err(DomainError::Invalid { pointer: "/password", reason }) => Err(reason),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_new_password_has_ten_to_128_characters_however_many_bytes_and_is_none_of_the_commonest() {
        for good in ["correct horse", &"\u{1f40e}".repeat(10), &"x".repeat(128)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["ninechars", &"\u{1f40e}".repeat(9), &"x".repeat(129)] {
            assert_eq!(check(bad), Err("needs 10 to 128 characters"), "{bad}");
        }
        // As it is, in capitals, and in full-width letters.
        for common in ["password123", "Password123", "QWERTYUIOP", "\u{ff50}assword123"] {
            assert_eq!(check(common), Err("is one of the commonest passwords"), "{common}");
        }
    }

    #[test]
    fn the_list_is_what_it_is_searched_as() {
        assert!(COMMONEST.len() > 2_000, "{}", COMMONEST.len());
        assert!(COMMONEST.is_sorted_by(|one, other| one < other), "out of order");
        for word in &*COMMONEST {
            let password = Password::new((*word).to_owned().into());
            assert!(password.as_typed().is_none(), "{word} is not in NFKC");
            assert!(password.check_new("").is_err(), "{word} is found");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_hashed_is_the_same_however_it_is_composed(text in "\\PC{0,40}") {
            let [composed, decomposed]: [String; 2] = [text.nfc().collect(), text.nfd().collect()];
            let hashed = |text: String| Password::new(text.into()).normalised().expose().clone();
            proptest::prop_assert_eq!(hashed(composed), hashed(decomposed));
        }
    }
}
