//! A batch of outbox rows: leased, claimed, settled, all in one transaction.

use std::collections::HashMap;
use std::num::NonZeroU16;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::archive;
use crate::relay::connection::{DatabaseError, answered};
use crate::relay::holds::{self, Cause, Due};
use crate::relay::lease::Lease;

/// The envelopes of one batch, in bytes; the first one is taken whatever its size.
const BATCH_BYTES_MAX: i64 = 8 * 1024 * 1024;

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
    /// Another hold that it has to wait for: that of an earlier row of its aggregate, or of its
    /// route.
    pub(super) behind: Option<i64>,
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settlement {
    /// The broker has it: removed.
    Sent,
    /// The broker gave it back or refused it.
    Held(Cause),
    /// Not sent, because an earlier row of its aggregate, or its whole route, is held.
    Behind,
    /// Not tried, or without an answer: stays as it is.
    Left,
}

/// Rows of one partition, in order of insertion, and the transaction that holds them.
pub(super) struct Batch {
    lease: Lease,
    rows: Vec<Row>,
    /// The hold that they wait for; none of fresh rows.
    hold_id: Option<i64>,
    is_full: bool,
}

impl Batch {
    /// The first fresh rows of a partition, from `floor` on.
    pub(super) async fn fresh(
        mut lease: Lease,
        partition: i16,
        floor: i64,
        batch_size: NonZeroU16,
    ) -> Result<Self, DatabaseError> {
        let claiming = fresh_rows(lease.connection(), partition, floor, batch_size);
        let rows = answered(claiming).await?;
        Ok(Self { lease, is_full: is_full(&rows, batch_size), rows, hold_id: None })
    }

    /// The first rows that wait for a hold, or the very first one to try it.
    pub(super) async fn held(
        mut lease: Lease,
        due: &Due,
        batch_size: NonZeroU16,
    ) -> Result<Self, DatabaseError> {
        let limit = if due.is_probe { NonZeroU16::MIN } else { batch_size };
        let rows = answered(held_rows(lease.connection(), due, limit)).await?;
        // After a row that went through, the others follow at once.
        let is_full = due.is_probe || is_full(&rows, limit);
        Ok(Self { lease, is_full, rows, hold_id: Some(due.hold_id) })
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether there may be more rows behind these.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Removes what was sent, or moves it into the archive; holds what failed, and gives the lease back. `settlements` are in the
    /// order of the rows.
    pub(super) async fn settle(
        mut self,
        settlements: Vec<Settlement>,
        archive: bool,
    ) -> Result<(), DatabaseError> {
        answered(self.write(settlements, archive)).await?;
        self.lease.commit().await
    }

    async fn write(
        &mut self,
        settlements: Vec<Settlement>,
        archive: bool,
    ) -> Result<(), sqlx::Error> {
        let tx = self.lease.connection();
        if let Some(hold_id) = self.hold_id.filter(|_| settlements.contains(&Settlement::Sent)) {
            holds::open(tx, hold_id).await?;
        }
        let mut sent = Vec::new();
        let mut held = Held::default();
        for (row, settlement) in self.rows.iter().zip(settlements) {
            match settlement {
                Settlement::Sent => sent.push(row.id),
                Settlement::Held(cause) => held.fail(tx, row, &cause).await?,
                Settlement::Behind => held.behind(row),
                Settlement::Left => {}
            }
        }
        if !held.rows.is_empty() {
            // A hold that a crash forgot would let later rows of its aggregate pass: only what was sent may be
            // forgotten.
            sqlx::raw_sql("set local synchronous_commit to default").execute(&mut *tx).await?;
            held.write(tx).await?;
        }
        if !sent.is_empty() {
            archive::remove_sent(tx, &sent, archive).await?;
        }
        Ok(())
    }
}

/// Rows that are to wait, each for a hold.
#[derive(Default)]
struct Held {
    rows: Vec<i64>,
    holds: Vec<i64>,
    tried: Vec<bool>,
    /// The holds that routes of this batch have got.
    routes: HashMap<(String, String), i64>,
    /// The holds that rows of these aggregates wait for.
    aggregates: HashMap<Uuid, i64>,
}

impl Held {
    /// Holds a row that was returned or refused.
    async fn fail(
        &mut self,
        tx: &mut PgConnection,
        row: &Row,
        cause: &Cause,
    ) -> Result<(), sqlx::Error> {
        let route = (row.exchange.clone(), row.routing_key.clone());
        let is_of_route = !matches!(cause, Cause::Row(_));
        let known = self.routes.get(&route).copied().filter(|_| is_of_route);
        let hold_id = match known {
            Some(hold_id) => hold_id,
            None => holds::failed(tx, row, cause).await?,
        };
        if is_of_route {
            self.routes.insert(route, hold_id);
        }
        self.add(row, hold_id, true);
        Ok(())
    }

