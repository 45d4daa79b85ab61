//! What this process counts itself, for when Redis is away: a bounded number of cells.

use std::collections::HashMap;

use crate::backoff::{Curve, Decision};
use crate::gcra::{Quota, Reading};

/// Cells at most, of some hundred bytes each. Whoever can fill them while Redis is away has as many
/// addresses or accounts.
const CELLS_MAX: usize = 20_000;

/// What is remembered under one key. Times are microseconds of the caller's clock.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// Of a quota: the moment that GCRA remembers.
    arrival: u64,
    /// Of a back-off: failures, and until when the next try is refused.
    failures: u32,
    blocked_until: u64,
    /// From when on the cell says nothing any more.
    expires: u64,
}

/// Between two sweeps of cells whose time is over, in microseconds: a flood of keys must not make
/// each request look at all cells.
const SWEEP_DELAY: u64 = 1_000_000;

/// Cells by their keys.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    cells: HashMap<String, Cell>,
    /// When the next sweep may be.
    sweep_at: u64,
}

impl Cells {
    /// Counts a request against all quotas, or against none when one of them is used up.
    pub(crate) fn count(&mut self, cells: &[(String, Quota)], now: u64) -> Vec<Reading> {
        let arrivals: Vec<u64> = cells
            .iter()
            .map(|(key, quota)| quota.arrival(self.get(key, now).arrival, now))
            .collect();
        let wait = |(quota, arrival): (Quota, u64)| quota.wait(arrival, now);
        let quotas = || cells.iter().map(|(_, quota)| *quota).zip(arrivals.iter().copied());
        let is_refused = quotas().any(|pair| wait(pair) > 0);
        let mut readings = Vec::with_capacity(cells.len());
        for ((key, quota), arrival) in cells.iter().zip(arrivals.iter().copied()) {
            let waits = quota.wait(arrival, now);
            let mut after = arrival;
            if !is_refused {
                after += quota.interval();
                self.put(key, Cell { arrival: after, expires: after, ..Cell::default() }, now);
            }
            readings.push(quota.reading(waits, after, now));
        }
        readings
    }

    /// Decides on a try of a back-off, and counts it as a failure until it is told otherwise.
    pub(crate) fn attempt(&mut self, keys: &[String; 3], curve: &Curve, now: u64) -> Decision {
        let [tries, account, known] = keys;
        let cell = self.get(tries, now);
        if cell.blocked_until > now {
            return Decision::blocked(cell.blocked_until - now, cell.failures);
        }
        if self.get(known, now).expires <= now {
            let counted = self.count(&[(account.clone(), curve.account)], now);
            if let Some(reading) = counted.first().filter(|reading| !reading.wait.is_zero()) {
                return Decision::AccountBlocked { wait: reading.wait };
            }
        }
        let failures = cell.failures.saturating_add(1);
        self.put_failures(tries, failures, curve, now);
        Decision::Admitted { failures }
    }

    /// A try that Redis has admitted, as that failure. Answers may come out of their order.
    pub(crate) fn note_attempt(
        &mut self,
        [tries, account, known]: &[String; 3],
        curve: &Curve,
        failures: u32,
        now: u64,
    ) {
        if self.get(known, now).expires <= now {
            self.count(&[(account.clone(), curve.account)], now);
        }
        let own = self.get(tries, now).failures.saturating_add(1);
        self.put_failures(tries, failures.max(own), curve, now);
    }

    fn put_failures(&mut self, tries: &str, failures: u32, curve: &Curve, now: u64) {
        let blocked_until = match curve.delay(failures) {
            0 => 0,
            delay => now + delay,
        };
        let expires = now + curve.forget_after;
        self.put(tries, Cell { failures, blocked_until, expires, arrival: 0 }, now);
    }

