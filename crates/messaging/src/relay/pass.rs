//! One pass over the outbox: what is due, two batches at a time, until nothing is.

use std::sync::atomic::{AtomicBool, Ordering};

use database::Database;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::outbox::{Outbox, PARTITIONS};
use crate::publisher::Publisher;
use crate::relay::BATCHES;
use crate::relay::batch::{Batch, Settlement};
use crate::relay::connection::{DatabaseError, answered};
use crate::relay::floor::{Floors, Snapshot};
use crate::relay::holds::{self, Due};
use crate::relay::lease::{Lease, Stuck};
use crate::relay::waves;
use crate::schedule;
use crate::settings::{MessagingSettings, RelaySettings};

/// What ended a pass early.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
    #[error("the outbox could not be read or written: {0}")]
    Database(#[from] DatabaseError),
    #[error("the broker gave no answer")]
    NoBrokerAnswer,
}

/// What is done in one transaction.
#[derive(Debug)]
enum Work {
    Fresh { partition: i16, first_row: i64 },
    Held(Due),
}

/// How the work on one batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Another relay has the partition.
    NotLeased,
    Done,
    /// There may be more of the same.
    More,
}

/// What passes need, and what they remember of those before.
pub(super) struct Pass<'a> {
    database: Database,
    publisher: &'a Publisher,
    service: &'a str,
    settings: &'a RelaySettings,
    /// Whether what was sent is kept.
    is_archiving: bool,
    floors: Floors,
    stuck: Stuck,
    /// When holds and scheduled events are looked at next.
    due_at: Instant,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        database: Database,
        publisher: &'a Publisher,
        outbox: &'a Outbox,
        settings: &'a MessagingSettings,
    ) -> Self {
        let now = Instant::now();
        Self {
            database,
            publisher,
            service: outbox.service(),
            settings: &settings.relay,
            is_archiving: settings.outbox.is_archiving(),
            floors: Floors::new(now),
            stuck: Stuck::new(outbox.service()),
            due_at: now,
        }
    }

    /// Sends what is due, a batch of each partition and hold at a time, until nothing is.
    pub(super) async fn run(&mut self, shutdown: &CancellationToken) -> Result<(), PassError> {
        let outcome = self.send_due(shutdown).await;
        // It may be another server that answers next.
        if matches!(outcome, Err(PassError::Database(_))) {
            self.floors = Floors::new(Instant::now());
        }
        outcome
    }

    async fn send_due(&mut self, shutdown: &CancellationToken) -> Result<(), PassError> {
        // A blocked connection takes nothing; the rows are safe where they are.
        let is_stopped = || shutdown.is_cancelled() || self.publisher.is_blocked();
        while !is_stopped() {
            let due = self.due().await?;
            let mut work = self.fresh().await?;
            work.extend(due);
            let failed = AtomicBool::new(false);
            let ended: Vec<_> = stream::iter(work)
                .take_while(|_| std::future::ready(!failed.load(Ordering::SeqCst) && !is_stopped()))
                .map(|work| async {
                    let ended = self.relay(&work).await;
                    failed.fetch_or(ended.is_err(), Ordering::SeqCst);
                    (work, ended)
                })
                .buffer_unordered(BATCHES as usize)
                .collect()
                .await;
            if !self.note(ended)? {
                break;
            }
        }
        Ok(())
    }

    /// The partitions that have fresh rows.
    ///
    /// `next` is not the snapshot's `xmax`, which is behind the last transaction that has *ended*: one that
    /// is open may have that number, or a later one.
    async fn fresh(&mut self) -> Result<Vec<Work>, PassError> {
        let floors = self.floors.begin_poll(Instant::now());
        let polling = sqlx::query!(
            r#"select array(
                          select (select id from messaging_outbox
                                  where partition = number - 1 and hold_id is null and id >= floor
                                  order by id limit 1)
                          from unnest($1::bigint[]) with ordinality as floors (floor, number)
                          order by number
                      ) as "first_rows!: Vec<Option<i64>>",
                      coalesce(pg_sequence_last_value(
                          pg_get_serial_sequence('messaging_outbox', 'id')), 0) as "last_id!",
                      pg_snapshot_xmin(snapshot)::text::bigint as "first_open!",
                      pg_snapshot_xmax(snapshot)::text::bigint + age(pg_snapshot_xmax(snapshot)::xid)
                          as "next!",
                      pg_is_in_recovery() as "is_standby!"
               from pg_current_snapshot() as snapshot"#,
            &floors,
        );
        let seen = answered(polling.fetch_one(&self.database)).await?;
        let snapshot =
            Snapshot { last_id: seen.last_id, first_open: seen.first_open, next: seen.next };
        // A standby's sequence is ahead of the ids that were drawn.
        if !seen.is_standby {
            self.floors.observe(snapshot, &seen.first_rows);
        }
        let fresh = (0..PARTITIONS).zip(seen.first_rows);
        let fresh = fresh.filter_map(|(partition, first_row)| {
            Some(Work::Fresh { partition, first_row: first_row? })
        });
        Ok(fresh.collect())
    }

    /// The holds whose time has come, and scheduled events into the outbox whose time has; looked for
    /// no oftener than the outbox is polled.
    async fn due(&mut self) -> Result<Vec<Work>, PassError> {
        let now = Instant::now();
        if now < self.due_at {
            return Ok(Vec::new());
        }
        self.due_at = now + self.settings.poll_interval;
        let due = answered(holds::due(&self.database)).await?;
        if answered(schedule::release_due(&self.database)).await? == schedule::RELEASED_MAX {
            self.due_at = now;
        }
        Ok(due.into_iter().map(Work::Held).collect())
    }

    async fn relay(&self, work: &Work) -> Result<Ended, PassError> {
        let (Work::Fresh { partition, .. } | Work::Held(Due { partition, .. })) = *work;
        let confirm_timeout = self.settings.confirm_timeout;
        let Some(lease) = Lease::take(&self.database, partition, confirm_timeout).await? else {
            return Ok(Ended::NotLeased);
        };
        let batch_size = self.settings.batch_size;
        let batch = match work {
            Work::Fresh { partition, .. } => {
                let floor = self.floors.of(*partition);
                Batch::fresh(lease, *partition, floor, batch_size).await?
            }
            Work::Held(due) => Batch::held(lease, due, batch_size).await?,
        };
        let settlements =
            waves::publish(self.publisher, self.service, self.settings, batch.rows()).await;
        let is_answered = !settlements.contains(&Settlement::Left);
        let ended = if batch.is_full() { Ended::More } else { Ended::Done };
        batch.settle(settlements, self.is_archiving).await?;
        if is_answered { Ok(ended) } else { Err(PassError::NoBrokerAnswer) }
    }

    /// Notes how the work ended; whether there may be more.
    fn note(&mut self, ended: Vec<(Work, Result<Ended, PassError>)>) -> Result<bool, PassError> {
        let now = Instant::now();
        let (mut more, mut failure) = (false, None);
        for (work, ended) in ended {
            let ended = match ended {
                Ok(ended) => ended,
                Err(error) => {
                    failure.get_or_insert(error);
                    continue;
                }
            };
            more |= ended == Ended::More;
            match work {
                Work::Fresh { partition, first_row } if ended == Ended::NotLeased => {
                    self.stuck.refused(partition, first_row, now);
                }
                Work::Fresh { partition, .. } => self.stuck.leased(partition),
                // What follows a row that went through follows at once.
                Work::Held(_) if ended == Ended::More => self.due_at = now,
                Work::Held(_) => {}
            }
        }
        failure.map_or(Ok(more), Err)
    }
}
