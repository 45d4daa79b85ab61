//! The erasure of a user, seen through: a process manager waits until every service that reads
//! `user.deleted` has confirmed that it erased what it knew, and asks again those that do not.
//!
//! ```text
//!   DELETE /api/users/{id}                           the user's row, in one transaction with
//!     deleted ──▶ waits for [payment, notification]    user.deleted, and the deadline
//!       confirmed by payment ──▶ waits for [notification]
//!         timed out ──▶ waits for [notification]       user.deleted again, and another deadline
//!           confirmed by notification ──▶ ended
//! ```
//!
//! A confirmation that comes twice, late, for a user of whom no erasure is known, or from a service that is not
//! waited for does nothing. Whoever has erased erases again when asked again, which changes nothing. The
//! state holds the user's id and the names of services.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::Clock;
use chrono::{DateTime, Utc};
use contracts::UserId;
use contracts::user::{UserDeleted, UserErasureTimedOut};
use messaging::Outbox;
use messaging::process_manager::{Process, ProcessError, Step, handle};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// The process of one user's erasure. Its key is the user's id.
pub(crate) struct Erasure;

/// Who has to confirm still; nobody, when it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) user_id: UserId,
    /// The names of services, as in services.tsk.
    pub(crate) missing: BTreeSet<String>,
}

/// What may happen to it.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// The user was deleted.
    Deleted { user_id: UserId, terms: Terms },
    /// A service has erased the user.
    Confirmed { by: String },
    /// Not all of them have in time.
    TimedOut { terms: Terms },
}

/// Who has to confirm, and until when, as the settings of now say.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    readers: Arc<BTreeSet<String>>,
    until: DateTime<Utc>,
}

impl Process for Erasure {
    const KIND: &'static str = "erasure";
    type State = Waiting;
    type Message = Message;

    fn step(state: Option<Waiting>, message: Message) -> Option<Step<Waiting>> {
        match (state, message) {
            (_, Message::Deleted { user_id, terms }) => {
                let missing = terms.readers.as_ref().clone();
                // It is said also where nobody has to confirm.
                let step = wait(Waiting { user_id, missing }, terms.until);
                Some(step.publish(UserDeleted { user_id }))
            }
            (Some(mut state), Message::Confirmed { by }) => {
                if !state.missing.remove(&by) {
                    return None;
                }
                let is_last = state.missing.is_empty();
                let step = Step::to(state);
                Some(if is_last { step.end() } else { step.keep_deadline() })
            }
            (Some(mut state), Message::TimedOut { terms }) if !state.missing.is_empty() => {
                // A service that reads the event no more is gone, with what it knew.
                state.missing.retain(|service| terms.readers.contains(service));
                let user_id = state.user_id;
                let is_missing = !state.missing.is_empty();
                let step = wait(state, terms.until);
                Some(if is_missing { step.publish(UserDeleted { user_id }) } else { step })
            }
            // It has ended, or there is none.
            _ => None,
        }
    }
}

/// Waits for those that are missing; ends where there are none.
fn wait(state: Waiting, until: DateTime<Utc>) -> Step<Waiting> {
    let user_id = state.user_id;
    let is_done = state.missing.is_empty();
    let step = Step::to(state);
    if is_done { step.end() } else { step.deadline(until, UserErasureTimedOut { user_id }) }
}

/// Takes a step of a user's erasure, in the caller's transaction; `at` is the time of what is sent. Gives who
/// is missing then, none when the message does nothing.
pub(crate) async fn step(
    (outbox, clock): (&Outbox, &Clock),
    tx: &mut PgConnection,
    (user, at): (UserId, DateTime<Utc>),
    message: Message,
) -> Result<Option<Waiting>, ProcessError> {
    let key = user.to_string();
    handle::<Erasure>(tx, outbox, &key, at, || clock.new_id(), message).await
}

/// How erasures are led. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ErasureTerms {
    readers: Arc<BTreeSet<String>>,
    confirm_within: Duration,
}

impl ErasureTerms {
    pub(crate) fn new(readers: BTreeSet<String>, confirm_within: Duration) -> Self {
        Self { readers: Arc::new(readers), confirm_within }
    }

