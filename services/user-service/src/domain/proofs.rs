//! What mail proves: that an address is the user's, and that somebody who does not know the password
//! may set another.

use chrono::{DateTime, Utc};

use super::{DomainError, Email, Event, NewToken, Purpose, User};

impl User {
    /// The address that is pending now and was not `before`.
    pub fn pending_email_since(&self, before: &Self) -> Option<&Email> {
        let pending = self.pending_email.as_ref();
        pending.filter(|email| before.pending_email.as_ref() != Some(*email))
    }

    /// The address that is still to be proven, if one is: the one that is pending, or the user's own.
    /// One that mail was refused to is proven again by a mail that arrives.
    pub fn unproven_email(&self) -> Option<&Email> {
        let own =
            Some(&self.email).filter(|_| !self.is_email_verified() || !self.email_deliverable);
        self.pending_email.as_ref().or(own)
    }

    /// Asks for a proof of an address, if that is still the one to be proven: another one has not been counted, and
    /// whoever asked for that one has had a mail sent there.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn request_verification(
        self,
        counted: &Email,
        token: NewToken,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        let user = self.active()?;
        let unproven = user.unproven_email().filter(|email| *email == counted);
        let token = unproven.map(|email| token.sent_to(email, Purpose::Verification));
        Ok((user, token.map(Event::VerificationRequested).into_iter().collect()))
    }

    /// Somebody reads what comes to this address: it is verified, and if it was pending it is the
    /// user's own from now on.
    ///
    /// # Errors
    /// [`DomainError::WrongToken`] when it is neither; [`DomainError::NotFound`] once deleted.
    pub fn prove(
        self,
        proven: &Email,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        let mut user = self.active()?;
        let mut previous_email = None;
        if *proven != user.email {
            let pending = user.pending_email.take().filter(|email| email == proven);
            let email = pending.ok_or(DomainError::WrongToken)?;
            previous_email = Some(std::mem::replace(&mut user.email, email));
            // The one that this change makes.
            user.email_version = user.version + 1;
        } else if user.is_email_verified() && user.email_deliverable {
            return Ok((user, Vec::new()));
        }
        user.email_verified_version = Some(user.email_version);
        let was_deliverable = std::mem::replace(&mut user.email_deliverable, true);
        let changed = match (&previous_email, was_deliverable) {
            (Some(_), _) => vec!["email"],
            (None, false) => vec!["email_deliverable"],
            // That it is verified is nobody else's business yet.
            (None, true) => return Ok((user.changed_at(now), Vec::new())),
        };
        Ok((user.changed_at(now), vec![Event::Updated { changed, previous_email }]))
    }

    /// Asks for another password, which goes to the user's own address.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn request_password_reset(
        self,
        token: NewToken,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        let user = self.active()?;
        let token = token.sent_to(&user.email, Purpose::PasswordReset);
        Ok((user, vec![Event::PasswordResetRequested(token)]))
    }

    /// There is another password. Whoever had the one before may have asked for another address too:
    /// that ends.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn change_password(self, now: DateTime<Utc>) -> Result<(Self, Vec<Event>), DomainError> {
        let mut user = self.active()?;
        let events = vec![Event::PasswordChanged];
        if user.pending_email.take().is_none() {
            return Ok((user, events));
        }
        Ok((user.changed_at(now), events))
    }

    /// There is another password, by a token that was sent to `proven`.
    ///
    /// # Errors
    /// [`DomainError::WrongToken`] when that is not the user's address any more;
    /// [`DomainError::NotFound`] once deleted.
    pub fn reset_password(
        self,
        proven: &Email,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        if self.email != *proven {
            return Err(DomainError::WrongToken);
        }
        let (user, mut events) = self.prove(proven, now)?;
        let (user, changed) = user.change_password(now)?;
        events.extend(changed);
        Ok((user, events))
    }
}

