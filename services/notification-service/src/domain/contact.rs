//! Whom we can write to, as the `user.*` events say.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use contracts::UserId;

/// A user as far as writing to one goes. Address and name are not shown by Debug.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub user_id: UserId,
    /// Address and name; none once the user is deleted.
    pub details: Option<ContactDetails>,
    /// When the newest event that was applied happened.
    pub as_of: DateTime<Utc>,
    /// The user's version that it had; none when it had none.
    pub version: Option<i64>,
    /// Whether mail to the address was refused for good: nothing but what the account needs is sent.
    pub undeliverable: bool,
}

/// Where a user is written to, and what the user is called.
#[derive(Clone, PartialEq, Eq)]
pub struct ContactDetails {
    /// The e-mail address.
    pub email: String,
    /// The name; may be empty.
    pub name: String,
}

/// What an event says of a user's contact.
#[derive(Clone)]
pub struct ContactUpdate {
    /// Where to write to from then on.
    pub details: ContactDetails,
    /// The user's version, if the event has one: the higher one is the later one.
    pub version: Option<i64>,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What it says of the time before.
    pub before: Before,
    /// Whether mail has reached the address, though it was refused before.
    pub reached: bool,
}

/// What an event says of the time before it.
#[derive(Clone, PartialEq, Eq)]
pub enum Before {
    /// There was nothing: the user registered.
    Nothing,
    /// The user had this address.
    Email(String),
    /// It does not say.
    Unknown,
}

impl From<Option<String>> for Before {
    fn from(previous_email: Option<String>) -> Self {
        previous_email.map_or(Self::Unknown, Self::Email)
    }
}

impl Contact {
    /// The contact after an event. One that is not later than what is known changes nothing, and
    /// neither does one about a deleted user: a retry may come late.
    pub fn updated(known: Option<Self>, user_id: UserId, update: ContactUpdate) -> Self {
        match known {
            Some(known) if !known.is_before(&update) => known,
            known => {
                let is_same = |known: &Self| {
                    known
                        .details
                        .as_ref()
                        .is_some_and(|details| details.email == update.details.email)
                };
                let undeliverable =
                    !update.reached && known.is_some_and(|it| it.undeliverable && is_same(&it));
                let details = Some(update.details);
                let as_of = update.at;
                let version = update.version;
                Self { user_id, details, as_of, version, undeliverable }
            }
        }
    }

    /// The contact of a user who is gone.
    pub fn gone(user_id: UserId, at: DateTime<Utc>) -> Self {
        Self { user_id, details: None, as_of: at, version: None, undeliverable: false }
    }

    /// Whether an event is later than what is known. Versions know, whatever the clocks of the
    /// publisher's replicas say. Without them the times decide, and of two that happened at one
    /// time the one that follows the other: nothing comes before a registration, and a change of
    /// the address says what it changed. Where neither says so, the one that came last counts.
    fn is_before(&self, update: &ContactUpdate) -> bool {
        let Some(details) = &self.details else { return false };
        if let (Some(known), Some(updated)) = (self.version, update.version) {
            return known < updated;
        }
        match (self.as_of.cmp(&update.at), &update.before) {
            (Ordering::Less, _) | (Ordering::Equal, Before::Unknown) => true,
            (Ordering::Greater, _) | (Ordering::Equal, Before::Nothing) => false,
            (Ordering::Equal, Before::Email(previous)) => *previous == details.email,
        }
    }
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contact").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn user() -> UserId {
        UserId::from_uuid(uuid::Uuid::nil())
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn update(email: &str, seconds: i64, before: Before) -> ContactUpdate {
        let details = ContactDetails { email: email.to_owned(), name: String::new() };
        ContactUpdate { details, version: None, at: at(seconds), before, reached: false }
    }

    fn changed(email: &str, seconds: i64, previous: &str) -> ContactUpdate {
        update(email, seconds, Before::Email(previous.to_owned()))
    }

    /// The address after events that came in this order.
    fn address(events: impl IntoIterator<Item = ContactUpdate>) -> String {
        let apply = |known, update| Some(Contact::updated(known, user(), update));
        events.into_iter().fold(None, apply).unwrap().details.unwrap().email
    }

    #[test]
    fn the_later_event_counts_in_whatever_order_they_come() {
        let (old, new) = ("old@example.com", "new@example.com");
        let registered = update(old, 1, Before::Nothing);
        for (one, other) in [
            (update(old, 1, Before::Unknown), update(new, 2, Before::Unknown)),
            (registered.clone(), changed(new, 2, old)),
            // At one time, the one that follows the other.
            (registered.clone(), changed(new, 1, old)),
            (registered, update(new, 1, Before::Unknown)),
            (changed(old, 1, "first@example.com"), changed(new, 1, old)),
        ] {
            assert_eq!(address([one.clone(), other.clone()]), new);
            assert_eq!(address([other, one]), new);
        }
    }

    #[test]
    fn of_two_events_of_one_time_that_say_nothing_of_each_other_the_last_to_come_counts() {
        let (one, other) = ("one@example.com", "other@example.com");
        let of = |email| update(email, 1, Before::Unknown);
        assert_eq!(address([of(one), of(other)]), other);
        assert_eq!(address([of(other), of(one)]), one);
    }

    #[test]
    fn a_publisher_that_tells_versions_and_one_that_does_not_are_ordered_by_time() {
        let versioned =
            ContactUpdate { version: Some(7), ..update("seven@example.com", 5, Before::Unknown) };
        for (seconds, expected) in [(4, "seven@example.com"), (6, "plain@example.com")] {
            let plain = update("plain@example.com", seconds, Before::Unknown);
            assert_eq!(address([versioned.clone(), plain.clone()]), expected);
            assert_eq!(address([plain, versioned.clone()]), expected);
        }
    }

    #[test]
    fn an_address_stays_undeliverable_until_it_is_another_one_or_mail_reaches_it() {
        let known = Contact::updated(None, user(), update("old@example.com", 1, Before::Nothing));
        let known = Contact { undeliverable: true, ..known };
        let reached =
            ContactUpdate { reached: true, ..update("old@example.com", 2, Before::Unknown) };
        for (update, undeliverable) in [
            (update("old@example.com", 2, Before::Unknown), true),
            (changed("new@example.com", 2, "old@example.com"), false),
            (reached, false),
        ] {
            let contact = Contact::updated(Some(known.clone()), user(), update);
            assert_eq!(contact.undeliverable, undeliverable);
        }
    }

    #[test]
    fn a_deleted_user_stays_deleted() {
        let gone = Contact::gone(user(), at(2));
        let late =
            ContactUpdate { version: Some(9), ..update("back@example.com", 3, Before::Unknown) };
        assert!(Contact::updated(Some(gone.clone()), user(), late) == gone);
    }

    proptest! {
        #[test]
        fn with_versions_the_newest_address_counts_whatever_the_times_and_the_order(
            seconds in prop::collection::vec(0_i64..3, 1..8),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
        ) {
            let change = |number: usize| {
                let before = match number {
                    0 => Before::Nothing,
                    number => Before::Email(format!("{}@example.com", number - 1)),
                };
                let version = i64::try_from(number).ok();
                ContactUpdate { version, ..update(&format!("{number}@example.com"), seconds[number], before) }
            };
            // Some come twice, some late; the newest one comes at some time.
            let mut order: Vec<usize> =
                order.iter().map(|index| index.index(seconds.len())).collect();
            let newest = seconds.len() - 1;
            order.insert(order.len() / 2, newest);
            prop_assert_eq!(address(order.into_iter().map(change)), format!("{newest}@example.com"));
        }
    }
}
