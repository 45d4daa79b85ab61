//! Supervised background work: relay, consumer, workers, health checks.
//!
//! A task handles faults that pass by itself. If it *returns an error*, it cannot go on (its queue
//! was declared otherwise, say), and the process stops with that error. So it does when a task
//! returns before it was told to end: what it does is missing from then on. If it *panics*, that is
//! a bug met by one piece of work: the task starts again, after a growing delay, and is counted.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::BuildError;

/// Delay before the first restart; it doubles up to [`DELAY_MAX`].
const DELAY_MIN: Duration = Duration::from_millis(100);
/// Longest delay before a restart. A task that ran for longer than that begins again with the
/// shortest: one panic a month is no reason to wait.
const DELAY_MAX: Duration = Duration::from_secs(30);

/// The running tasks of one process.
#[derive(Debug)]
pub struct Supervisor {
    service: &'static str,
    shutdown: CancellationToken,
    tasks: JoinSet<Result<(), BuildError>>,
}

impl Supervisor {
    /// A supervisor without tasks; each task is told to end by a child of `shutdown`.
    pub(crate) fn new(service: &'static str, shutdown: CancellationToken) -> Self {
        Self { service, shutdown, tasks: JoinSet::new() }
    }

    /// Runs `make(shutdown)` until it returns; again if it panics.
    pub fn spawn<F, Fut>(&mut self, name: &'static str, make: F)
    where
        F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BuildError>> + Send + 'static,
    {
        let service = self.service;
        let shutdown = self.shutdown.clone();
        let run = supervise(service, name, shutdown, make);
        self.tasks.spawn(run.instrument(tracing::Span::none()));
    }

    /// The first task that cannot go on. Pending for ever while all is well.
    pub(crate) async fn failed(&mut self) -> BuildError {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Err(error))) => return error,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Tells all tasks to end and waits for them until `deadline`.
    pub(crate) async fn stop(mut self, deadline: Instant) {
        self.shutdown.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, ended).await.is_err() {
            tracing::warn!(
                tasks.left = self.tasks.len(),
                "tasks did not end within their share of the grace period"
            );
        }
    }
}

async fn supervise<F, Fut>(
    service: &'static str,
    name: &'static str,
    shutdown: CancellationToken,
    make: F,
) -> Result<(), BuildError>
where
    F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BuildError>> + Send + 'static,
{
    let help = "Background tasks started again after a panic.";
    let labels = &["service", "task"];
    let restarts = telemetry::metrics::counter("service_task_restarts_total", help, labels);
    // A series that is there from the beginning: the first restart is an increase too.
    let restarts = restarts.with_label_values(&[service, name]);
    let mut delay = DELAY_MIN;
    loop {
        let began = Instant::now();
        match AssertUnwindSafe(make(shutdown.child_token())).catch_unwind().await {
            Ok(Ok(())) if shutdown.is_cancelled() => return Ok(()),
            Ok(Ok(())) => {
                tracing::error!(task.name = name, "task ended before it was told to");
                return Err(format!("the task `{name}` ended before it was told to").into());
            }
            Ok(Err(error)) => {
                tracing::error!(task.name = name, error = %error, "task cannot go on");
                return Err(error);
            }
            Err(_) => tracing::error!(task.name = name, "task panicked; it starts again"),
        }
        restarts.inc();
        if began.elapsed() > DELAY_MAX {
            delay = DELAY_MIN;
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(delay) => delay = (delay * 2).min(DELAY_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_starts_again() {
        let mut tasks = Supervisor::new("user-service", CancellationToken::new());
        let rounds = Arc::new(AtomicU32::new(0));
        let counted = rounds.clone();
        let (done, wait) = tokio::sync::mpsc::channel(1);
        tasks.spawn("flaky", move |_| {
            let round = counted.fetch_add(1, Ordering::SeqCst);
            let done = done.clone();
            async move {
                assert!(round >= 2, "not yet");
                done.send(()).await?;
                std::future::pending().await
            }
        });
        let mut wait = wait;
        wait.recv().await.unwrap();
        assert_eq!(rounds.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_task_that_ends_before_it_is_told_to_is_reported() {
        let mut tasks = Supervisor::new("user-service", CancellationToken::new());
        tasks.spawn("sweeper", async |_| Ok(()));
        let error = tasks.failed().await.to_string();
        assert_eq!(error, "the task `sweeper` ended before it was told to");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_after_a_long_time_starts_again_soon() {
        let mut tasks = Supervisor::new("user-service", CancellationToken::new());
        let (begun, mut rounds) = tokio::sync::mpsc::unbounded_channel();
        let lives = Duration::from_secs(3600);
        tasks.spawn("flaky", move |_| {
            let begun = begun.clone();
            async move {
                begun.send(Instant::now())?;
                tokio::time::sleep(lives).await;
                panic!("once an hour");
            }
        });
        let mut before = rounds.recv().await.unwrap();
        for _ in 0..20 {
            let next = rounds.recv().await.unwrap();
            assert_eq!(next - before, lives + DELAY_MIN);
            before = next;
        }
    }

    #[tokio::test]
    async fn a_task_that_cannot_go_on_is_reported() {
        let mut tasks = Supervisor::new("user-service", CancellationToken::new());
        tasks.spawn("consumer", async |_| Err("the queue was declared otherwise".into()));
        assert_eq!(tasks.failed().await.to_string(), "the queue was declared otherwise");
    }

    #[tokio::test]
    async fn stop_ends_tasks_that_listen_to_their_token() {
        let mut tasks = Supervisor::new("user-service", CancellationToken::new());
        tasks.spawn("relay", |shutdown| async move {
            shutdown.cancelled().await;
            Ok(())
        });
        tasks.stop(Instant::now() + Duration::from_secs(5)).await;
    }
}