#[cfg(test)]
mod tests {
    use contracts::UserId;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Change, Name};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn token() -> NewToken {
        NewToken { id: Uuid::from_u128(7), expires_at: at(1_000) }
    }

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    fn user() -> User {
        let id = UserId::from_uuid(Uuid::nil());
        let name = Name::parse("Ada").unwrap();
        User::register(id, email("ada@example.com"), name, token(), at(0)).0
    }

    /// The user, who has asked for another address.
    fn moving() -> User {
        let change = Change { email: Some(email("ada@new.example")), name: None };
        user().change(change, token(), at(1)).unwrap().0
    }

    #[test]
    fn the_own_address_is_proven_once_and_nobody_else_is_told() {
        assert!(!user().is_email_verified());
        let (proven, events) = user().prove(&user().email, at(60)).unwrap();
        assert!(proven.is_email_verified());
        assert_eq!((proven.version, events), (2, vec![]));
        let again = proven.clone().prove(&user().email, at(61)).unwrap();
        assert_eq!(again, (proven, vec![]));
    }

    #[test]
    fn a_pending_address_is_the_users_own_once_it_is_proven() {
        let (moved, events) = moving().prove(&email("ada@new.example"), at(60)).unwrap();
        let previous_email = Some(email("ada@example.com"));
        assert_eq!(events, [Event::Updated { changed: vec!["email"], previous_email }]);
        assert_eq!((moved.email.as_str(), &moved.pending_email), ("ada@new.example", &None));
        assert!(moved.is_email_verified() && moved.email_version == moved.version);
        // The token for the address before proves nothing any more.
        assert_eq!(moved.prove(&email("ada@example.com"), at(61)), Err(DomainError::WrongToken));
        assert_eq!(user().prove(&email("ada@new.example"), at(61)), Err(DomainError::WrongToken));
    }

    #[test]
    fn an_address_that_was_refused_counts_again_once_a_mail_arrives() {
        let user = user().prove(&user().email, at(1)).unwrap().0;
        let user = user.mark_undeliverable(None, at(2)).unwrap().0;
        assert_eq!(user.unproven_email(), Some(&user.email));
        let address = user.email.clone();
        let (user, events) = user.prove(&address, at(3)).unwrap();
        let changed = vec!["email_deliverable"];
        assert_eq!(events, [Event::Updated { changed, previous_email: None }]);
        assert!(user.email_deliverable && user.unproven_email().is_none());
    }

    #[test]
    fn what_is_asked_for_again_is_the_pending_address_then_the_own_and_nothing_once_proven() {
        let asked = |user: User, address: &str| {
            user.request_verification(&email(address), token()).unwrap().1
        };
        let sent = |address: &str| {
            [Event::VerificationRequested(token().sent_to(&email(address), Purpose::Verification))]
        };
        assert_eq!(asked(moving(), "ada@new.example"), sent("ada@new.example"));
        assert_eq!(asked(user(), "ada@example.com"), sent("ada@example.com"));
        let proven = user().prove(&user().email, at(60)).unwrap().0;
        // The last two: it was the one to be proven when it was counted.
        for (user, counted) in [
            (proven, "ada@example.com"),
            (moving(), "ada@example.com"),
            (user(), "ada@new.example"),
        ] {
            assert_eq!(asked(user, counted), []);
        }
    }

    #[test]
    fn another_password_ends_the_address_that_somebody_asked_for() {
        for (user, events) in [
            moving().change_password(at(60)).unwrap(),
            moving().reset_password(&user().email, at(60)).unwrap(),
        ] {
            assert_eq!((user.pending_email, events), (None, vec![Event::PasswordChanged]));
        }
        assert_eq!(user().change_password(at(60)).unwrap().0, user());
    }

    #[test]
    fn a_reset_proves_the_own_address_and_works_by_no_other() {
        let (reset, _) = user().reset_password(&user().email, at(60)).unwrap();
        assert!(reset.is_email_verified());
        let other = moving().reset_password(&email("ada@new.example"), at(60));
        assert_eq!(other, Err(DomainError::WrongToken));
    }
}
