//! A service of this workspace beside one that is written by hand, and beside Go.
//!
//! | contestant | what |
//! |---|---|
//! | `limit` | `bench/limit`: axum and sqlx by hand, nothing else |
//! | `gin` | `bench/gin`: Go with gin and pgx, as Debian packages them; left out by name where Go is not there |
//! | `generated` | what `cargo dev new-service` makes, with all that a service has at work; it asks nobody whether a user is active, since no contestant makes a call |
//! | `users` | user-service: a profile that its own cache has |
//!
//! All are built as they go into images (`dist`). "All that a service has" is: the policy, limits,
//! problem documents, metrics, JSON logs at `info` into a file, one request in ten traced and exported
//! to a collector, health checks, the relay, which publishes and deletes the outbox row of each POST.
//! Throttling is off.
//!
//! In each round every contestant in turn gets a database of its own with a thousand rows, on one
//! PostgreSQL that waits for the disk, ten connections, and 32 clients of wrk that wait for their
//! answers. Only ratios within one round mean anything; a ratio is the median over the rounds.
//!
//! `cargo dev bench http` takes some eight minutes, once the profile is built. `cargo dev bench http
//! soak` loads the generated service for ten, and tells its memory by the minute; `cargo dev bench http
//! limit generated` compares these two alone.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark"
)]

mod contestants;
mod load;
mod process;
mod soak;
mod table;
mod turn;

use std::env;

use testkit::collector::Collector;
use tokio::runtime::Runtime;

use contestants::Contestant;
use turn::Turn;

/// Rounds that are measured; the machine may be shared.
const ROUNDS: usize = 3;

fn main() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let collector = Collector::start_discarding();
        let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
        if words == ["soak"] {
            soak::ten_minutes(&collector).await;
        } else {
            compare(&contestants::chosen(&collector, &words)).await;
        }
    });
    // Databases and virtual hosts are dropped by threads of their own.
    drop(runtime);
}

async fn compare(contestants: &[Contestant]) {
    let mut turns: Vec<Vec<Turn>> = contestants.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds() {
        for index in bench::order(round, contestants.len()) {
            let turn = Turn::take(&contestants[index]).await;
            println!("round {}: {}: {turn}", round + 1, contestants[index].name);
            turns[index].push(turn);
        }
    }
    table::print(contestants, &turns);
}

/// `BENCH_ROUNDS`, for a quick look.
fn rounds() -> usize {
    env::var("BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
}
