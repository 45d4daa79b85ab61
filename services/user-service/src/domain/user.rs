//! The user: one aggregate, one version, and the decisions that change it.
//!
//! Each decision takes the user and gives the user as it is then, with what happened. Deciding
//! what is already so gives no event and no new version.

use chrono::{DateTime, Utc};
use contracts::UserId;

use super::{DomainError, Email, MailToken, Name, NewToken, Purpose};

/// A user as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Where mail goes.
    pub email: Email,
    /// How to call the user.
    pub name: Name,
    /// The address that becomes the user's own once it is proven; mail goes to the one before
    /// until then.
    pub pending_email: Option<Email>,
    /// Whether the user is an administrator.
    pub admin: bool,
    /// Active, or deleted.
    pub status: Status,
    /// False once mail to the address was refused for good.
    pub email_deliverable: bool,
    /// Counts changes, from 1.
    pub version: i64,
    /// The version at which the address last changed.
    pub email_version: i64,
    /// The version of the address that was proven last, if one was.
    pub email_verified_version: Option<i64>,
    /// When the user registered.
    pub created_at: DateTime<Utc>,
    /// When the user last changed.
    pub updated_at: DateTime<Utc>,
}

/// Whether the user can do anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Signs in, pays, is written to.
    Active,
    /// Gone: what was personal is erased.
    Deleted,
    /// What a newer version of the service says of the user, in its word. This one shows the word, and
    /// decides nothing.
    Other(String),
}

impl Status {
    /// The word for it, in the table and in the API.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Status {
    fn from(word: String) -> Self {
        match word.as_str() {
            "active" => Self::Active,
            "deleted" => Self::Deleted,
            _ => Self::Other(word),
        }
    }
}

/// What happened to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Registered; the token, if there is one, proves the address.
    Created(Option<MailToken>),
    /// The profile changed.
    Updated {
        /// The names of the changed fields.
        changed: Vec<&'static str>,
        /// The address before, when it changed: the notice goes there too.
        previous_email: Option<Email>,
    },
    /// An address is to be proven.
    VerificationRequested(MailToken),
    /// Another address was asked for. The owner is told where mail goes now.
    EmailChangeRequested,
    /// Another password was asked for by somebody who does not know the password.
    PasswordResetRequested(MailToken),
    /// There is another password.
    PasswordChanged,
    /// A code is asked for besides the password from now on.
    SecondFactorEnabled,
    /// The password is enough from now on.
    SecondFactorDisabled,
    /// Deleted.
    Deleted,
}

impl Event {
    /// The token that it has sent.
    pub fn token(&self) -> Option<&MailToken> {
        match self {
            Self::Created(token) => token.as_ref(),
            Self::VerificationRequested(token) | Self::PasswordResetRequested(token) => Some(token),
            Self::Updated { .. }
            | Self::EmailChangeRequested
            | Self::PasswordChanged
            | Self::SecondFactorEnabled
            | Self::SecondFactorDisabled
            | Self::Deleted => None,
        }
    }
}

/// What the owner may change; `None` leaves a field alone.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A new address, which is the user's own once it is proven.
    pub email: Option<Email>,
    /// A new name.
    pub name: Option<Name>,
}

impl User {
    /// A new user, whose address is to be proven with the token.
    pub fn register(
        id: UserId,
        email: Email,
        name: Name,
        token: NewToken,
        now: DateTime<Utc>,
    ) -> (Self, Vec<Event>) {
        let created = Event::Created(Some(token.sent_to(&email, Purpose::Verification)));
        (Self::new(id, email, name, now), vec![created])
    }

    /// A new user, whose address somebody who is believed has seen proven.
    pub fn register_proven(
        id: UserId,
        email: Email,
        name: Name,
        now: DateTime<Utc>,
    ) -> (Self, Vec<Event>) {
        let user = Self::new(id, email, name, now);
        let email_verified_version = Some(user.email_version);
        (Self { email_verified_version, ..user }, vec![Event::Created(None)])
    }

