//! Where a partition's fresh rows begin. Rows that were sent leave dead entries in the index until
//! the database clears them away, which it cannot while somebody reads an old snapshot: a poll that
//! began at the first of them would take longer with every row that was ever sent.
//!
//! A row's id is drawn before its transaction commits, and a transaction may take its time; it has its
//! number by then (`outbox::insert`). So a
//! partition's floor rises only over ids that no transaction can write any more: over those drawn
//! before one poll, once all transactions that had begun to write by the next poll have ended. No row
//! appears below a floor then, and an event is never sent before an earlier one of its aggregate.

use std::time::Duration;

use tokio::time::Instant;

use crate::outbox::PARTITIONS;

/// How often a poll begins at the very first row all the same: for rows that somebody wrote by hand.
const WHOLE_INTERVAL: Duration = Duration::from_secs(60);

/// What one poll at the outbox sees, all at the same moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshot {
    /// The last id that was drawn.
    pub(super) last_id: i64,
    /// The first transaction that had not ended; not above the first that has not begun.
    pub(super) first_open: i64,
    /// The number that the next transaction to write gets. Those of all that write, and have not ended, are
    /// below it.
    pub(super) next: i64,
}

/// The least ids from which partitions are polled.
#[derive(Debug)]
pub(super) struct Floors {
    ids: [i64; PARTITIONS as usize],
    /// Up to here, whoever drew an id has ended.
    settled: i64,
    /// Up to this id they have, once all transactions before this one have ended.
    pending: Option<(i64, i64)>,
    last_id: i64,
    next: i64,
    whole_at: Instant,
}

impl Floors {
    pub(super) fn new(now: Instant) -> Self {
        let ids = [0; PARTITIONS as usize];
        Self { ids, settled: 0, pending: None, last_id: 0, next: 0, whole_at: now + WHOLE_INTERVAL }
    }

    /// Where a poll at a partition begins now.
    pub(super) fn of(&self, partition: i16) -> i64 {
        self.ids[usize::from(partition.unsigned_abs())]
    }

    /// Where a poll begins, of all partitions in order. Now and then that is at the very first row.
    pub(super) fn begin_poll(&mut self, now: Instant) -> Vec<i64> {
        if now >= self.whole_at {
            self.ids = [0; PARTITIONS as usize];
            self.whole_at = now + WHOLE_INTERVAL;
        }
        self.ids.to_vec()
    }

    /// Takes in what a poll saw, and the first row that it found in each partition from its floor on.
    pub(super) fn observe(&mut self, snapshot: Snapshot, first_rows: &[Option<i64>]) {
        // A standby took over that had not heard of all: ids and numbers are given out a second time.
        if snapshot.last_id < self.last_id || snapshot.next < self.next {
            (self.settled, self.pending, self.last_id) = (0, None, 0);
        }
        self.next = snapshot.next;
        if let Some((id, _)) = self.pending.take_if(|(_, open)| snapshot.first_open >= *open) {
            self.settled = id;
        }
        if self.pending.is_none() && self.last_id > self.settled {
            self.pending = Some((self.last_id, snapshot.next));
        }
        // Ids that were drawn during this poll are known to be so at the next one.
        self.last_id = snapshot.last_id;
        for (floor, first_row) in self.ids.iter_mut().zip(first_rows) {
            *floor = first_row.map_or(self.settled + 1, |row| row.min(self.settled + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Floors, Snapshot, WHOLE_INTERVAL};
    use tokio::time::Instant;

    const EMPTY: [Option<i64>; 8] = [None; 8];

    #[test]
    fn a_floor_stays_below_ids_that_an_open_transaction_may_have_drawn() {
        let start = Instant::now();
        let mut floors = Floors::new(start);
        // Transaction 5 has drawn an id up to 100, and is open for long.
        floors.observe(Snapshot { last_id: 100, first_open: 5, next: 9 }, &EMPTY);
        floors.observe(Snapshot { last_id: 120, first_open: 5, next: 12 }, &EMPTY);
        floors.observe(Snapshot { last_id: 150, first_open: 5, next: 30 }, &EMPTY);
        assert_eq!(floors.of(0), 1);

        // It ends, and what it wrote is the first row.
        let mut first = EMPTY;
        first[0] = Some(90);
        floors.observe(Snapshot { last_id: 150, first_open: 30, next: 30 }, &first);
        assert_eq!((floors.of(0), floors.of(1)), (90, 101));
    }

    #[test]
    fn ids_drawn_during_a_poll_count_from_the_next_one_on() {
        let mut floors = Floors::new(Instant::now());
        // Transaction 9 begins after the snapshot of this poll, and draws 100 before it ends.
        floors.observe(Snapshot { last_id: 100, first_open: 9, next: 9 }, &EMPTY);
        floors.observe(Snapshot { last_id: 100, first_open: 9, next: 10 }, &EMPTY);
        assert_eq!(floors.of(0), 1, "9 is open");
        floors.observe(Snapshot { last_id: 100, first_open: 10, next: 10 }, &EMPTY);
        assert_eq!(floors.of(0), 101);
    }

    #[test]
    fn nothing_is_known_of_a_server_that_has_drawn_fewer_ids_than_the_one_before() {
        let mut floors = Floors::new(Instant::now());
        for _ in 0..3 {
            floors.observe(Snapshot { last_id: 1000, first_open: 9, next: 9 }, &EMPTY);
        }
        assert_eq!(floors.of(0), 1001);
        for expected in [1, 1, 901] {
            floors.observe(Snapshot { last_id: 900, first_open: 9, next: 9 }, &EMPTY);
            assert_eq!(floors.of(0), expected);
        }
        // Its numbers may be fewer as well, though it has drawn more ids by now.
        floors.observe(Snapshot { last_id: 950, first_open: 7, next: 7 }, &EMPTY);
        assert_eq!(floors.of(0), 1);
    }

    #[test]
    fn now_and_then_a_poll_begins_at_the_very_first_row() {
        let start = Instant::now();
        let mut floors = Floors::new(start);
        for _ in 0..3 {
            floors.observe(Snapshot { last_id: 7, first_open: 3, next: 3 }, &EMPTY);
        }
        assert_eq!(floors.begin_poll(start), [8; 8]);
        assert_eq!(floors.begin_poll(start + WHOLE_INTERVAL), [0; 8]);
    }
}