    /// Whether anybody has to confirm.
    pub(crate) fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    /// For those who are asked now.
    pub(crate) fn at(&self, now: DateTime<Utc>) -> Terms {
        Terms { readers: Arc::clone(&self.readers), until: now + self.confirm_within }
    }

    /// Erasures that began before then take too long.
    pub(crate) fn overdue_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - self.confirm_within
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const READERS: [&str; 3] = ["notification-service", "orders-service", "payment-service"];

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn terms(readers: &[&str]) -> Terms {
        let terms = ErasureTerms::new(set(readers), Duration::from_hours(24));
        terms.at(DateTime::from_timestamp(0, 0).unwrap())
    }

    fn deleted(readers: &[&str]) -> Step<Waiting> {
        let message = Message::Deleted { user_id: user_id(), terms: terms(readers) };
        Erasure::step(None, message).unwrap()
    }

    fn user_id() -> UserId {
        UserId::from_uuid(Uuid::from_u128(7))
    }

    fn confirmed(by: &str) -> Message {
        Message::Confirmed { by: by.to_owned() }
    }

    fn is_asking(step: &Step<Waiting>) -> bool {
        step.published().eq(["user.deleted"])
    }

    #[test]
    fn without_readers_it_is_said_and_ends_at_once() {
        let step = deleted(&[]);
        assert!(is_asking(&step) && step.has_ended());
    }

    #[test]
    fn what_comes_before_a_deletion_or_is_of_nobody_does_nothing() {
        assert!(Erasure::step(None, confirmed(READERS[0])).is_none());
        assert!(Erasure::step(None, Message::TimedOut { terms: terms(&READERS) }).is_none());
    }

    #[test]
    fn a_service_that_reads_the_event_no_more_is_not_waited_for_after_the_deadline() {
        let waiting = deleted(&READERS).state().clone();
        let timed_out = Message::TimedOut { terms: terms(&READERS[..1]) };
        let step = Erasure::step(Some(waiting), timed_out).unwrap();
        assert_eq!(step.state().missing, set(&READERS[..1]));
        assert!(is_asking(&step) && !step.has_ended());
        let timed_out = Message::TimedOut { terms: terms(&[]) };
        let step = Erasure::step(Some(step.state().clone()), timed_out).unwrap();
        assert!(step.has_ended() && step.published().eq([""; 0]), "nobody is left to ask");
    }

    #[test]
    fn a_state_is_kept_as_json_that_later_versions_read() {
        let json = serde_json::to_value(deleted(&READERS[1..]).state()).unwrap();
        let expected = serde_json::json!({
            "user_id": user_id(), "missing": ["orders-service", "payment-service"],
        });
        assert_eq!(json, expected);
        assert_eq!(
            &serde_json::from_value::<Waiting>(json).unwrap(),
            deleted(&READERS[1..]).state()
        );
    }

    proptest! {
        /// Confirmations in any order, twice, of strangers, and deadlines in between and after.
        #[test]
        fn it_ends_with_the_last_confirmation_and_asks_again_as_long_as_one_is_missing(
            steps in vec(prop_oneof![
                4 => (0..READERS.len()).prop_map(|index| Some(READERS[index])),
                1 => Just(Some("stranger-service")),
                1 => Just(None),
            ], 0..20),
        ) {
            let first = deleted(&READERS);
            prop_assert!(is_asking(&first) && !first.has_ended());
            let (mut state, mut missing) = (first.state().clone(), set(&READERS));
            for by in steps {
                let was_open = !missing.is_empty();
                let (message, is_step) = match by {
                    Some(by) => (confirmed(by), missing.remove(by)),
                    None => (Message::TimedOut { terms: terms(&READERS) }, was_open),
                };
                let step = Erasure::step(Some(state.clone()), message);
                prop_assert_eq!(step.is_some(), is_step);
                let Some(step) = step else { continue };
                prop_assert_eq!(&step.state().missing, &missing);
                prop_assert_eq!(step.has_ended(), missing.is_empty());
                prop_assert_eq!(is_asking(&step), by.is_none());
                state = step.state().clone();
            }
        }
    }
}
