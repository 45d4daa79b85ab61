//! Messages that are prefetched and in no handler yet: first come, first served, of one key one at a
//! time, and together where that is cheaper.

use std::collections::{HashSet, VecDeque};

use tokio::time::Instant;
use uuid::Uuid;

use crate::consumer::handlers::RouteId;

/// What a message is about, if its order matters.
pub(super) type Key = Option<Uuid>;

/// Bounded by the prefetch: the broker sends no more before something is acknowledged.
#[derive(Debug)]
pub(super) struct Queued<M> {
    items: VecDeque<Item<M>>,
    /// Keys whose messages a handler has at this moment.
    in_flight: HashSet<Uuid>,
}

/// A message.
#[derive(Debug)]
pub(super) struct Item<M> {
    pub(super) message: M,
    pub(super) key: Key,
    /// Those it may be handled together with; none: it is handled alone.
    pub(super) group: Option<Group>,
    /// When it is tried again; until then those of its key wait behind it.
    pub(super) not_before: Option<Instant>,
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

impl<M> Default for Queued<M> {
    fn default() -> Self {
        Self { items: VecDeque::new(), in_flight: HashSet::new() }
    }
}

impl<M> Queued<M> {
    pub(super) fn add(&mut self, item: Item<M>) {
        self.items.push_back(item);
    }

    /// Puts messages back before all others, in their order.
    pub(super) fn put_back(&mut self, items: Vec<Item<M>>) {
        for item in items.into_iter().rev() {
            self.items.push_front(item);
        }
    }

    /// The first message that can be handled, with those that are handled together with it; tell
    /// [`Queued::done`] about their keys. None: nothing can be before `done`, more messages, or
    /// the time that it says.
    pub(super) fn next(&mut self, now: Instant) -> Result<Vec<(M, Key)>, Option<Instant>> {
        // Nobody overtakes a message of the same key.
        let mut blocked = self.in_flight.clone();
        let (mut lingering, mut delayed) = (Vec::new(), Vec::new());
        for (index, item) in self.items.iter().enumerate() {
            if item.is_delayed(now) {
                delayed.extend(item.not_before);
            } else if item.is_free(&blocked) {
                let Some(group) = item.group else {
                    return Ok(self.take(&[index]));
                };
                if lingering.iter().all(|other: &Group| other.of != group.of) {
                    let members = self.members(index, group, &blocked);
                    if members.len() == group.max || group.until <= now {
                        return Ok(self.take(&members));
                    }
                    lingering.push(group);
                }
            }
            blocked.extend(item.key);
        }
        Err(lingering.iter().map(|group| group.until).chain(delayed).min())
    }

    /// Lets no message wait any longer for others to be handled together with.
    pub(super) fn flush(&mut self) {
        let now = Instant::now();
        for group in self.items.iter_mut().filter_map(|item| item.group.as_mut()) {
            group.until = group.until.min(now);
        }
    }

    /// Forgets the messages that are not for this consumer any more.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&M) -> bool) {
        self.items.retain(|item| is_kept(&item.message));
    }

    /// Says that the messages of these keys are handled.
    pub(super) fn done(&mut self, keys: &[Key]) {
        for key in keys.iter().flatten() {
            self.in_flight.remove(key);
        }
    }

    /// Where the messages are that can be handled together with the one at `first`.
    fn members(&self, first: usize, group: Group, blocked: &HashSet<Uuid>) -> Vec<usize> {
        let mut blocked = blocked.clone();
        let mut members = Vec::new();
        for (index, item) in self.items.iter().enumerate().skip(first) {
            if members.len() == group.max {
                break;
            }
            let is_of_group = item.group.is_some_and(|other| other.of == group.of);
            if is_of_group && item.is_free(&blocked) {
                members.push(index);
            } else {
                blocked.extend(item.key);
            }
        }
        members
    }

    /// Takes out what is at these places, which ascend.
    fn take(&mut self, places: &[usize]) -> Vec<(M, Key)> {
        let taken = places.iter().rev().filter_map(|place| self.items.remove(*place));
        let mut taken: Vec<_> = taken.map(|item| (item.message, item.key)).collect();
        taken.reverse();
        self.in_flight.extend(taken.iter().filter_map(|(_, key)| *key));
        taken
    }
}

