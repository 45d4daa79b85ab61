//! `messaging` beside lapin and sqlx by hand: what its promises cost, against a real RabbitMQ and
//! PostgreSQL.
//!
//! `cargo dev bench messaging` starts both for the run, or takes those of `TEST_POSTGRES_URL`,
//! `TEST_AMQP_URL` and so on. PostgreSQL runs without fsync, for both sides.
//!
//! | what | limit |
//! |---|---|
//! | publish with confirms | 0.95 of lapin's pipelined publishes |
//! | relay: committed rows, confirmed and deleted | 0.8 of the same |
//! | inbox: a claim and one effect, a transaction each | 0.9 of the same statements by hand |
//! | batched inbox | 2 of the single one |
//! | latency from the commit to the handler, idle | a median of 15 ms |
//! | an outbox of a million rows | 0.9 of the rate of one of ten thousand |
//! | a pass after 240,000 rows went by under an old snapshot | 0.5 of the rate of an empty table |
//!
//! `cargo dev bench messaging publish` runs a part: `publish`, `inbox`, `latency`, `drain`,
//! `passed`.
//! Messages are of 512 bytes, queues are quorum queues, batches of 500. A ratio is the median of
//! the ratios within each round, as the machine may be shared. It all takes about four minutes.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark"
)]

mod drain;
mod inbox;
mod latency;
mod passed;
mod publish;
mod raw;
mod world;

use bench::{Rates, verdict};
use tokio::runtime::Runtime;

/// Measures one thing and prints its table.
type Part = fn(&Runtime);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let parts: [(&str, Part); 5] = [
        ("publish", publish::compared),
        ("inbox", inbox::compared),
        ("latency", latency::idle),
        ("drain", drain::compared),
        ("passed", passed::compared),
    ];
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    for (name, compare) in parts {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            compare(&runtime);
        }
    }
    // Databases and virtual hosts are dropped by threads of their own.
    drop(runtime);
}

/// A row of a table: a rate, and its ratio to what it is held to.
fn row(name: &str, rates: &Rates, other: Option<(&Rates, f64)>) -> Vec<String> {
    let mut cells = vec![name.to_owned(), format!("{:.0}", rates.median())];
    if let Some((other, limit)) = other {
        let ratio = rates.ratio_to(other);
        cells.push(format!("{ratio:.2} x"));
        cells.push(verdict(&format!("at least {limit} x"), ratio >= limit));
    }
    cells
}

/// The table's head.
fn head(what: &str, other: &str) -> Vec<String> {
    [what, "per second", other, "limit"].map(str::to_owned).to_vec()
}