    fn new(id: UserId, email: Email, name: Name, now: DateTime<Utc>) -> Self {
        Self {
            id,
            email,
            name,
            pending_email: None,
            admin: false,
            status: Status::Active,
            email_deliverable: true,
            version: 1,
            email_version: 1,
            email_verified_version: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether somebody has shown that mail to the address reaches them.
    pub fn is_email_verified(&self) -> bool {
        self.email_verified_version == Some(self.email_version)
    }

    /// Goes on only at a version that the caller saw.
    ///
    /// # Errors
    /// [`DomainError::Stale`] at any other.
    pub fn when(self, is_as_seen: impl FnOnce(i64) -> bool) -> Result<Self, DomainError> {
        if is_as_seen(self.version) { Ok(self) } else { Err(DomainError::Stale) }
    }

    /// Changes the profile. A new address is pending until it is proven with the token; the address
    /// that the user has already ends what is pending.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn change(
        self,
        change: Change,
        token: NewToken,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        let mut user = self.active()?;
        let before = user.clone();
        let mut events = Vec::new();
        if let Some(name) = change.name.filter(|name| *name != user.name) {
            user.name = name;
            events.push(Event::Updated { changed: vec!["name"], previous_email: None });
        }
        if let Some(email) = change.email {
            user.pending_email = Some(email).filter(|email| !email.is_same(&user.email));
        }
        if let Some(email) = user.pending_email_since(&before) {
            let token = token.sent_to(email, Purpose::Verification);
            events.extend([Event::EmailChangeRequested, Event::VerificationRequested(token)]);
        }
        if user == before {
            return Ok((user, Vec::new()));
        }
        Ok((user.changed_at(now), events))
    }

    /// Whether a mail would go to an address if the user asked to have it.
    pub fn would_mail(&self, email: &Email) -> bool {
        !email.is_same(&self.email) && self.pending_email.as_ref() != Some(email)
    }

    /// Whether the user may do what administrators do.
    pub fn is_administrator(&self) -> bool {
        self.admin && self.status == Status::Active
    }

    /// Makes the user an administrator, or a user as all others are. No event: nobody else acts on it.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn appoint(
        self,
        admin: bool,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        let mut user = self.active()?;
        if user.admin == admin {
            return Ok((user, Vec::new()));
        }
        user.admin = admin;
        Ok((user.changed_at(now), Vec::new()))
    }

