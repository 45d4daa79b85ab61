//! What stands still without ending, for longer than the others wait: the freezes of a
//! [campaign](crate::campaign) are over within a second.

use std::time::Duration;

use crate::campaign::schedule::{Fault, Step};
use crate::faults::{at_rest, flowing, inject, once};

/// Both sides have given up the connection: twice the interval of heartbeats is over.
const LONGER_THAN_HEARTBEATS: Duration = Duration::from_secs(25);
/// In a campaign confirms are given up after three seconds, and the wait for a free connection to
/// the database after five.
const LONGER_THAN_ANSWERS: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes most of a minute: by hand, with --run-ignored all"]
async fn broker_frozen() {
    stand_still(Fault::BrokerFrozen, LONGER_THAN_HEARTBEATS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes most of a minute: by hand, with --run-ignored all"]
async fn broker_behind_a_long_black_hole() {
    stand_still(Fault::BrokerBehindABlackHole, LONGER_THAN_HEARTBEATS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes most of a minute: by hand, with --run-ignored all"]
async fn database_frozen() {
    stand_still(Fault::DatabaseFrozen, LONGER_THAN_ANSWERS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes most of a minute: by hand, with --run-ignored all"]
async fn database_cut_off() {
    inject(&[Fault::DatabaseCutOff], 5).await;
}

/// The broker gives up its connection meanwhile, and its messages to the other one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes most of a minute: by hand, with --run-ignored all"]
async fn consumer_frozen() {
    stand_still(Fault::ConsumerFrozen, LONGER_THAN_HEARTBEATS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes most of a minute: by hand, with --run-ignored all"]
async fn relay_frozen() {
    stand_still(Fault::PublisherFrozen, LONGER_THAN_ANSWERS).await;
}

async fn stand_still(fault: Fault, lasts: Duration) {
    let mut fixture = flowing(fault, None).await;

    fixture.inject(&Step { lasts, ..once(fault, 0) }).await;

    at_rest(&mut fixture).await.assert_sound();
}
