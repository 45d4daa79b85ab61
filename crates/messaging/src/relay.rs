//! The relay: publishes what was committed, and removes it when the broker has confirmed it.
//!
//! ```text
//!   wake or poll ─▶ each partition with fresh rows, then each hold whose time has come:
//!                     begin
//!                       lease the partition      an advisory lock: one relay at a time
//!                       claim a batch            in order of insertion, for update skip locked
//!                       publish, await confirms  first rows of all aggregates, then second rows, …
//!                       remove what is confirmed; hold what is returned or refused
//!                     commit
//! ```
//!
//! A pass begins 50 ms after the one before at the earliest: what is written meanwhile shares its
//! statements. Two batches are under way at a time: while one is published, the other one is claimed
//! or settled. Neither waits for the other's transaction, so that a lock which somebody takes on the
//! table in between stops neither for good.
//!
//! **At least once.** A crash between confirm and commit sends rows again, under the same message
//! ids; the inbox of each consumer makes that one effect. So does a crash of the database shortly after:
//! the commit does not wait for the disk.
//!
//! **Order.** Rows of one aggregate are sent one after the other, each after the confirm of the one
//! before. There is no cursor, so a row whose transaction commits late is not lost.
//!
//! **Holds.** What the broker returns or refuses waits in a hold of its route (`holds`), together
//! with the later rows of its aggregate. Fresh rows of other routes and aggregates are found without
//! a look at it. One row of a hold is tried again, after delays that grow to two minutes; when it
//! goes through, the others follow.
//!
//! **Bounds.** The database ends a transaction of a relay whose machine is gone
//! (`idle_in_transaction_session_timeout`), and the partition goes to another one; every statement
//! has a time limit here and there.

mod batch;
mod connection;
mod floor;
mod gauges;
mod holds;
mod lease;
mod pass;
mod waves;

use std::time::Duration;

use database::Database;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::broker::Broker;
use crate::outbox::Outbox;
use crate::publisher::Publisher;
use crate::relay::pass::Pass;
use crate::settings::{MessagingSettings, SettingsError};
use crate::topology::Readers;

/// Batches that are under way at the same time, each with a connection of the pool.
pub(crate) const BATCHES: u32 = 2;
/// A pass begins no sooner than this after the one before it began, so that what is written meanwhile
/// shares statements, transactions and confirms. An event of a quiet time does not wait.
const PASS_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// Publishes the rows of an outbox. Several relays, in one process or in many, share the work.
#[derive(Debug, Clone)]
pub struct Relay {
    database: Database,
    broker: Broker,
    outbox: Outbox,
    settings: MessagingSettings,
}

impl Relay {
    /// A relay of the rows that `outbox` writes, in this database. It holds two connections of its
    /// pool while it is busy, and one now and then to measure the outbox.
    pub fn new(
        database: impl Into<Database>,
        broker: Broker,
        outbox: Outbox,
        settings: &MessagingSettings,
    ) -> Self {
        Self { database: database.into(), broker, outbox, settings: settings.clone() }
    }

    /// Relays until `shutdown`; then finishes the batches that are under way, which takes twice
    /// `confirm_timeout` at most. What is left is sent at the next start. An error at once when the
    /// settings name no queue of a reader, and never later.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), SettingsError> {
        let readers = Readers::of(&self.settings)?;
        let time_limit = self.settings.relay.confirm_timeout;
        let publisher = Publisher::new(self.broker.publishing(), readers, time_limit);
        tokio::select! {
            () = Box::pin(self.relay(&publisher, &shutdown)) => {}
            never = gauges::keep(&self.database, self.outbox.service(), &self.broker) => match never {},
        }
        publisher.close().await;
        Ok(())
    }

    async fn relay(&self, publisher: &Publisher, shutdown: &CancellationToken) {
        let mut pass = Pass::new(self.database.clone(), publisher, &self.outbox, &self.settings);
        let backoff = backoff::again();
        let mut failures = 0_u32;
        // Being ready waits for the broker, endlessly: the one wait that shutdown must cut short.
        while shutdown.run_until_cancelled(publisher.ready()).await.is_some() {
            let next_pass = Instant::now() + PASS_INTERVAL_MIN;
            match pass.run(shutdown).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(error = %error, failures, "outbox was not relayed");
                    shutdown.run_until_cancelled(sleep(backoff.delay(failures))).await;
                    continue;
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.outbox.woken() => {}
                () = sleep(self.settings.relay.poll_interval) => {}
            }
            shutdown.run_until_cancelled(sleep_until(next_pass)).await;
        }
    }
}
