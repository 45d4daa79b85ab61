//! What the simulator remembers, all of it bounded.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::cards::Decline;
use super::idempotency::Entry;
use super::intents::Intent;
use super::{Charge, Fault, KEPT_MAX, RecordedRequest};

/// Everything, behind one lock that is never held over an `await`.
#[derive(Default)]
pub(super) struct State {
    pub(super) intents: Bounded<Intent>,
    pub(super) customers: Bounded<serde_json::Value>,
    pub(super) charges: Bounded<Charge>,
    /// By idempotency key.
    pub(super) keys: Bounded<Entry>,
    pub(super) requests: Bounded<RecordedRequest>,
    pub(super) faults: VecDeque<Fault>,
    /// How every card is declined during the call that is carried out now.
    pub(super) decline: Option<Decline>,
    /// How long the search does not know of a change.
    pub(super) search_lag: Duration,
}

/// A map of at most [`KEPT_MAX`] entries that remembers their order and forgets the oldest.
pub(super) struct Bounded<T> {
    entries: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Bounded<T> {
    /// Adds an entry, or replaces the one of that name without making it newer.
    pub(super) fn insert(&mut self, name: &str, value: T) {
        if self.entries.insert(name.to_owned(), value).is_some() {
            return;
        }
        self.order.push_back(name.to_owned());
        if self.order.len() > KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.entries.get_mut(name)
    }

    pub(super) fn remove(&mut self, name: &str) {
        if self.entries.remove(name).is_some() {
            self.order.retain(|kept| kept != name);
        }
    }

    /// Oldest first.
    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.order.iter().filter_map(|name| self.entries.get(name))
    }
}

/// An id in Stripe's style: `prefix_` and 32 letters and digits.
pub(super) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

/// Seconds since 1970, as Stripe's `created`.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::{Bounded, KEPT_MAX};

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut kept = Bounded::default();
        for number in 0..=KEPT_MAX {
            kept.insert(&number.to_string(), number);
        }
        assert_eq!(kept.values().count(), KEPT_MAX);
        assert_eq!(kept.get("0"), None);
        assert_eq!(kept.values().next(), Some(&1));
    }

    #[test]
    fn a_removed_entry_leaves_its_place() {
        let mut kept = Bounded::default();
        kept.insert("a", 1);
        kept.insert("b", 2);
        kept.remove("a");
        kept.insert("b", 3);
        assert_eq!(kept.values().collect::<Vec<_>>(), [&3]);
    }
}
