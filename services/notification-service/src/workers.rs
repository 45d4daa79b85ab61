//! Sends what is due: claims a committed row, sends outside any transaction, saves the outcome.
//!
//! A crash between sending and saving sends again when the lease ends, under the same Message-ID;
//! a crash before sending loses nothing. Several workers and processes may run: a row is leased to
//! one of them.

use std::convert::Infallible;
use std::sync::Arc;

use chassis::worker::{self, Step, Worker, WorkerSettings};
use chassis::{CancellationToken, Clock};

use telemetry::propagation;
use tracing::Instrument;
use tracing::field::Empty;

use crate::config::NotificationSettings;
use crate::domain::{DomainError, Failure, Notification};
use crate::error::Error;
use crate::links::Links;
use crate::mailer::{Mail, Mailer};
use crate::store::Store;

/// Removes notifications that were sent or given up longer ago than they are kept, until `shutdown`.
pub(crate) async fn sweep(
    store: Store,
    settings: NotificationSettings,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let batch = async |limit| store.sweep(settings.retention, limit).await;
    worker::sweep("notifications", settings.sweep_interval, &shutdown, batch).await;
    Ok(())
}

/// Sends notifications. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) store: Store,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) links: Links,
    pub(crate) settings: WorkerSettings,
    pub(crate) clock: Clock,
}

impl Worker for Sender {
    type Error = Error;

    async fn due(&self) {
        self.store.due().await;
    }

    /// Takes up one due notification.
    async fn step(&self) -> Result<Step, Error> {
        let claimed = self.store.claim_due(self.settings.lease).await?;
        let Some((notification, traceparent)) = claimed else { return Ok(Step::Idle) };
        // More may be due: the next lane looks while this one sends.
        self.store.wake();
        let span = tracing::info_span!("notify", notification.id = %notification.id);
        if let Some(traceparent) = traceparent {
            propagation::set_parent_from(&span, &traceparent);
        }
        self.notify(notification).instrument(span).await?;
        Ok(Step::Worked)
    }
}

impl Sender {
    /// Sends until `shutdown`; a mail that is being sent is finished first.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        worker::run(&self, &self.settings, &shutdown).await;
        Ok(())
    }

    /// Sends a notification, and saves what came of it.
    async fn notify(&self, notification: Notification) -> Result<(), Error> {
        let id = notification.id;
        let outcome = self.send(notification).await;
        let now = self.clock.now();
        let jitter = rand::random::<f64>();
        let saved = self.store.change(id, |notification| match &outcome {
            Ok(()) => notification.sent(now),
            Err(failure) => notification.attempt_failed(failure.clone(), jitter, now),
        });
        match saved.await {
            Ok(notification) => tracing::info!(
                notification.id = %id,
                notification.kind = notification.kind.as_str(),
                notification.attempts = notification.attempts,
                notification.status = notification.status.as_str(),
                "notification worked on"
            ),
            // The user was deleted meanwhile, or another worker was faster after our lease.
            Err(Error::Domain(DomainError::Settled)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn send(&self, notification: Notification) -> Result<(), Failure> {
        if notification.is_expired(self.clock.now()) {
            return Err(Failure::Refused("the time of its link is up".to_owned()));
        }
        let link = self.links.of(&notification);
        let gone = || Failure::Permanent("there is no address".to_owned());
        let to = notification.recipient.ok_or_else(gone)?;
        let id = notification.id;
        let content = notification.content;
        let content = match link {
            Some(link) => content.with_link(link.expose()),
            None => content,
        };
        let span = tracing::info_span!(
            "send mail",
            otel.kind = "client",
            otel.status_code = Empty,
            error.type = Empty,
        );
        let sent = self.mailer.send(Mail { id, to, content }).instrument(span.clone()).await;
        if let Err(failure) = &sent {
            span.record("otel.status_code", "ERROR").record("error.type", failure.kind());
        }
        sent
    }
}
