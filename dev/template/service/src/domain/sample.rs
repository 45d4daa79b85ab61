//! The aggregate: one version, and the decisions that change it.
//!
//! Each decision takes what is and gives what is then, with what happened. Deciding what is already
//! so gives no new version.

use chrono::{DateTime, Utc};
use contracts::UserId;
use contracts::sample::SampleId;

use super::Title;

/// One sample as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its id.
    pub id: SampleId,
    /// Whose it is.
    pub user_id: UserId,
    /// What the user calls it.
    pub title: Title,
    /// Where it stands.
    pub status: Status,
    /// Counts changes, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// In use.
    Open,
    /// Done with; removed after a while.
    Closed,
}

/// What happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody made it.
    Created,
}

impl Sample {
    /// A new one, open.
    pub fn new(
        id: SampleId,
        user_id: UserId,
        title: Title,
        now: DateTime<Utc>,
    ) -> (Self, Vec<Event>) {
        let created_at = now;
        let updated_at = now;
        let sample =
            Self { id, user_id, title, status: Status::Open, version: 1, created_at, updated_at };
        (sample, vec![Event::Created])
    }

    /// Closes it.
    #[must_use]
    pub fn close(self, now: DateTime<Utc>) -> (Self, Vec<Event>) {
        let closed = Self { status: Status::Closed, ..self.clone() };
        (self.changed_to(closed, now), vec![])
    }

    // template: if events=user
    /// Closes it, and forgets what the user wrote.
    #[must_use]
    pub fn erase(self, now: DateTime<Utc>) -> (Self, Vec<Event>) {
        let erased = Self { status: Status::Closed, title: Title::default(), ..self.clone() };
        (self.changed_to(erased, now), vec![])
    }
    // template: end

    fn changed_to(self, next: Self, now: DateTime<Utc>) -> Self {
        if next == self {
            return self;
        }
        Self { version: self.version + 1, updated_at: now, ..next }
    }
}

impl Status {
    /// The word for it in the API and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn sample() -> Sample {
        let id = SampleId::from_uuid(Uuid::nil());
        let user = UserId::from_uuid(Uuid::nil());
        let (sample, events) = Sample::new(id, user, Title::parse("First").unwrap(), at(0));
        assert_eq!((events, sample.version), (vec![Event::Created], 1));
        sample
    }

    #[test]
    fn what_is_closed_stays_as_it_is() {
        let (closed, _) = sample().close(at(1));
        let expected = (Status::Closed, 2, at(1));
        assert_eq!((closed.status, closed.version, closed.updated_at), expected);
        assert_eq!(closed.clone().close(at(2)).0, closed);
    }

    // template: if events=user
    #[test]
    fn what_is_erased_is_closed_and_keeps_nothing_of_the_user() {
        let (erased, _) = sample().close(at(1)).0.erase(at(2));
        assert_eq!((erased.status, erased.title.as_str(), erased.version), (Status::Closed, "", 3));
        assert_eq!(erased.clone().erase(at(3)).0, erased);
    }
    // template: end
}
