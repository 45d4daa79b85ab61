//! Where a partition's fresh rows begin. Rows that were sent leave dead entries in the index until
//! the database clears them away, which it cannot while somebody reads an old snapshot: a look that
//! began at the first of them would take longer with every row that was ever sent.

use std::time::Duration;

use tokio::time::Instant;

/// How long ago a row must have been the first one for a look to begin with it. A transaction draws
/// a row's id before it commits: one that is shorter than this is never passed over.
const LAG: Duration = Duration::from_secs(5);
/// How often a look begins at the very first row, for what longer transactions wrote.
const WHOLE_INTERVAL: Duration = Duration::from_secs(10);

/// The least id from which one partition is looked at.
#[derive(Debug)]
pub(super) struct Floor {
    id: i64,
    /// The id that the floor rises to, and since when it may.
    next: Option<(Instant, i64)>,
    whole_at: Instant,
}

impl Floor {
    pub(super) fn new(now: Instant) -> Self {
        Self { id: 0, next: None, whole_at: now + WHOLE_INTERVAL }
    }

    /// Where a look begins now.
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Notes the first id that a look found, or the last one that it removed.
    pub(super) fn found(&mut self, id: i64, now: Instant) {
        match self.next {
            Some((since, next)) if now.duration_since(since) >= LAG => {
                self.id = self.id.max(next);
                self.next = Some((now, id));
            }
            Some(_) => {}
            None => self.next = Some((now, id)),
        }
    }

    /// Lets the next look begin at the very first row, if it is time.
    pub(super) fn look_at_all(&mut self, now: Instant) {
        if now >= self.whole_at {
            *self = Self::new(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Floor, LAG, WHOLE_INTERVAL};
    use tokio::time::Instant;

    #[test]
    fn a_look_begins_where_the_first_row_was_some_seconds_ago_and_now_and_then_at_the_very_first() {
        let start = Instant::now();
        let mut floor = Floor::new(start);
        floor.found(7, start);
        floor.found(9, start + LAG / 2);
        assert_eq!(floor.id(), 0, "a transaction of this moment may still write the row 8");
        floor.found(12, start + LAG);
        assert_eq!(floor.id(), 7);
        floor.found(15, start + LAG * 3 / 2);
        assert_eq!(floor.id(), 7, "12 was the first one too short a time ago");

        floor.look_at_all(start + WHOLE_INTERVAL / 2);
        assert_eq!(floor.id(), 7);
        floor.look_at_all(start + WHOLE_INTERVAL);
        assert_eq!(floor.id(), 0);
    }
}
