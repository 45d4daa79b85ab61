//! The oldest of many, in bounded memory: a scan sees messages in any order, and keeps few.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

/// Where a dead letter stands in time. Without a time it comes first; the id and the delivery tag make
/// the order a total one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age {
    pub(super) last_failed_at: Option<DateTime<Utc>>,
    pub(super) id: String,
    pub(super) delivery_tag: u64,
}

/// The oldest of what was offered: up to a number, and up to a number of bytes.
#[derive(Debug)]
pub(super) struct Oldest<T> {
    limit: usize,
    bytes_max: usize,
    bytes: usize,
    kept: BTreeMap<Age, (T, usize)>,
    /// The oldest that was let go. Nothing newer is kept, so that what is kept has no gaps.
    let_go: Option<Age>,
}

impl<T> Oldest<T> {
    /// Keeps `limit` at most, and `bytes_max` bytes unless one alone is larger.
    pub(super) fn new(limit: usize, bytes_max: usize) -> Self {
        Self { limit, bytes_max, bytes: 0, kept: BTreeMap::new(), let_go: None }
    }

    /// Keeps `value`, which takes so many bytes, if it is among the oldest.
    pub(super) fn offer(&mut self, age: Age, bytes: usize, value: T) {
        if self.let_go.as_ref().is_some_and(|newer| age > *newer) {
            return;
        }
        self.kept.insert(age, (value, bytes));
        self.bytes += bytes;
        while self.kept.len() > self.limit || (self.bytes > self.bytes_max && self.kept.len() > 1) {
            let Some((age, (_, bytes))) = self.kept.pop_last() else { return };
            self.bytes -= bytes;
            self.let_go = Some(age);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether fewer are kept than the limit allows, because of their bytes.
    pub(super) fn is_cut_by_bytes(&self) -> bool {
        self.let_go.is_some() && self.kept.len() < self.limit
    }

    /// The ids, oldest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.kept.keys().map(|age| age.id.as_str())
    }

    /// What is kept, oldest first.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.kept.into_values().map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::{Age, Oldest};
    use chrono::DateTime;

    fn age(seconds: i64) -> Age {
        let last_failed_at = DateTime::from_timestamp(seconds, 0);
        Age { last_failed_at, id: seconds.to_string(), delivery_tag: 1 }
    }

    fn kept(limit: usize, bytes_max: usize, offered: &[(i64, usize)]) -> Vec<i64> {
        let mut oldest = Oldest::new(limit, bytes_max);
        for (seconds, bytes) in offered {
            oldest.offer(age(*seconds), *bytes, *seconds);
        }
        oldest.into_values().collect()
    }

    #[test]
    fn the_oldest_are_kept_in_order_however_they_come() {
        let offered = [(5, 1), (3, 1), (9, 1), (1, 1), (7, 1)];

        assert_eq!(kept(3, 100, &offered), [1, 3, 5]);
        assert_eq!(kept(9, 100, &offered), [1, 3, 5, 7, 9]);
    }

    #[test]
    fn what_is_kept_by_its_bytes_has_no_gaps_and_is_never_nothing() {
        // 3 does not fit beside 1 and 2; 4 would, and is newer.
        assert_eq!(kept(9, 10, &[(1, 4), (2, 4), (3, 4), (4, 1)]), [1, 2]);
        assert_eq!(kept(9, 10, &[(1, 50), (2, 1)]), [1]);
    }
}
