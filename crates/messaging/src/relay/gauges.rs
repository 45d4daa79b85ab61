//! How much waits in the outbox, and for how long: the two numbers that say whether events flow.

use std::convert::Infallible;

use database::Database;
use tokio::time::{Instant, sleep};

use crate::broker::Broker;
use crate::metrics::{self, INTERVAL};
use crate::relay::connection::{Connection, DatabaseError, answered};
use crate::relay::floor::Floor;
use crate::schedule;

/// How far the outbox is counted: it is measured often, and all the more must the relay be quick when
/// it is full.
const DEPTH_MAX: i64 = 100_000;

/// Keeps the gauges of `service`'s outbox, also while the broker is away.
pub(super) async fn keep(database: &Database, service: &str, broker: &Broker) -> Infallible {
    let mut floor = Floor::new(Instant::now());
    loop {
        metrics::connections(service, broker);
        match measure(database, &mut floor).await {
            Ok((depth, age_seconds)) => metrics::outbox(service, depth, age_seconds),
            Err(error) => tracing::debug!(error = %error, "outbox was not measured"),
        }
        match schedule::measure(database).await {
            Ok((depth, overdue)) => metrics::scheduled(service, depth, overdue),
            Err(error) => tracing::debug!(error = %error, "scheduled events were not measured"),
        }
        sleep(INTERVAL).await;
    }
}

/// Depth, and age in seconds of the oldest row.
async fn measure(database: &Database, floor: &mut Floor) -> Result<(i64, i64), DatabaseError> {
    let now = Instant::now();
    floor.look_at_all(now);
    let mut connection = Connection::take(database).await?;
    let measuring = sqlx::query!(
        r#"select (select count(*) from (
                      select from messaging_outbox where id >= $1 limit $2) as counted) as "depth!",
                  oldest.id as "first_row?",
                  coalesce(extract(epoch from now() - oldest.created_at), 0)::bigint as "age!",
                  coalesce(pg_sequence_last_value(
                      pg_get_serial_sequence('messaging_outbox', 'id')), 0) as "last_id!"
           from (values (1)) as always (one)
           left join lateral (
               select id, created_at from messaging_outbox where id >= $1 order by id limit 1
           ) as oldest on true"#,
        floor.id(),
        DEPTH_MAX,
    );
    let row = answered(measuring.fetch_one(&mut *connection)).await?;
    connection.release();
    floor.found(row.first_row.unwrap_or(row.last_id), now);
    Ok((row.depth, row.age))
}
