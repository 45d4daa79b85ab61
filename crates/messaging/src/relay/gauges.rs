//! How much waits in the outbox, and for how long: the two numbers that say whether events flow.

use std::convert::Infallible;

use sqlx::PgPool;
use tokio::time::sleep;

use crate::broker::Broker;
use crate::metrics::{self, INTERVAL};

/// Keeps the gauges of `service`'s outbox, also while the broker is away.
pub(super) async fn keep(pool: &PgPool, service: &str, broker: &Broker) -> Infallible {
    loop {
        metrics::connections(service, broker);
        match measure(pool).await {
            Ok((depth, age_seconds)) => metrics::outbox(service, depth, age_seconds),
            Err(error) => tracing::debug!(error = %error, "outbox was not measured"),
        }
        sleep(INTERVAL).await;
    }
}

async fn measure(pool: &PgPool) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"select count(*) as "depth!",
                  coalesce(extract(epoch from now() - min(created_at)), 0)::bigint as "age!"
           from messaging_outbox"#
    )
    .fetch_one(pool)
    .await?;
    Ok((row.depth, row.age))
}
