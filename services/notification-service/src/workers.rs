//! Sends what is due: claims a committed row, sends outside any transaction, saves the outcome.
//!
//! A crash between sending and saving sends again when the lease ends, under the same Message-ID;
//! a crash before sending loses nothing. Several workers and processes may run: a row is leased to
//! one of them.

use std::sync::Arc;
use std::time::Duration;

use chassis::{CancellationToken, Clock};
use futures_util::future::join_all;

use crate::config::WorkerSettings;
use crate::domain::{DomainError, Failure, Notification};
use crate::error::Error;
use crate::mailer::{Mail, Mailer};
use crate::store::Store;

/// Pause after a fault of our own database.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// Sends notifications. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) store: Store,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) settings: WorkerSettings,
    pub(crate) clock: Clock,
}

/// What one step found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One notification was taken up.
    Worked,
    /// None was due.
    Idle,
}

impl Sender {
    /// Sends until `shutdown`; a mail that is being sent is finished first.
    pub(crate) async fn run(
        self,
        shutdown: CancellationToken,
    ) -> Result<(), std::convert::Infallible> {
        let lanes = (0..self.settings.concurrency.max(1)).map(|_| self.lane(&shutdown));
        join_all(lanes).await;
        Ok(())
    }

    async fn lane(&self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            let pause = match self.step().await {
                Ok(Step::Worked) => continue,
                Ok(Step::Idle) => self.settings.poll_interval.get(),
                Err(error) => {
                    tracing::warn!(error = %error, "notification could not be worked on");
                    FAULT_PAUSE
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.store.due() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes up one due notification.
    pub(crate) async fn step(&self) -> Result<Step, Error> {
        let Some(notification) = self.store.claim_due(self.settings.lease).await? else {
            return Ok(Step::Idle);
        };
        // More may be due: the next lane looks while this one sends.
        self.store.wake();
        let id = notification.id;
        let outcome = self.send(notification).await;
        let (now, luck) = (self.clock.now(), rand::random::<f64>());
        let saved = self.store.change(id, |notification| match outcome {
            Ok(()) => notification.sent(now),
            Err(failure) => notification.attempt_failed(failure, luck, now),
        });
        match saved.await {
            Ok(notification) => {
                tracing::info!(
                    notification.id = %id,
                    notification.kind = notification.kind.as_str(),
                    notification.attempts = notification.attempts,
                    notification.status = notification.status.as_str(),
                    "notification worked on"
                );
                Ok(Step::Worked)
            }
            // The user was deleted meanwhile, or another worker was faster after our lease.
            Err(Error::Domain(DomainError::Settled)) => Ok(Step::Worked),
            Err(error) => Err(error),
        }
    }

    async fn send(&self, notification: Notification) -> Result<(), Failure> {
        let gone = || Failure::Permanent("there is no address".to_owned());
        let to = notification.recipient.ok_or_else(gone)?;
        let (id, content) = (notification.id, notification.content);
        self.mailer.send(Mail { id, to, content }).await
    }
}
