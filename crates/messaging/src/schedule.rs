//! Events at a time of their own: a reminder, a time-out.
//!
//! ```text
//!   begin                                       relay, at every poll
//!     the change                                  release_due: one statement moves what is due
//!     enqueue_at(key, at, event)                    messaging_scheduled ──▶ messaging_outbox
//!   commit
//! ```
//!
//! A scheduled event is written, replaced and cancelled in the caller's transaction, under a key that
//! the caller chooses. Once it has moved into the outbox it is an event like any other: it can no
//! longer be cancelled, so that its reader must still ask whether it matters. Several relays may
//! release at once; each row moves exactly once.
//!
//! **When.** Not before its time by the clock of the database, and after it by one poll of the relay
//! (`[relay] poll_interval`) at most, unless a backlog is due at once.
//!
//! **Order.** An event takes its place among those of its aggregate when it moves.

use chrono::{DateTime, TimeDelta, Utc};
use contracts::{Event, FieldFault};
use database::Database;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::message;
use crate::outbox::{EnqueueError, Outbox, Row};

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 200;
/// How far ahead an event may be scheduled, in days.
pub const DAYS_AHEAD_MAX: i64 = 366;
/// Rows that one call of [`release_due`] moves at most.
pub const RELEASED_MAX: u64 = 500;

impl Outbox {
    /// Writes `event` into the caller's transaction, to be sent at `at`, which is also its time in the
    /// envelope. What was scheduled under the same key and is not released yet is replaced.
    ///
    /// The key is of 1 to [`KEY_BYTES_MAX`] bytes and of one service: name what waits in it, such as
    /// `order-timeout:<id>`. A time that has passed means at once.
    ///
    /// # Errors
    /// As [`Outbox::enqueue`]; and the key's length, or a time more than [`DAYS_AHEAD_MAX`] days
    /// ahead or before 2000.
    pub async fn enqueue_at<E: Event>(
        &self,
        tx: &mut PgConnection,
        key: &str,
        at: DateTime<Utc>,
        event_id: Uuid,
        event: &E,
    ) -> Result<(), EnqueueError> {
        check(key, at).map_err(|fault| EnqueueError::Field { event_type: E::TYPE, fault })?;
        let row = self.row(event_id, at, event, at)?;
        write(tx, key, at, &row).await?;
        Ok(())
    }

    /// Cancels what is scheduled under `key`, in the caller's transaction. True: once that commits, it
    /// will never be sent. False: there is nothing, or it was released already.
    pub async fn cancel(&self, tx: &mut PgConnection, key: &str) -> Result<bool, sqlx::Error> {
        let cancelled = sqlx::query!("delete from messaging_scheduled where key = $1", key);
        Ok(cancelled.execute(tx).await?.rows_affected() == 1)
    }
}

pub(crate) fn check(key: &str, at: DateTime<Utc>) -> Result<(), FieldFault> {
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Err(FieldFault { field: "key", fault: "needs 1 to 200 bytes" });
    }
    if at.signed_duration_since(message::now()) > TimeDelta::days(DAYS_AHEAD_MAX) {
        return Err(FieldFault { field: "at", fault: "is more than 366 days ahead" });
    }
    Ok(())
}

/// Writes a row to be released at `at`, in place of one of the same key.
pub(crate) async fn write(
    tx: &mut PgConnection,
    key: &str,
    at: DateTime<Utc>,
    row: &Row<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into messaging_scheduled
             (key, due_at, event_id, aggregate_id, partition, exchange, routing_key, envelope,
              mandatory, traceparent)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (key) do update
         set due_at = excluded.due_at, event_id = excluded.event_id,
             aggregate_id = excluded.aggregate_id, partition = excluded.partition,
             exchange = excluded.exchange, routing_key = excluded.routing_key,
             envelope = excluded.envelope, mandatory = excluded.mandatory,
             traceparent = excluded.traceparent",
        key,
        at,
        row.event_id,
        row.aggregate_id,
        row.partition,
        row.exchange,
        row.event_type,
        row.body,
        row.mandatory,
        telemetry::propagation::current_traceparent(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Moves what is due into the outbox, the earliest first and at most [`RELEASED_MAX`] rows; says how
/// many. Rows that another transaction holds (a relay that moves them, a caller that cancels one) are
/// left to it.
pub async fn release_due(database: &Database) -> Result<u64, sqlx::Error> {
    // Mostly nothing is; then nothing is locked either, not even the outbox.
    let is_due = sqlx::query_scalar!(
        r#"select exists (select from messaging_scheduled where due_at <= now()) as "is_due!""#,
    );
    if !is_due.fetch_one(database).await? {
        return Ok(0);
    }
    let released = sqlx::query!(
        "with picked as materialized (
             select key from messaging_scheduled
             where due_at <= now()
             order by due_at
             limit $1
             for update skip locked
         ), due as (
             delete from messaging_scheduled using picked
             where messaging_scheduled.key = picked.key
             returning messaging_scheduled.*
         )
         insert into messaging_outbox
             (event_id, aggregate_id, partition, exchange, routing_key, envelope, mandatory,
              traceparent)
         select event_id, aggregate_id, partition, exchange, routing_key, envelope, mandatory,
                traceparent
         from due order by due_at",
        i64::try_from(RELEASED_MAX).unwrap_or(i64::MAX),
    );
    Ok(released.execute(database).await?.rows_affected())
}

/// How many events are scheduled, counted up to 100,000; and for how many seconds the first has been
/// due, 0 when none is.
pub(crate) async fn measure(database: &Database) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"select (select count(*) from (select from messaging_scheduled limit 100000) as counted)
                      as "depth!",
                  coalesce(greatest(extract(epoch from now() - min(due_at)), 0), 0)::bigint
                      as "overdue!"
           from messaging_scheduled"#,
    );
    let row = row.fetch_one(database).await?;
    Ok((row.depth, row.overdue))
}
