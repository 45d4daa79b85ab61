//! The second factor: besides the password, a code of the user's authenticator app, or a recovery code
//! where that app is lost.

use auth::opaque::OpaqueHash;
use auth::recovery;
use chrono::{DateTime, Utc};
use tusk_config::Secret;

use super::{DomainError, Event, User};

/// A code that somebody typed. Not shown by Debug.
#[derive(Debug)]
pub enum Code {
    /// Of an app, or no code at all.
    App(Secret<String>),
    /// A recovery code, as it is looked up.
    Recovery(OpaqueHash),
}

impl Code {
    /// What was typed. Whether it is right is another question.
    pub fn typed(text: &Secret<String>) -> Self {
        let of_app = || {
            let digits: String = text.expose().split_whitespace().collect();
            Self::App(digits.into())
        };
        recovery::hash_of_typed(text.expose()).map_or_else(of_app, Self::Recovery)
    }
}

impl User {
    /// The second factor is asked for from now on. Whoever had found a session may have asked for another
    /// address, for which a code is needed now: that ends.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn enable_second_factor(
        self,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        let mut user = self.active()?;
        let events = vec![Event::SecondFactorEnabled];
        if user.pending_email.take().is_none() {
            return Ok((user, events));
        }
        Ok((user.changed_at(now), events))
    }

    /// The password is enough from now on.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn disable_second_factor(self) -> Result<(Self, Vec<Event>), DomainError> {
        Ok((self.active()?, vec![Event::SecondFactorDisabled]))
    }
}

#[cfg(test)]
mod tests {
    use auth::recovery::RecoveryCode;

    use super::*;

    #[test]
    fn a_code_is_typed_with_spaces_or_without_and_a_recovery_code_is_told_from_one_of_an_app() {
        for typed in ["123456", "123 456", " 123456 "] {
            let Code::App(digits) = Code::typed(&typed.into()) else { panic!("{typed}") };
            assert_eq!(digits.expose(), "123456");
        }
        let code = RecoveryCode::generate();
        let Code::Recovery(hash) = Code::typed(&code.expose().into()) else { panic!("no code") };
        assert_eq!(hash, code.hash());
        let shown = format!("{:?}", Code::typed(&"123456".into()));
        assert!(!shown.contains('1'), "{shown}");
    }
}
