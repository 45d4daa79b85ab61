//! A partition's lease: an advisory lock of the transaction that sends a batch of it. It ends with
//! the transaction, whatever ends that: also the database itself, when the relay's machine is gone.

use std::time::Duration;

use database::{Database, PooledConnection};
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::metrics;
use crate::outbox::PARTITIONS;
use crate::relay::connection::{self, DatabaseError, STATEMENT_TIMEOUT, answered};

/// First key of the advisory locks of partitions; the second is the partition.
const LEASE_CLASS: i32 = 0x6f75_7462;
/// How long the first row of a partition may stay the same, while somebody else has its lease, before
/// that is told.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// A transaction that has the lease of a partition. It is undone unless it is committed.
pub(super) struct Lease(PooledConnection);

impl Lease {
    /// Leases a partition, unless another relay has it, and gives all further statements of the
    /// transaction their limits. The database ends the transaction when it is idle for twice
    /// `confirm_timeout` and a statement's time: longer than a batch can take.
    ///
    /// The commit does not wait for the disk, unless rows are [held](super::batch). What a server loses by a
    /// crash at that moment is that rows were sent: they are sent again, under the ids that inboxes know.
    pub(super) async fn take(
        database: &Database,
        partition: i16,
        confirm_timeout: Duration,
    ) -> Result<Option<Self>, DatabaseError> {
        let mut lease = Self(connection::take(database).await?);
        answered(sqlx::raw_sql(database.begin_statement()).execute(lease.connection())).await?;
        let millis = |limit: Duration| limit.as_millis().to_string();
        let leasing = sqlx::query_scalar!(
            r#"select pg_try_advisory_xact_lock($1, $2)
                   and set_config('statement_timeout', $3, true) is not null
                   and set_config('idle_in_transaction_session_timeout', $4, true) is not null
                   and set_config('synchronous_commit', 'off', true) is not null
                   as "leased!""#,
            LEASE_CLASS,
            i32::from(partition),
            millis(STATEMENT_TIMEOUT),
            millis(confirm_timeout * 2 + STATEMENT_TIMEOUT),
        );
        if answered(leasing.fetch_one(lease.connection())).await? {
            return Ok(Some(lease));
        }
        lease.commit().await?;
        Ok(None)
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }

    pub(super) async fn commit(mut self) -> Result<(), DatabaseError> {
        answered(sqlx::raw_sql("commit").execute(&mut *self.0)).await?;
        self.0.release();
        Ok(())
    }
}

/// Watches for partitions that nothing moves in while another relay has their lease.
#[derive(Debug)]
pub(super) struct Stuck {
    service: String,
    /// Of each partition that was refused: its first row then, and since when that is the first.
    refused: [Option<(i64, Instant)>; PARTITIONS as usize],
    reported: [bool; PARTITIONS as usize],
}

impl Stuck {
    pub(super) fn new(service: &str) -> Self {
        let refused = [None; PARTITIONS as usize];
        let reported = [false; PARTITIONS as usize];
        let stuck = Self { service: service.to_owned(), refused, reported };
        // A series that is there from the beginning.
        stuck.publish();
        stuck
    }

    /// Notes that another relay had the lease of a partition whose first row is this one.
    pub(super) fn refused(&mut self, partition: i16, first_row: i64, now: Instant) {
        let at = usize::from(partition.unsigned_abs());
        let (row, since) =
            self.refused[at].filter(|(row, _)| *row == first_row).unwrap_or((first_row, now));
        self.refused[at] = Some((row, since));
        let is_stuck = now.duration_since(since) >= STUCK_AFTER;
        if is_stuck && !self.reported[at] {
            tracing::error!(
                outbox.partition = partition,
                "a relay has the lease of a partition and sends nothing of it for a minute"
            );
        }
        self.reported[at] = is_stuck;
        self.publish();
    }

    /// Notes that this relay got the lease.
    pub(super) fn leased(&mut self, partition: i16) {
        let at = usize::from(partition.unsigned_abs());
        self.refused[at] = None;
        if std::mem::take(&mut self.reported[at]) {
            self.publish();
        }
    }

    fn publish(&self) {
        let stuck = self.reported.iter().filter(|reported| **reported).count();
        metrics::partitions_stuck(&self.service, stuck);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{STUCK_AFTER, Stuck};

    #[test]
    fn a_partition_is_stuck_when_its_first_row_stays_for_a_minute_in_anothers_hands() {
        let mut stuck = Stuck::new("stuck-service");
        let start = Instant::now();
        let shortly = Duration::from_secs(1);
        stuck.refused(3, 70, start);
        stuck.refused(3, 70, start + STUCK_AFTER - shortly);
        assert!(!stuck.reported[3]);
        stuck.refused(3, 70, start + STUCK_AFTER);
        assert!(stuck.reported[3]);

        // The other relay goes on.
        stuck.refused(3, 71, start + STUCK_AFTER + shortly);
        assert!(!stuck.reported[3]);
        stuck.refused(3, 71, start + STUCK_AFTER * 3);
        assert!(stuck.reported[3]);

        stuck.leased(3);
        assert!(!stuck.reported[3]);
    }
}
