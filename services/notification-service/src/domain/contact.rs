//! Whom we can write to: what `user.*` events have told.

use chrono::{DateTime, Utc};
use contracts::UserId;

/// A user as far as writing to one goes. Address and name are not shown by Debug.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub user_id: UserId,
    /// Address and name; none once the user is deleted.
    pub reach: Option<Reach>,
    /// When the newest event that was applied happened.
    pub as_of: DateTime<Utc>,
}

/// How to reach a user and what to call the user.
#[derive(Clone, PartialEq, Eq)]
pub struct Reach {
    /// The e-mail address.
    pub email: String,
    /// The name; may be empty.
    pub name: String,
}

impl Contact {
    /// The contact after an event of `at` told an address and a name. An event older than what is
    /// known changes nothing, and neither does one about a deleted user: a retry may come late.
    pub fn told(
        before: Option<Self>,
        user_id: UserId,
        email: String,
        name: String,
        at: DateTime<Utc>,
    ) -> Self {
        match before {
            Some(known) if known.as_of >= at || known.reach.is_none() => known,
            _ => Self { user_id, reach: Some(Reach { email, name }), as_of: at },
        }
    }

    /// The contact of a user who is gone.
    pub fn gone(user_id: UserId, at: DateTime<Utc>) -> Self {
        Self { user_id, reach: None, as_of: at }
    }
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contact").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> UserId {
        UserId::from_uuid(uuid::Uuid::nil())
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn told(before: Option<Contact>, email: &str, seconds: i64) -> Contact {
        Contact::told(before, user(), email.to_owned(), String::new(), at(seconds))
    }

    #[test]
    fn the_newest_event_counts_in_whatever_order_they_come() {
        let newest = told(None, "new@example.com", 2);
        let late = told(Some(newest.clone()), "old@example.com", 1);
        assert!(late == newest);
        let newer = told(Some(newest), "newer@example.com", 3);
        assert_eq!(newer.reach.unwrap().email, "newer@example.com");
    }

    #[test]
    fn a_deleted_user_stays_deleted() {
        let gone = Contact::gone(user(), at(2));
        assert!(told(Some(gone.clone()), "back@example.com", 3) == gone);
    }
}
