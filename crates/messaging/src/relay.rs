//! The relay: publishes what was committed, and deletes it when the broker has confirmed it.
//!
//! ```text
//!   wake or poll ─▶ each partition with due rows:
//!                     begin
//!                       lease the partition      an advisory lock: one relay at a time
//!                       claim a batch            in order of insertion, for update skip locked
//!                       publish, await confirms  first rows of all aggregates, then second rows, …
//!                       delete what is confirmed; put off what is not
//!                     commit
//! ```
//!
//! While one partition's batch is under way to the broker, the one before is settled and the next
//! one claimed.
//!
//! **At least once.** A crash between confirm and commit sends rows again, under the same message
//! ids; the inbox of each consumer makes that one effect.
//!
//! **Order.** Rows of one aggregate are sent one after the other, each after the confirm of the one
//! before. A row that the broker returns or refuses is put off, with growing pauses, and holds back
//! the later rows of its aggregate; all others go on. There is no cursor, so a row whose
//! transaction commits late is not lost.
//!
//! **Unroutable.** An event that no queue is bound for stays in the outbox: its consumer may not
//! have been up yet, ever. Depth and age of the outbox are gauges to alert on.

mod batch;
mod gauges;
mod send;

use database::Database;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::broker::{Attachment, Broker};
use crate::outbox::Outbox;
use crate::relay::batch::{Batch, Fate};
use crate::relay::send::Sender;
use crate::schedule;
use crate::settings::{MessagingSettings, RelaySettings};
use crate::topology::TopologyError;

/// Why a relay ended. Everything that may pass is waited for instead.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// An exchange is there with other arguments, so nothing can be published to it.
    #[error(transparent)]
    Drift(TopologyError),
}

/// Publishes the rows of an outbox. Several relays, in one process or in many, share the work.
#[derive(Debug, Clone)]
pub struct Relay {
    database: Database,
    broker: Broker,
    outbox: Outbox,
    settings: RelaySettings,
    /// Whether what was sent is kept.
    archive: bool,
}

/// What ended a pass early.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error("the outbox could not be read or written: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the broker gave no answer")]
    NoAnswer,
    #[error("the broker gave no channel: {0}")]
    Channel(#[from] lapin::Error),
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

impl Relay {
    /// A relay of the rows that `outbox` writes, in this database. It holds one connection of its
    /// pool while it sends a batch, a second one where that is idle, and one now and then to
    /// measure the outbox.
    pub fn new(
        database: impl Into<Database>,
        broker: Broker,
        outbox: Outbox,
        settings: &MessagingSettings,
    ) -> Self {
        let archive = settings.outbox.is_archiving();
        Self {
            database: database.into(),
            broker,
            outbox,
            settings: settings.relay.clone(),
            archive,
        }
    }

    /// Relays until `shutdown`; then finishes the batch that is under way, which takes twice
    /// `confirm_timeout` at most. What is left is sent at the next start.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RelayError> {
        let link = self.broker.publishing();
        let ended = tokio::select! {
            ended = self.relay(&link, &shutdown) => ended,
            never = gauges::keep(&self.database, self.outbox.service(), &self.broker) => match never {},
        };
        link.detach().await;
        ended
    }

    async fn relay(
        &self,
        link: &Attachment,
        shutdown: &CancellationToken,
    ) -> Result<(), RelayError> {
        let mut sender = Sender::new(&self.outbox, &self.settings);
        let backoff = backoff::again();
        let mut failures = 0_u32;
        while !shutdown.is_cancelled() {
            // Opening waits for the broker, endlessly: the one wait that shutdown must cut short.
            let Some(opened) = shutdown.run_until_cancelled(sender.open(link)).await else {
                break;
            };
            let passed = match opened {
                Ok(()) => self.pass(link, &mut sender, shutdown).await,
                Err(error) => Err(error),
            };
            let pause = match passed {
                Ok(()) => {
                    failures = 0;
                    self.settings.poll_interval
                }
                Err(PassError::Topology(drift @ TopologyError::Drift { .. })) => {
                    return Err(RelayError::Drift(drift));
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(error = %error, failures, "outbox was not relayed");
                    shutdown.run_until_cancelled(sleep(backoff.delay(failures))).await;
                    continue;
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.outbox.woken() => {}
                () = sleep(pause) => {}
            }
        }
        Ok(())
    }

    /// Sends what is due, a batch of each partition at a time, until nothing is.
    async fn pass(
        &self,
        link: &Attachment,
        sender: &mut Sender,
        shutdown: &CancellationToken,
    ) -> Result<(), PassError> {
        let batch_size = self.settings.batch_size;
        // A blocked connection takes nothing; the rows are safe where they are.
        let is_stopped = || shutdown.is_cancelled() || link.is_blocked();
        let mut more = true;
        while more && !is_stopped() {
            more = schedule::release_due(&self.database).await? == schedule::RELEASED_MAX;
            let mut due = batch::due_partitions(&self.database).await?.into_iter().peekable();
            // While one batch is under way, the one before it is settled and the next one claimed.
            let (mut sent, mut ahead) = (None, None);
            while let Some(partition) = due.next_if(|_| sender.is_open() && !is_stopped()) {
                if ahead.is_none() {
                    // First, because it may hold the last connection there is.
                    self.settle(sent.take()).await?;
                    let tx = self.database.begin().await?;
                    ahead = Batch::claim(tx, partition, batch_size).await?;
                }
                let Some(batch) = ahead.take() else { continue };
                more |= batch.is_full(batch_size);
                let meanwhile = async {
                    self.settle(sent.take()).await?;
                    Ok::<_, sqlx::Error>(self.claim_ahead(due.peek().copied()).await)
                };
                let (fates, next) = tokio::join!(sender.send(batch.rows()), meanwhile);
                sent = Some((batch, fates));
                ahead = next?;
            }
            self.settle(sent).await?;
            if !sender.is_open() {
                return Err(PassError::NoAnswer);
            }
        }
        if !is_stopped() {
            sender.calm_down();
        }
        Ok(())
    }

    /// Claims a partition's batch while another one's is being sent, if a connection is idle. None of
    /// it is needed: what goes wrong here shows when the partition's turn has come.
    async fn claim_ahead(&self, partition: Option<i16>) -> Option<Batch> {
        let partition = partition?;
        let tx = self.database.try_begin().await.ok()??;
        Batch::claim(tx, partition, self.settings.batch_size).await.ok()?
    }

    async fn settle(&self, sent: Option<(Batch, Vec<Fate>)>) -> Result<(), sqlx::Error> {
        match sent {
            Some((batch, fates)) => batch.settle(&fates, self.archive).await,
            None => Ok(()),
        }
    }
}
