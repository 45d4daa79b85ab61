//! Intents, by their numbers: whose they are, what they are about, and what is to become of them.

use uuid::Uuid;

/// The upper half of every event id; the lower one is the intent.
const EVENT: u128 = 0x0197_c1f0_5c00_7000 << 64;
/// The publisher's number is so many times in the intent's.
const OF_PUBLISHER: i64 = 10_000_000;
/// Published by nobody of ours: messages that no client library can read.
const UNREADABLE: i64 = 9 * OF_PUBLISHER;
/// Users that events are about; several intents of one follow each other, so that order can be lost.
const USERS: i64 = 50;
const IN_A_ROW: i64 = 4;
/// Of these users some events are unroutable for a while, and their later ones wait for them.
const FIRST_USER_OF_UNROUTABLE: i64 = 45;

/// What is to become of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An effect at each reader.
    Plain,
    /// No consumer can handle it: it is dead-lettered for each reader.
    Poison,
    /// No queue is bound for it but now and then: an effect at the reader that is there then.
    Unroutable,
    /// No client library can parse it: it is dead-lettered for each reader.
    Unreadable,
}

impl Kind {
    pub(crate) fn of(intent: i64) -> Self {
        let number = intent % OF_PUBLISHER;
        if intent >= UNREADABLE {
            Self::Unreadable
        } else if number % 500 == 13 {
            Self::Poison
        } else if user(intent) >= FIRST_USER_OF_UNROUTABLE
            && number % IN_A_ROW == 1
            && number / (USERS * IN_A_ROW) % 3 == 0
        {
            Self::Unroutable
        } else {
            Self::Plain
        }
    }

    /// Whether it ends in dead-letter queues, and nowhere else.
    pub(crate) fn is_poison(self) -> bool {
        matches!(self, Self::Poison | Self::Unreadable)
    }
}

/// The intent before the first one of a publisher.
pub(crate) fn zeroth(publisher: i64) -> i64 {
    publisher * OF_PUBLISHER
}

/// An unreadable message.
pub(crate) fn unreadable(number: i64) -> i64 {
    UNREADABLE + number
}

/// Whom the event is about, the aggregate.
pub(crate) fn user(intent: i64) -> i64 {
    intent / IN_A_ROW % USERS
}

/// Intents of one line have their effects in order: those of one publisher about one user.
pub(crate) fn line(intent: i64) -> (i64, i64) {
    (intent / OF_PUBLISHER, user(intent))
}

pub(crate) fn event_id(intent: i64) -> Uuid {
    Uuid::from_u128(EVENT | u128::from(intent.unsigned_abs()))
}

/// The intent that an event is about.
pub(crate) fn of_event(event_id: &str) -> i64 {
    let id: Uuid = event_id.parse().unwrap();
    i64::try_from(id.as_u128() & u128::from(u64::MAX)).unwrap()
}

#[test]
fn intents_of_every_kind_are_among_the_first_thousand() {
    let kinds: Vec<Kind> = (1..1_000).map(|number| Kind::of(zeroth(1) + number)).collect();
    for kind in [Kind::Plain, Kind::Poison, Kind::Unroutable] {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
    assert_eq!(Kind::of(unreadable(1)), Kind::Unreadable);
    assert_eq!(of_event(&event_id(unreadable(1)).to_string()), unreadable(1));
}
