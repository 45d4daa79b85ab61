//! Workers: effects on the outside world, driven by committed rows.
//!
//! A worker takes up one row at a time, for as long as there are any; then it waits until its own
//! process has committed another, or a while, since another process may have. Several run side by
//! side, and in several processes: a row is leased to one of them by the statement that claims it.

use std::fmt::Display;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::Interval;

/// Delay after a fault of our own, such as a database that is away.
const FAULT_DELAY: Duration = Duration::from_secs(1);

/// Section `[worker]`.
#[derive(Debug, Clone, Deserialize)]
pub struct WorkerSettings {
    /// Rows worked on at a time by one process; 0 counts as 1.
    pub concurrency: usize,
    /// How long a due row waits at most when nothing woke the worker.
    pub poll_interval: Interval,
    /// How long a row is left to the worker that took it up; longer than its work may take.
    pub lease: Duration,
}

/// What one step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A row was taken up: there may be more.
    Worked,
    /// None was due.
    Idle,
}

/// Work driven by rows.
pub trait Worker: Sync {
    /// A fault of our own, such as a database that is away.
    type Error: Display;

    /// Ends when this process has committed a row.
    fn due(&self) -> impl Future<Output = ()> + Send;

    /// Takes up one row, works on it and saves what came of it.
    fn step(&self) -> impl Future<Output = Result<Step, Self::Error>> + Send;
}

/// Takes steps until `shutdown`; a step that is under way is finished first.
pub async fn run<W: Worker>(worker: &W, settings: &WorkerSettings, shutdown: &CancellationToken) {
    let lanes = (0..settings.concurrency.max(1)).map(|_| lane(worker, settings, shutdown));
    join_all(lanes).await;
}

async fn lane<W: Worker>(worker: &W, settings: &WorkerSettings, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let delay = match worker.step().await {
            Ok(Step::Worked) => continue,
            Ok(Step::Idle) => settings.poll_interval.get(),
            Err(error) => {
                tracing::warn!(error = %error, "a row could not be worked on");
                FAULT_DELAY
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = worker.due() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }
}

/// Does `work` at once and then every `interval`, until `shutdown`; what is under way is finished
/// first. For work that no row drives, such as removing what is too old.
pub async fn every<Done: Future<Output = ()>>(
    interval: Interval,
    shutdown: &CancellationToken,
    work: impl Fn() -> Done,
) {
    let mut rounds = tokio::time::interval(interval.get());
    // Rounds that took longer than the interval are not made up for.
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(rounds.tick()).await.is_some() {
        work().await;
    }
}

/// Removes rows that are past their time, all that there are, at once and then every `interval`, until
/// `shutdown`. `batch` is one statement as [`database::drain`] asks for; `rows` names in the log what
/// it removes. A fault is logged, and the next round tries again.
pub async fn sweep<E: Display, Batch: Future<Output = Result<u64, E>>>(
    rows: &'static str,
    interval: Interval,
    shutdown: &CancellationToken,
    batch: impl Fn(i64) -> Batch,
) {
    every(interval, shutdown, async || match database::drain(shutdown, &batch).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(rows, removed, "rows past their time were removed"),
        Err(error) => tracing::warn!(rows, error = %error, "rows past their time were not removed"),
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Has some rows, then none; stops after some steps.
    struct Counting {
        due: usize,
        steps: AtomicUsize,
        steps_max: usize,
        fails: bool,
        shutdown: CancellationToken,
    }

    impl Worker for Counting {
        type Error = &'static str;

        async fn due(&self) {
            std::future::pending::<()>().await;
        }

        async fn step(&self) -> Result<Step, &'static str> {
            let step = self.steps.fetch_add(1, Ordering::SeqCst);
            if step + 1 == self.steps_max {
                self.shutdown.cancel();
            }
            match (self.fails, step < self.due) {
                (true, _) => Err("the database is away"),
                (false, true) => Ok(Step::Worked),
                (false, false) => Ok(Step::Idle),
            }
        }
    }

    /// Runs one lane with a minute's interval; tells how many seconds it took.
    async fn seconds(rows: usize, steps_max: usize, fails: bool) -> u64 {
        let poll_interval = Duration::from_secs(60).try_into().unwrap();
        let lease = Duration::from_secs(60);
        let settings = WorkerSettings { concurrency: 1, poll_interval, lease };
        let steps = AtomicUsize::new(0);
        let shutdown = CancellationToken::new();
        let worker = Counting { due: rows, steps, steps_max, fails, shutdown: shutdown.clone() };
        let began = tokio::time::Instant::now();
        run(&worker, &settings, &shutdown).await;
        assert_eq!(worker.steps.load(Ordering::SeqCst), steps_max);
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn steps_follow_each_other_while_there_are_rows_and_then_at_the_interval() {
        // Five rows at once, then idle at 0, 60 and 120 seconds.
        assert_eq!(seconds(5, 8, false).await, 120);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_delays_the_worker_and_does_not_end_it() {
        assert_eq!(seconds(0, 4, true).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_at_an_interval_is_done_at_once_and_then_each_time_until_the_end() {
        let rounds = AtomicUsize::new(0);
        let shutdown = CancellationToken::new();
        let began = tokio::time::Instant::now();
        every(Duration::from_secs(60).try_into().unwrap(), &shutdown, async || {
            if rounds.fetch_add(1, Ordering::SeqCst) == 2 {
                shutdown.cancel();
            }
        })
        .await;
        assert_eq!((rounds.into_inner(), began.elapsed().as_secs()), (3, 120));
    }
}
