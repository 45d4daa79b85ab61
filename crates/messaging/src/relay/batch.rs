//! A batch of outbox rows: leased, claimed, settled, all in one transaction.

use std::num::NonZeroU16;

use database::Database;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use crate::archive;
use crate::outbox::PARTITIONS;

/// First key of the advisory locks of partitions; the second is the partition.
const LEASE_CLASS: i32 = 0x6f75_7462;
/// The envelopes of one batch, in bytes; the first one is taken whatever its size.
const BATCH_BYTES_MAX: i64 = 8 * 1024 * 1024;
/// The pause after the first failure of a row; it doubles with each further one.
const PUT_OFF_SECONDS: f64 = 1.0;
/// The longest pause of a row that was put off.
const PUT_OFF_SECONDS_MAX: f64 = 60.0;

/// A committed event that is to be sent.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) event_id: Uuid,
    pub(super) aggregate_id: Uuid,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) envelope: Vec<u8>,
    pub(super) mandatory: bool,
    pub(super) traceparent: Option<String>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The broker has it: deleted.
    Sent,
    /// The broker gave it back or refused it, for the reason given: tried again later.
    PutOff(&'static str),
    /// Not tried, or without an answer: stays as it is.
    Left,
}

/// Rows of one partition, in order of insertion, and the transaction that holds them.
#[derive(Debug)]
pub(super) struct Batch {
    tx: Transaction<'static, Postgres>,
    rows: Vec<Row>,
}

/// The partitions that have rows whose time has come.
pub(super) async fn due_partitions(database: &Database) -> Result<Vec<i16>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select p::smallint as "partition!"
           from generate_series(0, $1::int - 1) as p
           where exists (
               select 1 from messaging_outbox where partition = p and available_at <= now()
           )"#,
        i32::from(PARTITIONS),
    )
    .fetch_all(database)
    .await
}

impl Batch {
    /// Leases a partition and claims its first rows; none when another relay has the lease.
    pub(super) async fn claim(
        mut tx: Transaction<'static, Postgres>,
        partition: i16,
        batch_size: NonZeroU16,
    ) -> Result<Option<Self>, sqlx::Error> {
        let claimed = Self::lease(&mut tx, partition, batch_size).await;
        if let Err(error) = &claimed {
            Database::recover(&mut tx, error).await;
        }
        Ok(claimed?.map(|rows| Self { tx, rows }))
    }

    /// The first rows of a partition; none when another relay has the lease.
    async fn lease(
        tx: &mut Transaction<'static, Postgres>,
        partition: i16,
        batch_size: NonZeroU16,
    ) -> Result<Option<Vec<Row>>, sqlx::Error> {
        // The lease and the claim are two statements: the second must see what the last holder of
        // the lease did, so its snapshot is taken after the lock.
        let leased = sqlx::query_scalar!(
            r#"select pg_try_advisory_xact_lock($1, $2) as "leased!""#,
            LEASE_CLASS,
            i32::from(partition),
        )
        .fetch_one(&mut **tx)
        .await?;
        if !leased {
            return Ok(None);
        }
        rows(tx, partition, batch_size).await.map(Some)
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether there may be more rows behind these.
    pub(super) fn is_full(&self, batch_size: NonZeroU16) -> bool {
        let bytes: usize = self.rows.iter().map(|row| row.envelope.len()).sum();
        self.rows.len() >= usize::from(batch_size.get())
            || i64::try_from(bytes).is_ok_and(|bytes| bytes >= BATCH_BYTES_MAX)
    }

    /// Deletes or archives what was sent, puts off what failed, and gives the lease back. `fates` are in the
    /// order of the rows.
    pub(super) async fn settle(mut self, fates: &[Fate], archive: bool) -> Result<(), sqlx::Error> {
        let mut sent = Vec::new();
        for (row, fate) in self.rows.iter().zip(fates) {
            match fate {
                Fate::Sent => sent.push(row.id),
                Fate::PutOff(reason) => put_off(&mut self.tx, row.id, reason).await?,
                Fate::Left => {}
            }
        }
        archive::remove_sent(&mut self.tx, &sent, archive).await?;
        self.tx.commit().await
    }
}

/// The first due rows of a partition, without those behind a row of their aggregate that waits for
/// another try.
async fn rows(
    tx: &mut Transaction<'static, Postgres>,
    partition: i16,
    batch_size: NonZeroU16,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"with due as materialized (
               select id, octet_length(envelope) as bytes
               from messaging_outbox due
               where partition = $1
                 and available_at <= now()
                 and not exists (
                     select 1 from messaging_outbox earlier
                     where earlier.aggregate_id = due.aggregate_id
                       and earlier.id < due.id
                       and earlier.attempts > 0
                       and earlier.available_at > now()
                 )
               order by id
               limit $2
               for update skip locked
           ), sized as (
               select id, sum(bytes) over (order by id) - bytes as bytes_before from due
           )
           select id as "id!", event_id as "event_id!", aggregate_id as "aggregate_id!",
                  exchange as "exchange!", routing_key as "routing_key!", envelope as "envelope!",
                  mandatory as "mandatory!", traceparent
           from sized join messaging_outbox using (id)
           where bytes_before < $3
           order by id"#,
        partition,
        i64::from(batch_size.get()),
        BATCH_BYTES_MAX,
    )
    .fetch_all(&mut **tx)
    .await
}

async fn put_off(
    tx: &mut Transaction<'static, Postgres>,
    id: i64,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update messaging_outbox
         set attempts = attempts + 1,
             available_at = clock_timestamp()
                 + make_interval(secs => least($2 * power(2, least(attempts, 16)), $3)),
             last_error = $4
         where id = $1",
        id,
        PUT_OFF_SECONDS,
        PUT_OFF_SECONDS_MAX,
        reason,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
