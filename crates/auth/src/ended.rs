//! Sessions that have ended although their access tokens have not: those are refused.
//!
//! An access token says what was so when it was signed, and is believed until its time is up. For
//! those minutes a service remembers which sessions have ended. Whoever runs the service fills the
//! memory (`platform::ended`); a request only looks into it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use telemetry::metrics::{counter, gauge, whole};
use uuid::Uuid;

/// Sessions that are remembered at most, some 50 bytes each. The one that ended first makes room,
/// since its tokens are the next to end by themselves.
const SESSIONS_MAX: usize = 100_000;

/// The sessions that have ended. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct EndedSessions(Arc<RwLock<Ended>>);

#[derive(Debug, Default)]
struct Ended {
    sessions: HashSet<Uuid>,
    /// The same, in the order in which they were heard of, each with when it can be forgotten.
    order: VecDeque<(DateTime<Utc>, Uuid)>,
}

/// Counts requests that were refused; 0 to have the series from the beginning, so that the first one
/// is an increase too.
fn count_refused(requests: u64) {
    let help = "Requests with an access token whose session has ended.";
    let refused = counter("auth_ended_session_refusals_total", help, &[]);
    refused.with_label_values::<&str>(&[]).inc_by(requests);
}

/// Shows how many sessions are remembered.
fn show(sessions: usize) {
    let help = "Sessions whose access tokens are refused because they have ended.";
    gauge("auth_ended_sessions", help, &[]).with_label_values::<&str>(&[]).set(whole(sessions));
}

impl EndedSessions {
    /// Remembers that a session has ended, until its last access token is over; forgets those for
    /// which it is `now` later than that.
    pub fn end(&self, session: Uuid, until: DateTime<Utc>, now: DateTime<Utc>) {
        let mut ended = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if until > now && ended.sessions.insert(session) {
            ended.order.push_back((until, session));
        }
        ended.forget(now);
    }

    /// Forgets the sessions whose last access token is over.
    pub fn forget(&self, now: DateTime<Utc>) {
        let mut ended = self.0.write().unwrap_or_else(PoisonError::into_inner);
        ended.forget(now);
        show(ended.order.len());
        count_refused(0);
    }

    /// Whether a session has ended, as far as is known here; counts those that have.
    pub(crate) fn refuses(&self, session: Uuid) -> bool {
        let ended = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let refuses = ended.sessions.contains(&session);
        if refuses {
            count_refused(1);
        }
        refuses
    }
}

impl Ended {
    fn forget(&mut self, now: DateTime<Utc>) {
        while let Some(&(until, session)) = self.order.front() {
            if until > now && self.order.len() <= SESSIONS_MAX {
                break;
            }
            self.order.pop_front();
            self.sessions.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_session_is_refused_until_its_last_token_is_over() {
        let ended = EndedSessions::default();
        let session = Uuid::from_u128(1);
        assert!(!ended.refuses(session));
        for _ in 0..2 {
            ended.end(session, at(900), at(0));
        }
        ended.forget(at(899));
        assert!(ended.refuses(session) && !ended.refuses(Uuid::from_u128(2)));
        ended.forget(at(900));
        assert!(!ended.refuses(session));
        ended.end(session, at(900), at(901));
        assert!(!ended.refuses(session), "it is over already");
    }

    #[test]
    fn no_more_sessions_are_remembered_than_there_is_room_for_and_the_first_one_goes() {
        let ended = EndedSessions::default();
        for number in 0..=SESSIONS_MAX {
            ended.end(Uuid::from_u128(number as u128), at(900), at(0));
        }
        assert_eq!(ended.0.read().unwrap().sessions.len(), SESSIONS_MAX);
        assert!(!ended.refuses(Uuid::from_u128(0)) && ended.refuses(Uuid::from_u128(1)));
    }
}
