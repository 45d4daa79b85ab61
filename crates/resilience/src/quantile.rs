//! What nearly all calls take: the 95th percentile of the last few hundred, without a lock.

use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};

/// Latencies kept. The quantile is that of these, so it is out of the thirteen slowest.
const KEPT: usize = 256;
/// It is worked out once in so many; the first time too.
const EVERY: u64 = 64;
/// The latency above which so many of the kept ones are.
const SLOWER: usize = KEPT / 20;

/// The 95th percentile of the latest latencies. Reading it is one load.
#[derive(Debug)]
pub struct P95 {
    /// The latest, in nanoseconds, in a ring; 0 where there is none yet.
    latest: Box<[AtomicU64]>,
    /// How many there were in all.
    count: AtomicU64,
    /// The quantile in nanoseconds; 0 while it is not known.
    value: AtomicU64,
}

impl Default for P95 {
    fn default() -> Self {
        let latest = (0..KEPT).map(|_| AtomicU64::new(0)).collect();
        Self { latest, count: AtomicU64::new(0), value: AtomicU64::new(0) }
    }
}

impl P95 {
    /// Notes a latency. Of a call that was given up it is what it had taken until then: left out, the
    /// slow ones would be forgotten, and the quantile would sink with each.
    pub fn note(&self, latency: Duration) {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1);
        let place = usize::try_from(count % KEPT as u64).unwrap_or_default();
        self.latest[place].store(nanos, Ordering::Relaxed);
        if count % EVERY == EVERY - 1 && count >= KEPT as u64 - 1 {
            self.work_out();
        }
    }

    /// The latency that one in twenty exceeds; none before 256 were noted.
    pub fn get(&self) -> Option<Duration> {
        let nanos = self.value.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    #[cold]
    fn work_out(&self) {
        let mut all: Vec<u64> =
            self.latest.iter().map(|latency| latency.load(Ordering::Relaxed)).collect();
        let (_, value, _) = all.select_nth_unstable(KEPT - 1 - SLOWER);
        self.value.store(*value, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests {
    use super::*;

    #[test]
    fn one_in_twenty_of_the_latest_takes_longer() {
        let p95 = P95::default();
        (0..255).for_each(|_| p95.note(Duration::from_secs(9)));
        assert_eq!(p95.get(), None, "too few to say");
        p95.note(Duration::from_secs(9));
        assert_eq!(p95.get(), Some(Duration::from_secs(9)));
        (1..=256).rev().for_each(|millis| p95.note(Duration::from_millis(millis)));
        assert_eq!(p95.get(), Some(Duration::from_millis(244)), "12 of 256 are above");
    }

    #[test]
    fn threads_that_note_at_the_same_time_lose_none_for_long() {
        let p95 = P95::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| p95.note(Duration::from_millis(5))));
            }
        });
        assert_eq!(p95.get(), Some(Duration::from_millis(5)));
    }
}
