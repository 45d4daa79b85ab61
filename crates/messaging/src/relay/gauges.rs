//! How much waits in the outbox, and for how long: the two numbers that say whether events flow.

use std::convert::Infallible;

use database::Database;
use tokio::time::sleep;

use crate::broker::Broker;
use crate::metrics::{self, INTERVAL};
use crate::relay::connection::{DatabaseError, answered};
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

/// Depth, and age in seconds of the oldest row.
async fn measure(database: &Database) -> Result<(i64, i64), DatabaseError> {
    let measuring = sqlx::query!(
        r#"select (select count(*) from (
                      select from messaging_outbox limit $1) as counted) as "depth!",
                  coalesce(extract(epoch from now() - (
                      select created_at from messaging_outbox order by id limit 1
                  )), 0)::bigint as "age!""#,
        DEPTH_MAX,
    );
    let row = answered(measuring.fetch_one(database)).await?;
    Ok((row.depth, row.age))
}
