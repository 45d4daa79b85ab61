//! The fault campaign: events flow from publishers to consumers, in processes of their own over
//! servers of their own, while a seeded schedule kills, freezes and cuts off one after the other.
//!
//! ```text
//!   publisher 1, 2 ─▶ outbox ─ relay ─▶ exchange ─▶ 2 queues ─▶ consumer 1, 2 ─▶ inbox + effect
//!        │                                 └ - - ▶ a queue ─▶ a reader that comes late      │
//!        └── intents    (one database, one broker, each behind a wire)                      │
//!              └──────────────────────────── oracle ──────────────────────────────────────┘
//! ```
//!
//! Each event has two readers. The consumers of one compete; those of the other one keep the order of
//! an aggregate's events, one being active at a time. Some events are unroutable, but for the times
//! when a third reader is there; the later events of their aggregates wait for them.
//!
//! Afterwards every committed intent has exactly one effect at each of its readers, none was invented,
//! those of an aggregate are in order at the ordered reader, the outbox is empty and the dead-letter
//! queues hold the poison alone. The seed, the table of faults and one line of counts are printed.
//!
//! The short form is part of every `cargo dev test`. The long one, with its table:
//! `CAMPAIGN_INTENTS=20000 cargo dev test -- -p e2e -E 'test(nothing_is_lost)' --no-capture`.
//!
//! | variable | means |
//! |---|---|
//! | `CAMPAIGN_INTENTS` | goes on with the faults until so many are committed: 20000 for the long form |
//! | `CAMPAIGN_SEED` | the order of the faults, to see a campaign again |

mod deletion;
pub(crate) mod fixture;
mod inject;
mod intent;
mod operator;
pub(crate) mod oracle;
mod process;
mod reader;
pub(crate) mod schedule;
mod servers;
mod vanished;
mod worker;

use std::time::{Duration, Instant};

use tusk_config::Vars;

use crate::campaign::fixture::Fixture;
use crate::campaign::oracle::Findings;
use crate::campaign::schedule::{Fault, Schedule};

/// A mistake that is built into the workers, to see whether the oracle notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The consumers do not claim messages in the inbox.
    Inbox,
    /// The relays delete rows before the broker has confirmed them.
    Relay,
    /// The ordered reader handles events of one aggregate side by side.
    Order,
}

/// What a campaign does.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Ends once so many intents are committed and every fault was there.
    pub(crate) intents: u64,
    pub(crate) faults: &'static [Fault],
    /// How often each fault is there at least.
    pub(crate) rounds: usize,
    pub(crate) sabotage: Option<Sabotage>,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_invented_while_everything_fails() {
    let vars = Vars::process();
    let number = |name: &str| vars.get(name).map(|text| text.parse().expect("a number"));
    let seed = number("CAMPAIGN_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let intents = number("CAMPAIGN_INTENTS").unwrap_or(2_000);
    let plan = Plan { seed, intents, faults: &Fault::ALL, rounds: 1, sabotage: None };

    let findings = run(plan).await;

    findings.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_without_an_inbox_are_found_out() {
    let faults = &[Fault::ConsumerKilled];
    let sabotage = Some(Sabotage::Inbox);

    let findings = run(Plan { seed: 1, intents: 300, faults, rounds: 8, sabotage }).await;

    assert!(findings.duplicated() > 0, "{findings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_delete_before_the_confirm_are_found_out() {
    let faults = &[Fault::PublisherKilled];
    let sabotage = Some(Sabotage::Relay);

    let findings = run(Plan { seed: 1, intents: 300, faults, rounds: 8, sabotage }).await;

    assert!(findings.lost() > 0, "{findings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_that_handle_events_of_one_aggregate_side_by_side_are_found_out() {
    let faults = &[Fault::ConsumerKilled];
    let sabotage = Some(Sabotage::Order);

    let findings = run(Plan { seed: 1, intents: 300, faults, rounds: 2, sabotage }).await;

    assert!(findings.out_of_order() > 0, "{findings}");
}

/// Runs a campaign to its end and prints what it found.
#[allow(clippy::print_stdout, reason = "the seed and the table are for people")]
pub(crate) async fn run(plan: Plan) -> Findings {
    let Plan { seed, intents, faults, rounds, sabotage } = plan;
    println!("campaign with seed {seed}");
    let begin = Instant::now();
    let mut fixture = Fixture::set_up(faults, sabotage).await;
    fixture.until_flowing().await;
    let mut schedule = Schedule::new(seed, faults);
    let mut injected = 0;
    while injected < rounds * faults.len() || fixture.committed().await < intents {
        let step = schedule.next();
        tokio::time::sleep(step.delay).await;
        let began = begin.elapsed().as_secs_f32();
        fixture.inject(&step).await;
        let took = begin.elapsed().as_secs_f32() - began;
        println!("{began:>6.1} s: {:?}, {took:.1} s", step.fault);
        injected += 1;
    }
    fixture.stop_publishing().await;
    fixture.until_quiet(Duration::from_secs(120)).await;
    let findings = fixture.findings().await;
    let seconds = begin.elapsed().as_secs();
    let rounds = injected.div_ceil(faults.len());
    println!("{}", schedule.table());
    println!("seed {seed}: {injected} faults, {rounds} rounds, {findings}, {seconds} s");
    findings
}
