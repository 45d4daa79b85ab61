//! Calls through outages: what callers see, and what the replicas get, with and without each rule.
//!
//! | scenario | what happens to the three replicas |
//! |---|---|
//! | every third fails | one answers every third request with 500 |
//! | busy at once | one answers 503 with `Retry-After: 1` at once |
//! | slow one | one takes twenty times as long |
//! | slow all | all take twelve times as long, and cannot keep up |
//! | death | one is gone in the middle of its requests: its sockets are closed |
//! | slow start | a fourth one comes, and takes ten times as long for its first four seconds |
//!
//! Each begins after three seconds of quiet, lasts for six, and three quiet ones follow. Calls come at
//! random times of a given rate, whether those before are answered or not, over real HTTP. Service times
//! and arrivals are drawn from seeded generators, so that each contestant has the same ones; all
//! contestants of a scenario run at the same time, each with replicas of its own.
//!
//! "Errors" and the percentiles are those of callers, who give up after two seconds. Amplification is
//! requests at the replicas for each call.
//!
//! `cargo dev bench outages` takes a minute and a half; `cargo dev bench outages death` is one scenario.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a benchmark"
)]

mod callers;
mod load;
mod replica;
mod scenario;

use std::env;

use bench::print_table;
use futures_util::future::join_all;
use tokio::runtime::Runtime;

use callers::Contestant;
use load::Seen;
use scenario::Scenario;

fn main() {
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let runtime = Runtime::new().unwrap();
    for scenario in Scenario::ALL {
        let is_wanted = |word: &String| scenario.name().replace(' ', "_").starts_with(word);
        if words.is_empty() || words.iter().any(is_wanted) {
            let rows = runtime.block_on(run(scenario));
            let title =
                format!("{}, {} calls/s, from second 3 to 9 of 12", scenario.name(), load::RATE);
            print_table(&title, &rows);
        }
    }
}

async fn run(scenario: Scenario) -> Vec<Vec<String>> {
    let runs = Contestant::ALL.map(async |contestant| {
        let replicas = scenario.replicas();
        let caller = contestant.caller(&replicas);
        let (seen, ()) = tokio::join!(
            load::run(caller.as_ref()),
            scenario.play(&replicas, || {
                caller.knows(&replicas[scenario::REPLICAS]);
            })
        );
        let requests: usize = replicas.iter().map(replica::Replica::requests).sum();
        (contestant.name(), seen, requests)
    });
    let header = ["", "calls", "errors", "p50 ms", "p99 ms", "max ms", "requests for a call"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(
        join_all(runs).await.into_iter().map(|(name, seen, requests)| row(name, seen, requests)),
    );
    rows
}

fn row(name: &str, mut seen: Seen, requests: usize) -> Vec<String> {
    let calls = seen.times.len();
    let amplification = requests as f64 / calls as f64;
    let errors = 100.0 * seen.errors as f64 / calls as f64;
    vec![
        name.to_owned(),
        calls.to_string(),
        format!("{errors:.1} %"),
        seen.percentile(50),
        seen.percentile(99),
        seen.percentile(100),
        format!("{amplification:.2}"),
    ]
}
