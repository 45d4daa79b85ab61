//! The user: one aggregate, one version, and the decisions that change it.
//!
//! Each decision takes the user and gives the user as it is then, with what happened. Deciding
//! what is already so gives no event and no new version.

use chrono::{DateTime, Utc};
use contracts::UserId;

use super::{DomainError, Email, Name};

/// A user as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Where mail goes.
    pub email: Email,
    /// How to call the user.
    pub name: Name,
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
    /// When the user registered.
    pub created_at: DateTime<Utc>,
    /// When the user last changed.
    pub updated_at: DateTime<Utc>,
}

/// Whether the user can do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Signs in, pays, is written to.
    Active,
    /// Gone: what was personal is erased.
    Deleted,
}

/// What happened to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Registered.
    Created,
    /// The profile changed.
    Updated {
        /// The names of the changed fields.
        changed: Vec<&'static str>,
        /// The address before, when it changed: the notice goes there too.
        previous_email: Option<Email>,
    },
    /// Deleted.
    Deleted,
}

/// What the owner may change; `None` leaves a field alone.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A new address.
    pub email: Option<Email>,
    /// A new name.
    pub name: Option<Name>,
}

impl User {
    /// A new user.
    pub fn register(
        id: UserId,
        email: Email,
        name: Name,
        now: DateTime<Utc>,
    ) -> (Self, Vec<Event>) {
        let user = Self {
            id,
            email,
            name,
            admin: false,
            status: Status::Active,
            email_deliverable: true,
            version: 1,
            email_version: 1,
            created_at: now,
            updated_at: now,
        };
        (user, vec![Event::Created])
    }

    /// Goes on only at a version that the caller saw.
    ///
    /// # Errors
    /// [`DomainError::Stale`] at any other.
    pub fn when(self, is_as_seen: impl FnOnce(i64) -> bool) -> Result<Self, DomainError> {
        if is_as_seen(self.version) { Ok(self) } else { Err(DomainError::Stale) }
    }

    /// Changes the profile. A new address counts as deliverable until shown otherwise.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn change(
        self,
        change: Change,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        let mut user = self.active()?;
        let (mut changed, mut previous_email) = (Vec::new(), None);
        if let Some(email) = change.email.filter(|email| *email != user.email) {
            previous_email = Some(std::mem::replace(&mut user.email, email));
            user.email_deliverable = true;
            // The one that this change makes.
            user.email_version = user.version + 1;
            changed.push("email");
        }
        if let Some(name) = change.name.filter(|name| *name != user.name) {
            user.name = name;
            changed.push("name");
        }
        if changed.is_empty() {
            return Ok((user, Vec::new()));
        }
        Ok((user.changed_at(now), vec![Event::Updated { changed, previous_email }]))
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

    /// Deletes the user and erases what is personal.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] once deleted.
    pub fn delete(self, now: DateTime<Utc>) -> Result<(Self, Vec<Event>), DomainError> {
        let mut user = self.active()?;
        user.status = Status::Deleted;
        user.email = Email::from_stored(format!("{}@deleted.invalid", user.id));
        user.email_version = user.version + 1;
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

    fn active(self) -> Result<Self, DomainError> {
        if self.status == Status::Active { Ok(self) } else { Err(DomainError::NotFound) }
    }

    fn changed_at(mut self, now: DateTime<Utc>) -> Self {
        self.version += 1;
        self.updated_at = now;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        let email = Email::parse("ada@example.com").unwrap();
        User::register(
            UserId::from_uuid(uuid::Uuid::nil()),
            email,
            Name::parse("Ada").unwrap(),
            at(0),
        )
        .0
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_new_address_is_one_event_that_knows_the_old_address() {
        let mut user = user();
        user.email_deliverable = false;
        let email = Email::parse("ada@new.example").unwrap();
        let change = Change { email: Some(email.clone()), name: None };
        let (user, events) = user.change(change, at(60)).unwrap();
        let previous_email = Some(Email::parse("ada@example.com").unwrap());
        assert_eq!(events, [Event::Updated { changed: vec!["email"], previous_email }]);
        assert_eq!((user.version, user.email, user.email_deliverable), (2, email, true));
    }

    #[test]
    fn changing_to_what_is_already_so_is_no_change() {
        let change = Change { email: Some(user().email), name: Some(user().name) };
        assert_eq!(user().change(change, at(60)).unwrap(), (user(), vec![]));
    }

    #[test]
    fn deletion_erases_what_is_personal_and_happens_once() {
        let (user, events) = user().delete(at(60)).unwrap();
        assert_eq!(events, [Event::Deleted]);
        assert!(!user.email.as_str().contains("ada") && user.name.as_str() == "deleted user");
        assert_eq!(user.clone().delete(at(60)), Err(DomainError::NotFound));
        assert_eq!(user.change(Change::default(), at(60)), Err(DomainError::NotFound));
    }

    #[test]
    fn an_appointment_counts_as_a_change_and_one_to_what_is_already_so_does_not() {
        assert_eq!(user().appoint(false, at(60)).unwrap(), (user(), vec![]));
        let (admin, events) = user().appoint(true, at(60)).unwrap();
        assert_eq!((admin.is_administrator(), admin.version, events), (true, 2, vec![]));
        let (gone, _) = admin.delete(at(70)).unwrap();
        assert!(!gone.is_administrator());
        assert_eq!(gone.appoint(false, at(80)), Err(DomainError::NotFound));
    }

    #[test]
    fn only_a_failure_of_the_current_address_marks_it() {
        let named = Change { email: None, name: Some(Name::parse("Ada L.").unwrap()) };
        let moved = Change { email: Some(Email::parse("ada@new.example").unwrap()), name: None };
        let (named, _) = user().change(named, at(60)).unwrap();
        let (moved, _) = named.clone().change(moved, at(61)).unwrap();
        let (back, _) =
            moved.clone().change(Change { email: Some(user().email), name: None }, at(62)).unwrap();
        for (user, failed, marks) in [
            (user(), Some(1), true),
            (user(), None, true),
            (named.clone(), Some(1), true),
            (named.clone(), Some(2), true),
            (named.clone(), Some(3), false),
            (named, None, true),
            (moved.clone(), Some(2), false),
            (moved.clone(), Some(3), true),
            (moved, None, false),
            (back.clone(), Some(1), false),
            (back, Some(4), true),
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
