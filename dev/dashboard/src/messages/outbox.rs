//! The outbox of a service: what waits in each partition, for how long, who sends it, and what is held.

use sqlx::PgConnection;

/// Rows that are counted.
const COUNTED_MAX: i64 = 100_000;
/// Rows and holds that are listed.
const LISTED_MAX: i64 = 50;
/// The first key of the advisory lock by which a relay leases a partition; the second is the partition.
const LEASE_CLASS: i64 = 0x6f75_7462;

/// A service's outbox.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) partitions: Vec<Partition>,
    /// The oldest.
    pub(crate) rows: Vec<Waiting>,
    pub(crate) holds: Vec<Hold>,
    /// Events whose time has not come.
    pub(crate) scheduled: i64,
    /// Events that are kept after they were sent.
    pub(crate) archived: i64,
}

/// A partition.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Partition {
    pub(crate) number: i32,
    pub(crate) rows: i64,
    pub(crate) held: i64,
    /// Seconds for which its oldest row waits.
    pub(crate) age: Option<f64>,
    /// Whose connection has the lease at this moment; a lease is taken for a batch.
    pub(crate) holder: Option<String>,
    /// Seconds for which it has it.
    pub(crate) leased_for: Option<f64>,
}

/// A row that waits.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Waiting {
    pub(crate) event_id: String,
    pub(crate) routing_key: String,
    pub(crate) aggregate_id: String,
    pub(crate) partition: i16,
    pub(crate) age: f64,
    pub(crate) bytes: i32,
    /// Why it is held; none when it is on its way.
    pub(crate) reason: Option<String>,
    pub(crate) traceparent: Option<String>,
}

/// What the broker has returned or refused, and when it is tried again.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Hold {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) attempts: i32,
    pub(crate) rows: i64,
    pub(crate) next_in: f64,
    pub(crate) reason: String,
}

impl Outbox {
    /// Rows of all partitions, as far as they are counted.
    pub(crate) fn depth(&self) -> i64 {
        self.partitions.iter().map(|it| it.rows).sum()
    }

    /// Seconds for which the oldest row waits.
    pub(crate) fn age(&self) -> Option<f64> {
        self.partitions.iter().filter_map(|it| it.age).max_by(f64::total_cmp)
    }
}

/// Reads the outbox; none where the database has none.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn read(connection: &mut PgConnection) -> sqlx::Result<Option<Outbox>> {
    let has_one: bool = sqlx::query_scalar(
        "select to_regclass('messaging_outbox') is not null
            and to_regclass('messaging_holds') is not null
            and to_regclass('messaging_archive') is not null",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !has_one {
        return Ok(None);
    }
    let partitions = partitions(connection).await?;
    let rows = waiting(connection).await?;
    let holds = holds(connection).await?;
    let counts = sqlx::query_as(
        "select (select count(*) from (select from messaging_scheduled limit $1) as counted),
                (select count(*) from (select from messaging_archive limit $1) as counted)",
    );
    let (scheduled, archived) = counts.bind(COUNTED_MAX).fetch_one(&mut *connection).await?;
    Ok(Some(Outbox { partitions, rows, holds, scheduled, archived }))
}

async fn partitions(connection: &mut PgConnection) -> sqlx::Result<Vec<Partition>> {
    sqlx::query_as(
        "select numbers.number, coalesce(waiting.rows, 0) as rows,
                coalesce(waiting.held, 0) as held, waiting.age,
                case when holder.pid is not null then
                    concat_ws(' ', holder.usename, nullif(holder.application_name, ''),
                        'backend ' || holder.pid)
                end as holder,
                extract(epoch from clock_timestamp() - holder.xact_start)::float8 as leased_for
         from generate_series(0, 7) as numbers (number)
         left join (
             select partition, count(*) as rows, count(hold_id) as held,
                    extract(epoch from now() - min(created_at))::float8 as age
             from (select partition, hold_id, created_at from messaging_outbox limit $1) as counted
             group by partition
         ) as waiting on waiting.partition = numbers.number
         left join lateral (
             select activity.* from pg_locks locks
             join pg_stat_activity activity on activity.pid = locks.pid
             where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 2
               and locks.classid::bigint = $2 and locks.objid::bigint = numbers.number
               and activity.datname = current_database()
             limit 1
         ) as holder on true
         order by 1",
    )
    .bind(COUNTED_MAX)
    .bind(LEASE_CLASS)
    .fetch_all(connection)
    .await
}

async fn waiting(connection: &mut PgConnection) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as(
        "select o.event_id::text, o.routing_key, o.aggregate_id::text, o.partition,
                extract(epoch from now() - o.created_at)::float8 as age,
                octet_length(o.envelope) as bytes, h.reason, o.traceparent
         from messaging_outbox o left join messaging_holds h on h.id = o.hold_id
         order by o.id
         limit $1",
    )
    .bind(LISTED_MAX)
    .fetch_all(connection)
    .await
}

async fn holds(connection: &mut PgConnection) -> sqlx::Result<Vec<Hold>> {
    sqlx::query_as(
        "select h.exchange, h.routing_key, h.attempts, h.reason,
                (select count(*) from (
                    select from messaging_outbox o where o.hold_id = h.id limit $2
                ) as counted) as rows,
                extract(epoch from h.next_attempt_at - now())::float8 as next_in
         from messaging_holds h
         order by h.id
         limit $1",
    )
    .bind(LISTED_MAX)
    .bind(COUNTED_MAX)
    .fetch_all(connection)
    .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
