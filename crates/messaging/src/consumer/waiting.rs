//! Messages in hand that no handler has yet: first come, first served, of one key one at a time, and
//! together where that is cheaper.

use std::collections::{HashSet, VecDeque};

use tokio::time::Instant;
use uuid::Uuid;

use crate::consumer::handlers::RouteId;

/// What a message is about, if its order matters.
pub(super) type Key = Option<Uuid>;

/// Bounded by the prefetch: the broker sends no more before something is acknowledged.
#[derive(Debug)]
pub(super) struct Waiting<M> {
    entries: VecDeque<Entry<M>>,
    /// Keys whose messages are in a handler's hands.
    busy: HashSet<Uuid>,
}

/// A message.
#[derive(Debug)]
pub(super) struct Entry<M> {
    pub(super) message: M,
    pub(super) key: Key,
    /// Those it may be handled together with; none: it is handled alone.
    pub(super) group: Option<Group>,
}

/// The messages of one route that are handled together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) of: RouteId,
    /// How many at most.
    pub(super) max: usize,
    /// When the message waits for others no longer.
    pub(super) until: Instant,
}

impl<M> Default for Waiting<M> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), busy: HashSet::new() }
    }
}

impl<M> Waiting<M> {
    pub(super) fn add(&mut self, entry: Entry<M>) {
        self.entries.push_back(entry);
    }

    /// Puts messages back before all others, in their order, each to be handled alone.
    pub(super) fn put_back(&mut self, messages: Vec<(M, Key)>) {
        for (message, key) in messages.into_iter().rev() {
            self.entries.push_front(Entry { message, key, group: None });
        }
    }

    /// The first message that can be handled, with those that are handled together with it; tell
    /// [`Waiting::done`] about their keys. None: nothing can be before `done`, more messages, or
    /// the time that it says.
    pub(super) fn next(&mut self, now: Instant) -> Result<Vec<(M, Key)>, Option<Instant>> {
        // Nobody overtakes a message of the same key.
        let mut held = self.busy.clone();
        let mut lingering = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if entry.is_free(&held) {
                let Some(group) = entry.group else {
                    return Ok(self.take(&[index]));
                };
                if lingering.iter().all(|other: &Group| other.of != group.of) {
                    let members = self.members(index, group, &held);
                    if members.len() == group.max || group.until <= now {
                        return Ok(self.take(&members));
                    }
                    lingering.push(group);
                }
            }
            held.extend(entry.key);
        }
        Err(lingering.iter().map(|group| group.until).min())
    }

    pub(super) fn done(&mut self, keys: &[Key]) {
        for key in keys.iter().flatten() {
            self.busy.remove(key);
        }
    }

    /// Where the messages are that can be handled together with the one at `first`.
    fn members(&self, first: usize, group: Group, held: &HashSet<Uuid>) -> Vec<usize> {
        let (mut held, mut members) = (held.clone(), Vec::new());
        for (index, entry) in self.entries.iter().enumerate().skip(first) {
            if members.len() == group.max {
                break;
            }
            let is_of_group = entry.group.is_some_and(|other| other.of == group.of);
            if is_of_group && entry.is_free(&held) {
                members.push(index);
            } else {
                held.extend(entry.key);
            }
        }
        members
    }

    /// Takes out what is at these places, which ascend.
    fn take(&mut self, places: &[usize]) -> Vec<(M, Key)> {
        let taken = places.iter().rev().filter_map(|place| self.entries.remove(*place));
        let mut taken: Vec<_> = taken.map(|entry| (entry.message, entry.key)).collect();
        taken.reverse();
        self.busy.extend(taken.iter().filter_map(|(_, key)| *key));
        taken
    }
}

impl<M> Entry<M> {
    fn is_free(&self, held: &HashSet<Uuid>) -> bool {
        self.key.is_none_or(|key| !held.contains(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Group, Key, Waiting};
    use std::time::Duration;
    use tokio::time::Instant;
    use uuid::Uuid;

    const A: Key = Some(Uuid::from_u128(1));
    const B: Key = Some(Uuid::from_u128(2));

    #[test]
    fn messages_of_one_key_come_one_at_a_time_and_hold_up_no_others() {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        for (key, message) in [(A, 1), (A, 2), (B, 3), (None, 4), (None, 5)] {
            waiting.add(Entry { message, key, group: None });
        }

        assert_eq!(waiting.next(now), Ok(vec![(1, A)]));
        assert_eq!(waiting.next(now), Ok(vec![(3, B)]));
        assert_eq!(waiting.next(now), Ok(vec![(4, None)]));
        assert_eq!(waiting.next(now), Ok(vec![(5, None)]));
        assert_eq!(waiting.next(now), Err(None), "the second of a key waits for the first");
        waiting.done(&[A]);
        assert_eq!(waiting.next(now), Ok(vec![(2, A)]));
    }

    #[test]
    fn a_batch_is_taken_when_it_is_full_or_its_first_message_has_waited_long_enough() {
        let now = Instant::now();
        let later = now + Duration::from_millis(5);
        let mut waiting = Waiting::default();
        let mut add = |message| waiting.add(batched(message, None, later));
        for message in 1..=4 {
            add(message);
        }

        assert_eq!(waiting.next(now), Ok(vec![(1, None), (2, None), (3, None)]));
        assert_eq!(waiting.next(now), Err(Some(later)), "the fourth waits for others");
        waiting.add(Entry { message: 5, key: None, group: None });
        assert_eq!(waiting.next(now), Ok(vec![(5, None)]), "it holds up no others");
        assert_eq!(waiting.next(later), Ok(vec![(4, None)]));
    }

    #[test]
    fn in_a_batch_nobody_overtakes_a_message_of_the_same_key() {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        waiting.add(batched(1, A, now));
        waiting.add(batched(2, A, now));
        waiting.add(Entry { message: 3, key: B, group: None });
        waiting.add(batched(4, B, now));

        assert_eq!(waiting.next(now), Ok(vec![(1, A), (2, A)]));
        assert_eq!(waiting.next(now), Ok(vec![(3, B)]));
        assert_eq!(waiting.next(now), Err(None));
        waiting.put_back(vec![(1, A), (2, A)]);
        waiting.done(&[A]);
        assert_eq!(waiting.next(now), Ok(vec![(1, A)]), "what is put back comes alone");
        waiting.done(&[B]);
        assert_eq!(waiting.next(now), Ok(vec![(4, B)]));
    }

    fn batched(message: i32, key: Key, until: Instant) -> Entry<i32> {
        Entry { message, key, group: Some(Group { of: ("user.created", 1), max: 3, until }) }
    }
}
