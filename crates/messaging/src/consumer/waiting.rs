//! Messages in hand that no handler has yet: first come, first served, and of one key one at a time.

use std::collections::{HashSet, VecDeque};

use uuid::Uuid;

/// What a message is about, if its order matters.
type Key = Option<Uuid>;

/// Bounded by the prefetch: the broker sends no more before something is acknowledged.
#[derive(Debug)]
pub(super) struct Waiting<M> {
    messages: VecDeque<(M, Key)>,
    /// Keys whose message is in a handler's hands.
    busy: HashSet<Uuid>,
}

impl<M> Default for Waiting<M> {
    fn default() -> Self {
        Self { messages: VecDeque::new(), busy: HashSet::new() }
    }
}

impl<M> Waiting<M> {
    pub(super) fn add(&mut self, key: Key, message: M) {
        self.messages.push_back((message, key));
    }

    /// The first message whose key nobody works on; tell [`Waiting::done`] about its key.
    pub(super) fn next(&mut self) -> Option<(M, Key)> {
        let is_free = |key: &Key| key.as_ref().is_none_or(|key| !self.busy.contains(key));
        let index = self.messages.iter().position(|(_, key)| is_free(key))?;
        let (message, key) = self.messages.remove(index)?;
        self.busy.extend(key);
        Some((message, key))
    }

    pub(super) fn done(&mut self, key: Key) {
        if let Some(key) = key {
            self.busy.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Waiting;
    use uuid::Uuid;

    #[test]
    fn messages_of_one_key_come_one_at_a_time_and_hold_up_no_others() {
        let mut waiting = Waiting::default();
        let key = |number| Some(Uuid::from_u128(number));
        for (key, message) in [(key(1), 1), (key(1), 2), (key(2), 3), (None, 4), (None, 5)] {
            waiting.add(key, message);
        }
        let mut next = || waiting.next();

        assert_eq!(next(), Some((1, key(1))));
        assert_eq!(next(), Some((3, key(2))));
        assert_eq!((next(), next()), (Some((4, None)), Some((5, None))));
        assert_eq!(next(), None, "the second of a key waits for the first");
        waiting.done(key(1));
        assert_eq!(waiting.next(), Some((2, key(1))));
    }
}