    /// Deletes the user and erases what is personal; `nobody` is in the place of the address from then on.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn delete(
        self,
        nobody: Email,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        let mut user = self.active()?;
        user.status = Status::Deleted;
        user.email = nobody;
        user.email_version = user.version + 1;
        user.pending_email = None;
        user.name = Name::from_stored("deleted user".to_owned());
        Ok((user.changed_at(now), vec![Event::Deleted]))
    }

    /// Notes that mail to the address that the user had at a version is refused for good, if it is
    /// the address still. Without a version only the first address can be told from others, as long
    /// as there was no second one. No event: nobody else acts on it.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn mark_undeliverable(
        self,
        failed: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        let mut user = self.active()?;
        let is_current = match failed {
            Some(version) => (user.email_version..=user.version).contains(&version),
            None => user.email_version == 1,
        };
        if !is_current || !user.email_deliverable {
            return Ok((user, Vec::new()));
        }
        user.email_deliverable = false;
        Ok((user.changed_at(now), Vec::new()))
    }

    /// The user, who can do something.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted; [`DomainError::UnknownStatus`] when a newer version of the
    /// service says something else.
    pub fn active(self) -> Result<Self, DomainError> {
        match self.status {
            Status::Active => Ok(self),
            Status::Deleted => Err(DomainError::NotFound),
            Status::Other(_) => Err(DomainError::UnknownStatus),
        }
    }

    pub(super) fn changed_at(mut self, now: DateTime<Utc>) -> Self {
        self.version += 1;
        self.updated_at = now;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn token() -> NewToken {
        NewToken { id: uuid::Uuid::from_u128(7), expires_at: at(1_000) }
    }

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    fn user() -> User {
        let id = UserId::from_uuid(uuid::Uuid::nil());
        let name = Name::parse("Ada").unwrap();
        User::register(id, email("ada@example.com"), name, token(), at(0)).0
    }

    fn nobody() -> Email {
        Email::nobody(uuid::Uuid::from_u128(8))
    }

    fn to(address: &str) -> Change {
        Change { email: Some(email(address)), name: None }
    }

    #[test]
    fn a_new_address_is_pending_and_the_one_before_goes_on() {
        let (user, events) = user().change(to("ada@new.example"), token(), at(60)).unwrap();
        let sent = token().sent_to(&email("ada@new.example"), Purpose::Verification);
        assert_eq!(events, [Event::EmailChangeRequested, Event::VerificationRequested(sent)]);
        assert_eq!((user.version, user.email_version), (2, 1));
        assert_eq!(user.email, email("ada@example.com"));
        assert_eq!(user.pending_email, Some(email("ada@new.example")));
        // Once more sends nothing; the address before ends it.
        let again = user.clone().change(to("ada@new.example"), token(), at(61)).unwrap();
        assert_eq!(again, (user.clone(), vec![]));
        let (user, events) = user.change(to("ada@example.com"), token(), at(62)).unwrap();
        assert_eq!((user.pending_email, user.version, events), (None, 3, vec![]));
    }

    #[test]
    fn changing_to_what_is_already_so_is_no_change() {
        let change = Change { email: Some(user().email), name: Some(user().name) };
        assert_eq!(user().change(change, token(), at(60)).unwrap(), (user(), vec![]));
    }

    #[test]
    fn deletion_erases_what_is_personal_and_happens_once() {
        let (user, _) = user().change(to("ada@new.example"), token(), at(50)).unwrap();
        let (user, events) = user.delete(nobody(), at(60)).unwrap();
        assert_eq!(events, [Event::Deleted]);
        assert_eq!((&user.email, user.name.as_str()), (&nobody(), "deleted user"));
        assert_eq!((&user.pending_email, user.is_email_verified()), (&None, false));
        assert_eq!(user.clone().delete(nobody(), at(60)), Err(DomainError::NotFound));
        assert_eq!(user.change(Change::default(), token(), at(60)), Err(DomainError::NotFound));
    }

    #[test]
    fn nothing_is_decided_on_a_status_of_a_newer_version() {
        let user = User { status: Status::from("frozen".to_owned()), ..user() };
        assert_eq!(user.status.as_str(), "frozen");
        for decided in [
            user.clone().change(Change::default(), token(), at(60)),
            user.clone().mark_undeliverable(Some(1), at(60)),
            user.clone().prove(&user.email, at(60)),
            user.clone().delete(nobody(), at(60)),
        ] {
            assert_eq!(decided, Err(DomainError::UnknownStatus));
        }
    }

    #[test]
    fn an_appointment_counts_as_a_change_and_one_to_what_is_already_so_does_not() {
        assert_eq!(user().appoint(false, at(60)).unwrap(), (user(), vec![]));
        let (admin, events) = user().appoint(true, at(60)).unwrap();
        assert_eq!((admin.is_administrator(), admin.version, events), (true, 2, vec![]));
        let (gone, _) = admin.delete(nobody(), at(70)).unwrap();
        assert!(!gone.is_administrator());
        assert_eq!(gone.appoint(false, at(80)), Err(DomainError::NotFound));
    }

    #[test]
    fn only_a_failure_of_the_current_address_marks_it() {
        let named = Change { email: None, name: Some(Name::parse("Ada L.").unwrap()) };
        let (named, _) = user().change(named, token(), at(60)).unwrap();
        let moved = |user: User, address| {
            let (user, _) = user.change(to(address), token(), at(61)).unwrap();
            user.prove(&email(address), at(62)).unwrap().0
        };
        let gone = moved(named.clone(), "ada@new.example");
        let back = moved(gone.clone(), "ada@example.com");
        assert_eq!((gone.email_version, back.email_version), (4, 6));
        for (user, failed, marks) in [
            (user(), Some(1), true),
            (user(), None, true),
            (named.clone(), Some(1), true),
            (named.clone(), Some(2), true),
            (named.clone(), Some(3), false),
            (named, None, true),
            (gone.clone(), Some(3), false),
            (gone.clone(), Some(4), true),
            (gone, None, false),
            (back.clone(), Some(1), false),
            (back, Some(6), true),
        ] {
            let version = user.version;
            let (marked, events) = user.mark_undeliverable(failed, at(70)).unwrap();
            assert_eq!((!marked.email_deliverable, events), (marks, vec![]), "{failed:?}");
            assert_eq!(marked.version, version + i64::from(marks));
            // Once more changes nothing.
            assert_eq!(marked.clone().mark_undeliverable(failed, at(80)).unwrap().0, marked);
        }
    }

    #[test]
    fn an_editor_who_saw_another_version_is_told_so() {
        assert_eq!(user().when(|version| version == 2), Err(DomainError::Stale));
        assert!(user().when(|version| version == 1).is_ok());
    }
}