    /// Holds a row that was not sent: because of an earlier one of its aggregate in this batch, or
    /// of a hold that was there before.
    fn behind(&mut self, row: &Row) {
        let hold_id = self.aggregates.get(&row.aggregate_id).copied().or(row.behind);
        if let Some(hold_id) = hold_id {
            self.add(row, hold_id, false);
        }
    }

    fn add(&mut self, row: &Row, hold_id: i64, was_tried: bool) {
        self.aggregates.insert(row.aggregate_id, hold_id);
        self.rows.push(row.id);
        self.holds.push(hold_id);
        self.tried.push(was_tried);
    }

    async fn write(&self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update messaging_outbox as outbox
             set hold_id = held.hold_id,
                 attempts = outbox.attempts + case when held.tried then 1 else 0 end,
                 last_error = hold.reason
             from unnest($1::bigint[], $2::bigint[], $3::boolean[]) as held (id, hold_id, tried)
             join messaging_holds hold on hold.id = held.hold_id
             where outbox.id = held.id",
            &self.rows,
            &self.holds,
            &self.tried,
        )
        .execute(tx)
        .await?;
        Ok(())
    }
}

fn is_full(rows: &[Row], batch_size: NonZeroU16) -> bool {
    let bytes: usize = rows.iter().map(|row| row.envelope.len()).sum();
    rows.len() >= usize::from(batch_size.get())
        || i64::try_from(bytes).is_ok_and(|bytes| bytes >= BATCH_BYTES_MAX)
}

// An array and not a join: however little the planner knows of the table, it looks the ids up.
async fn fresh_rows(
    tx: &mut PgConnection,
    partition: i16,
    floor: i64,
    limit: NonZeroU16,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"with due as materialized (
               select id, octet_length(envelope) as bytes
               from messaging_outbox
               where partition = $1 and hold_id is null and id >= $4
               order by id
               limit $2
               for update skip locked
           ), sized as (
               select id, sum(bytes) over (order by id) - bytes as bytes_before from due
           )
           select id as "id!", event_id as "event_id!", aggregate_id as "aggregate_id!",
                  exchange as "exchange!", routing_key as "routing_key!", envelope as "envelope!",
                  mandatory as "mandatory!", traceparent,
                  case when (select exists (select from messaging_holds)) then coalesce(
                      (select earlier.hold_id from messaging_outbox earlier
                       where earlier.aggregate_id = outbox.aggregate_id
                         and earlier.id < outbox.id
                         and earlier.hold_id is not null
                       order by earlier.id desc limit 1),
                      (select hold.id from messaging_holds hold
                       where hold.exchange = outbox.exchange
                         and hold.routing_key = outbox.routing_key
                         and hold.row_id = 0
                         and hold.attempts > 0)
                  ) end as behind
           from messaging_outbox outbox
           where id = any(array(select id from sized where bytes_before < $3))
           order by id"#,
        partition,
        i64::from(limit.get()),
        BATCH_BYTES_MAX,
        floor,
    )
    .fetch_all(tx)
    .await
}

async fn held_rows(
    tx: &mut PgConnection,
    due: &Due,
    limit: NonZeroU16,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"with due as materialized (
               select id, octet_length(envelope) as bytes
               from messaging_outbox
               where hold_id = $1 and partition = $2
               order by id
               limit $3
               for update skip locked
           ), sized as (
               select id, sum(bytes) over (order by id) - bytes as bytes_before from due
           )
           select id as "id!", event_id as "event_id!", aggregate_id as "aggregate_id!",
                  exchange as "exchange!", routing_key as "routing_key!", envelope as "envelope!",
                  mandatory as "mandatory!", traceparent,
                  coalesce(
                      (select earlier.hold_id from messaging_outbox earlier
                       where earlier.aggregate_id = outbox.aggregate_id
                         and earlier.id < outbox.id
                         and earlier.hold_id <> $1
                       order by earlier.id desc limit 1),
                      (select hold.id from messaging_holds hold
                       where hold.exchange = outbox.exchange
                         and hold.routing_key = outbox.routing_key
                         and hold.row_id = 0
                         and hold.attempts > 0
                         and hold.id <> $1)
                  ) as behind
           from messaging_outbox outbox
           where id = any(array(select id from sized where bytes_before < $4))
           order by id"#,
        due.hold_id,
        due.partition,
        i64::from(limit.get()),
        BATCH_BYTES_MAX,
    )
    .fetch_all(tx)
    .await
}
