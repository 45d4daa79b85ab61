//! Calls that come at random times of a given rate, and what became of them.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use crate::callers::Caller;
use crate::scenario::{AFTER, BEFORE, OUTAGE};

/// Calls in a second.
pub(crate) const RATE: u32 = 150;
/// Of the times at which they come.
const SEED: u64 = 7;

/// What callers saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) times: Vec<Duration>,
    pub(crate) errors: usize,
}

impl Seen {
    fn note(&mut self, (time, is_answered): (Duration, bool)) {
        self.times.push(time);
        self.errors += usize::from(!is_answered);
    }

    /// In milliseconds.
    pub(crate) fn percentile(&mut self, percent: usize) -> String {
        self.times.sort_unstable();
        let last = self.times.len() - 1;
        format!("{:.1}", self.times[last * percent / 100].as_secs_f64() * 1e3)
    }
}

/// Calls for the time of a scenario.
pub(crate) async fn run(caller: &dyn Caller) -> Seen {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut seen = Seen::default();
    let mut calls: FuturesUnordered<BoxFuture<'_, (Duration, bool)>> = FuturesUnordered::new();
    let mut next = Instant::now();
    let end = next + BEFORE + OUTAGE + AFTER;
    while next < end {
        tokio::select! {
            () = sleep_until(next) => {
                calls.push(Box::pin(timed(caller)));
                // The time between two is distributed exponentially.
                let pause = -(1.0 - random.f64()).ln() / f64::from(RATE);
                next += Duration::from_secs_f64(pause);
            }
            Some(done) = calls.next() => seen.note(done),
        }
    }
    while let Some(done) = calls.next().await {
        seen.note(done);
    }
    seen
}

async fn timed(caller: &dyn Caller) -> (Duration, bool) {
    let began = Instant::now();
    let is_answered = caller.call().await;
    (began.elapsed(), is_answered)
}