impl<M> Item<M> {
    fn is_delayed(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|not_before| now < not_before)
    }

    fn is_free(&self, blocked: &HashSet<Uuid>) -> bool {
        self.key.is_none_or(|key| !blocked.contains(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::{Group, Item, Key, Queued};
    use std::time::Duration;
    use tokio::time::Instant;
    use uuid::Uuid;

    const A: Key = Some(Uuid::from_u128(1));
    const B: Key = Some(Uuid::from_u128(2));

    #[test]
    fn messages_of_one_key_come_one_at_a_time_and_hold_up_no_others() {
        let now = Instant::now();
        let mut queued = Queued::default();
        for (key, message) in [(A, 1), (A, 2), (B, 3), (None, 4), (None, 5)] {
            queued.add(alone(message, key));
        }

        assert_eq!(queued.next(now), Ok(vec![(1, A)]));
        assert_eq!(queued.next(now), Ok(vec![(3, B)]));
        assert_eq!(queued.next(now), Ok(vec![(4, None)]));
        assert_eq!(queued.next(now), Ok(vec![(5, None)]));
        assert_eq!(queued.next(now), Err(None), "the second of a key waits for the first");
        queued.done(&[A]);
        assert_eq!(queued.next(now), Ok(vec![(2, A)]));
    }

    #[test]
    fn a_batch_is_taken_when_it_is_full_or_its_first_message_has_waited_long_enough() {
        let now = Instant::now();
        let later = now + Duration::from_millis(5);
        let mut queued = Queued::default();
        let mut add = |message| queued.add(batched(message, None, later));
        for message in 1..=4 {
            add(message);
        }

        assert_eq!(queued.next(now), Ok(vec![(1, None), (2, None), (3, None)]));
        assert_eq!(queued.next(now), Err(Some(later)), "the fourth waits for others");
        queued.add(alone(5, None));
        assert_eq!(queued.next(now), Ok(vec![(5, None)]), "it holds up no others");
        assert_eq!(queued.next(later), Ok(vec![(4, None)]));
    }

    #[test]
    fn a_flush_ends_the_wait_for_others() {
        let later = Instant::now() + Duration::from_mins(1);
        let mut queued = Queued::default();
        queued.add(batched(1, None, later));
        assert_eq!(queued.next(Instant::now()), Err(Some(later)));

        queued.flush();

        assert_eq!(queued.next(Instant::now()), Ok(vec![(1, None)]));
    }

    #[test]
    fn in_a_batch_nobody_overtakes_a_message_of_the_same_key() {
        let now = Instant::now();
        let mut queued = Queued::default();
        queued.add(batched(1, A, now));
        queued.add(batched(2, A, now));
        queued.add(alone(3, B));
        queued.add(batched(4, B, now));

        assert_eq!(queued.next(now), Ok(vec![(1, A), (2, A)]));
        assert_eq!(queued.next(now), Ok(vec![(3, B)]));
        assert_eq!(queued.next(now), Err(None));
        queued.put_back(vec![alone(1, A), alone(2, A)]);
        queued.done(&[A]);
        assert_eq!(queued.next(now), Ok(vec![(1, A)]), "what is put back comes alone");
        queued.done(&[B]);
        assert_eq!(queued.next(now), Ok(vec![(4, B)]));
    }

    #[test]
    fn a_message_that_is_tried_again_later_holds_up_those_of_its_key_alone() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut queued = Queued::default();
        queued.add(alone(2, A));
        queued.add(alone(3, B));
        queued.put_back(vec![Item { not_before: Some(later), ..alone(1, A) }]);

        assert_eq!(queued.next(now), Ok(vec![(3, B)]));
        assert_eq!(queued.next(now), Err(Some(later)));
        assert_eq!(queued.next(later), Ok(vec![(1, A)]));
        queued.done(&[A]);
        assert_eq!(queued.next(later), Ok(vec![(2, A)]));
    }

    fn alone(message: i32, key: Key) -> Item<i32> {
        Item { message, key, group: None, not_before: None }
    }

    fn batched(message: i32, key: Key, until: Instant) -> Item<i32> {
        let group = Some(Group { of: ("user.created", 1), max: 3, until });
        Item { group, ..alone(message, key) }
    }
}
