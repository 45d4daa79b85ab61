//! What can happen to messages, each fault by its name: small [campaigns](crate::campaign) of one
//! fault each. Those that need no process to be killed are tests of `messaging` itself.

mod between;
pub(crate) mod dead_letters;
mod disk;
mod drift;
mod frozen;

use std::time::Duration;

use tusk_config::Vars;

use crate::campaign::fixture::Fixture;
use crate::campaign::oracle::Findings;
use crate::campaign::schedule::{Fault, Step};
use crate::campaign::{Plan, Sabotage, run};

#[tokio::test(flavor = "multi_thread")]
async fn broker_killed_mid_publish() {
    inject(&[Fault::BrokerKilled], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_behind_a_black_hole() {
    inject(&[Fault::BrokerBehindABlackHole, Fault::BrokerCutOff], 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_alarm_lets_the_outbox_grow_and_loses_nothing() {
    inject(&[Fault::BrokerShortOfDisk], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_killed_mid_transaction() {
    inject(&[Fault::DatabaseKilled], 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumer_process_killed() {
    inject(&[Fault::ConsumerKilled], 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_one_killed() {
    inject(&[Fault::PublisherKilled], 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_that_vanishes_without_a_word() {
    inject(&[Fault::RelayVanished], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unroutable_events_and_unreadable_messages() {
    let faults = &[Fault::LateReaderCame, Fault::UnreadableMessages];
    inject(faults, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exchange_binding_and_queue_deleted() {
    inject(&[Fault::ExchangeDeleted, Fault::BindingDeleted, Fault::QueueDeleted], 1).await;
}

/// Fifty rounds in the long form.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load() {
    let is_long = Vars::process().get("CAMPAIGN_INTENTS").is_some();
    let rounds = if is_long { 25 } else { 3 };
    inject(&[Fault::PublisherTerminated, Fault::ConsumerTerminated], rounds).await;
}

async fn inject(faults: &'static [Fault], rounds: usize) -> Findings {
    let findings = run(Plan { seed: 1, intents: 200, faults, rounds, sabotage: None }).await;
    findings.assert_sound();
    findings
}

/// A campaign whose faults are a test's own, once events flow.
async fn flowing(fault: Fault, wrong: Option<Sabotage>) -> Fixture {
    let fixture = Fixture::set_up(&[fault], wrong).await;
    fixture.until_flowing().await;
    fixture
}

/// A fault that comes at once and is over at once.
fn once(fault: Fault, which: usize) -> Step {
    Step { fault, which, delay: Duration::ZERO, lasts: Duration::ZERO }
}

/// Ends the flow of new intents, and says what has become of all.
async fn at_rest(fixture: &mut Fixture) -> Findings {
    fixture.stop_publishing().await;
    fixture.until_quiet(Duration::from_secs(60)).await;
    fixture.findings().await
}
