//! Holds: what rows wait for that the broker returned or refused.
//!
//! A hold is of a route, an exchange and a routing key that no queue is bound to or whose queue is
//! full; or of one row that the broker does not take. Rows of it, and the later rows of their
//! aggregates, point to it. When its time has come one of them is sent; if that goes through, the
//! hold is *open*, and all others follow.

use database::Database;
use sqlx::PgConnection;

use crate::outbox::PARTITIONS;
use crate::relay::batch::Row;

/// The delay after the first failure, in seconds; it doubles with each further one.
const DELAY_SECONDS: f64 = 1.0;
/// The longest delay.
const DELAY_SECONDS_MAX: f64 = 120.0;
/// Holds that one pass looks at.
const DUE_MAX: i64 = 100;

/// Why a row is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its route takes nothing, for the reason given.
    Route(&'static str),
    /// Its route takes nothing, and the broker said why.
    Refused(String),
    /// The broker does not take this very message.
    Row(String),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Route(reason) => f.write_str(reason),
            Self::Refused(reason) | Self::Row(reason) => f.write_str(reason),
        }
    }
}

/// A hold with rows in a partition.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) hold_id: i64,
    pub(super) partition: i16,
    /// Whether one row is to be tried, and not all that wait.
    pub(super) is_probe: bool,
}

/// The holds whose time has come, where they have rows; a hold that is to be tried once only.
pub(super) async fn due(database: &Database) -> Result<Vec<Due>, sqlx::Error> {
    // What nothing waits for any more is gone; not what another relay makes a row wait for now.
    sqlx::query!(
        "delete from messaging_holds where id in (
             select id from messaging_holds hold
             where next_attempt_at <= now()
               and not exists (select from messaging_outbox where hold_id = hold.id)
             for update skip locked
         )"
    )
    .execute(database)
    .await?;
    let mut due = sqlx::query_as!(
        Due,
        r#"select hold.id as "hold_id!", p::smallint as "partition!", attempts > 0 as "is_probe!"
           from (
               select id, attempts, next_attempt_at from messaging_holds
               where next_attempt_at <= now() order by next_attempt_at limit $2
           ) as hold
           cross join generate_series(0, $1::int - 1) as p
           where exists (select from messaging_outbox where hold_id = hold.id and partition = p)
           order by hold.next_attempt_at, hold.id, p"#,
        i32::from(PARTITIONS),
        DUE_MAX,
    )
    .fetch_all(database)
    .await?;
    due.dedup_by(|next, first| next.hold_id == first.hold_id && next.is_probe);
    Ok(due)
}

/// Notes one more failure of what rows of this route wait for; the hold's id.
pub(super) async fn failed(
    tx: &mut PgConnection,
    row: &Row,
    cause: &Cause,
) -> Result<i64, sqlx::Error> {
    let row_id = if matches!(cause, Cause::Row(_)) { row.id } else { 0 };
    // Of several relays that find the same at the same time, one counts.
    sqlx::query_scalar!(
        "insert into messaging_holds as hold
             (exchange, routing_key, row_id, reason, next_attempt_at)
         values ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
         on conflict (exchange, routing_key, row_id) do update
         set reason = excluded.reason,
             attempts = case when hold.next_attempt_at > clock_timestamp() and hold.attempts > 0
                             then hold.attempts else hold.attempts + 1 end,
             next_attempt_at = case
                 when hold.next_attempt_at > clock_timestamp() and hold.attempts > 0
                 then hold.next_attempt_at
                 else clock_timestamp()
                     + make_interval(secs => least($5 * power(2, least(hold.attempts, 16)), $6))
             end
         returning id",
        row.exchange,
        row.routing_key,
        row_id,
        cause.to_string(),
        DELAY_SECONDS,
        DELAY_SECONDS_MAX,
    )
    .fetch_one(tx)
    .await
}

/// Opens a hold: a row of it went through.
pub(super) async fn open(tx: &mut PgConnection, hold_id: i64) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update messaging_holds set attempts = 0, next_attempt_at = now()
         where id = $1 and attempts > 0",
        hold_id
    )
    .execute(tx)
    .await?;
    Ok(())
}
