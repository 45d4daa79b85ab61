//! How much waits in the outbox, and for how long: the two numbers that say whether events flow.

use std::convert::Infallible;

use database::Database;
use tokio::time::sleep;

use crate::broker::Broker;
use crate::metrics::{self, INTERVAL};
use crate::outbox::PARTITIONS;
use crate::schedule;

/// How far the outbox is counted: it is measured often, and all the more must the relay be quick when
/// it is full.
const DEPTH_MAX: i64 = 100_000;

/// Keeps the gauges of `service`'s outbox, also while the broker is away.
pub(super) async fn keep(database: &Database, service: &str, broker: &Broker) -> Infallible {
    loop {
        metrics::connections(service, broker);
        match measure(database).await {
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

/// Depth and age in seconds. The first row of a partition is its oldest, but for the length of a
/// transaction: so the age takes eight looks at an index.
async fn measure(database: &Database) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"select (select count(*) from (select from messaging_outbox limit $1) as counted) as "depth!",
                  coalesce(extract(epoch from now() - min(oldest.created_at)), 0)::bigint as "age!"
           from generate_series(0, $2::int - 1) as p
           cross join lateral (
               select created_at from messaging_outbox where partition = p order by id limit 1
           ) as oldest"#,
        DEPTH_MAX,
        i32::from(PARTITIONS),
    )
    .fetch_one(database)
    .await?;
    Ok((row.depth, row.age))
}
