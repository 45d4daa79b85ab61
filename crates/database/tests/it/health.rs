//! A probe tells a database that is busy from one that is away.

use std::time::Duration;

use database::{Condition, Probe};
use testkit::Proxy;
use tokio::time::timeout;

use crate::{connect, settings};

/// What a health check waits for.
const PATIENCE: Duration = Duration::from_secs(2);

/// None: it is away.
async fn look(probe: &Probe) -> Option<Condition> {
    timeout(PATIENCE, probe.check()).await.ok()?.ok()
}

#[tokio::test]
async fn a_pool_whose_connections_are_all_lent_out_is_busy_and_not_away() {
    let server = testkit::database("busy").await;
    let pools = connect(&settings(server.url())).await;
    assert_eq!(look(&pools.probe).await, Some(Condition::Ready));

    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(pools.requests.acquire().await.unwrap());
    }

    assert_eq!(look(&pools.probe).await, Some(Condition::Busy));
    drop(all);
    testkit::eventually("connections are free", async || {
        (look(&pools.probe).await == Some(Condition::Ready)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_database_that_answers_no_more_is_away_until_it_answers_again() {
    let server = testkit::database("away").await;
    let wire = Proxy::start(&server.server()).await;
    let pools = connect(&settings(&server.url_through(wire.address()))).await;

    // What was open hears nothing, for ever, and new connections are well.
    wire.strand().await;
    assert!(look(&pools.probe).await.is_some());
    // All are refused.
    wire.cut().await;
    assert_eq!(look(&pools.probe).await, None);
    wire.restore().await;

    testkit::eventually("the database is there", async || look(&pools.probe).await).await;
}