    /// A try succeeded: its failures are forgotten, and the address is known for `micros`.
    pub(crate) fn succeed(&mut self, [tries, _, known]: &[String; 3], micros: u64, now: u64) {
        self.cells.remove(tries);
        self.put(known, Cell { expires: now + micros, ..Cell::default() }, now);
    }

    /// A try came to nothing: it counts no longer.
    pub(crate) fn undo(&mut self, [tries, account, known]: &[String; 3], curve: &Curve, now: u64) {
        let quota = self.get(account, now);
        if self.get(known, now).expires <= now && quota.arrival > 0 {
            let arrival = quota.arrival.saturating_sub(curve.account.interval());
            self.put(account, Cell { arrival, ..quota }, now);
        }
        let cell = self.get(tries, now);
        if cell.failures <= 1 {
            self.cells.remove(tries);
        } else {
            self.put(tries, Cell { failures: cell.failures - 1, blocked_until: 0, ..cell }, now);
        }
    }

    fn get(&self, key: &str, now: u64) -> Cell {
        self.cells.get(key).copied().filter(|cell| cell.expires > now).unwrap_or_default()
    }

    fn put(&mut self, key: &str, cell: Cell, now: u64) {
        let is_full = |cells: &HashMap<_, _>| cells.len() >= CELLS_MAX && !cells.contains_key(key);
        if is_full(&self.cells) && now >= self.sweep_at {
            self.cells.retain(|_, cell| cell.expires > now);
            self.sweep_at = now + SWEEP_DELAY;
        }
        // Whichever it is: the map's order is random, so nobody can choose whom it forgets.
        if is_full(&self.cells)
            && let Some(other) = self.cells.keys().next().cloned()
        {
            self.cells.remove(&other);
        }
        self.cells.insert(key.to_owned(), cell);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn quota(requests: u32, seconds: u64) -> Quota {
        Quota::new(requests, Duration::from_secs(seconds))
    }

    fn waits(cells: &mut Cells, limits: &[(String, Quota)], now: u64) -> Vec<u64> {
        cells.count(limits, now).iter().map(|reading| reading.wait.as_secs()).collect()
    }

    #[test]
    fn a_quota_is_there_at_once_and_then_one_request_at_a_time() {
        let mut cells = Cells::default();
        let limits = [("a".to_owned(), quota(3, 30))];
        for remaining in [2, 1, 0] {
            let reading = cells.count(&limits, 1_000_000)[0];
            assert_eq!((reading.wait.as_secs(), reading.remaining), (0, remaining));
        }
        assert_eq!(waits(&mut cells, &limits, 1_000_000), [10]);
        assert_eq!(waits(&mut cells, &limits, 11_000_000), [0]);
        assert_eq!(waits(&mut cells, &limits, 11_000_000), [10]);
    }

    #[test]
    fn a_request_that_one_quota_refuses_is_counted_by_none() {
        let one = ("a".to_owned(), quota(1, 60));
        let two = ("b".to_owned(), quota(9, 60));
        let mut cells = Cells::default();
        assert_eq!(waits(&mut cells, &[one.clone(), two.clone()], 0), [0, 0]);
        for _ in 0..20 {
            assert_eq!(waits(&mut cells, &[one.clone(), two.clone()], 0), [60, 0]);
        }
        assert_eq!(cells.count(&[two], 0)[0].remaining, 7);
    }

    #[test]
    fn cells_are_bounded_and_those_whose_time_is_over_go_first() {
        let mut cells = Cells::default();
        for number in 0..CELLS_MAX {
            cells.count(&[(format!("old-{number}"), quota(1, 1))], 0);
        }
        cells.count(&[("new".to_owned(), quota(1, 60))], 2_000_000);
        assert_eq!(cells.cells.len(), 1);
        for number in 0..2 * CELLS_MAX {
            cells.count(&[(format!("flood-{number}"), quota(1, 60))], 2_000_000);
        }
        assert_eq!(cells.cells.len(), CELLS_MAX);
    }
}
