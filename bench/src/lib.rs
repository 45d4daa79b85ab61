//! Benchmarks of this workspace beside their peers: one run, one table, limits beside the figures.
//!
//! This package stands outside of the default members, so that neither a build nor a test compiles
//! the peers. Run all of them with `cargo dev bench`.
//!
//! A harness of its own, because what is wanted is the comparison: contestants take turns within one
//! process, so that a noisy moment hits all of them; each row has its ratio to a peer and its limit.
//! Nothing fails on a slow machine: a missed limit is printed as missed.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod rounds;

use std::time::{Duration, Instant};

pub use rounds::{Rates, Turn, median, order, rounds};

/// Turns before anything is measured.
const WARM_UP: usize = 3;
/// Turns that are measured, unless time runs out.
const TURNS: usize = 400;
/// One turn in so many is quicker than the figure: a neighbour makes turns slower and none quicker.
const QUICK: usize = 10;
/// How long one comparison may take.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Something that is measured beside others.
pub struct Contestant<'a> {
    /// What it is called in the table.
    pub name: &'a str,
    /// How many bytes one turn works through.
    pub bytes: usize,
    /// One turn; gives the time that it took, so that setting up and clearing away stay outside.
    pub turn: Box<dyn Fn() -> Duration + 'a>,
}

impl<'a> Contestant<'a> {
    /// Measures `work` alone: its result is dropped after the clock has stopped.
    pub fn new<T>(name: &'a str, bytes: usize, work: impl Fn() -> T + 'a) -> Self {
        let turn = move || {
            let begin = Instant::now();
            let result = std::hint::black_box(work());
            let taken = begin.elapsed();
            drop(result);
            taken
        };
        Self { name, bytes, turn: Box::new(turn) }
    }
}

/// The times of one contestant.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it is called in the table.
    pub name: String,
    /// How many bytes one turn worked through.
    pub bytes: usize,
    /// The median of its turns.
    pub median: Duration,
    /// What its quickest tenth of turns keeps to: what short turns of one thread take where nobody else
    /// runs. Of threads that run together, the quickest turns are those in which they did not.
    pub quick: Duration,
    /// The slower quartile less the faster one, as a part of the median.
    pub spread: f64,
}

impl Figure {
    /// Millions of bytes in a second.
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.median.as_secs_f64() / 1e6
    }

    /// Thousandths of a second for one turn.
    pub fn milliseconds(&self) -> f64 {
        self.median.as_secs_f64() * 1e3
    }
}

/// Lets the contestants take turns, and gives the figures in their order.
pub fn compare(contestants: &[Contestant<'_>]) -> Vec<Figure> {
    let begin = Instant::now();
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); contestants.len()];
    for turn in 0..WARM_UP + TURNS {
        if turn > WARM_UP && begin.elapsed() > TIME_MAX {
            break;
        }
        for (contestant, times) in contestants.iter().zip(&mut times) {
            // Not measured: it pays for the memory and the caches that the one before left behind.
            (contestant.turn)();
            let taken = (contestant.turn)();
            if turn >= WARM_UP {
                times.push(taken);
            }
        }
    }
    contestants.iter().zip(times).map(|(contestant, times)| figure(contestant, times)).collect()
}

fn figure(contestant: &Contestant<'_>, mut times: Vec<Duration>) -> Figure {
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 4].as_secs_f64();
    let spread = (at(3) - at(1)) / at(2);
    let name = contestant.name.to_owned();
    let bytes = contestant.bytes;
    Figure {
        name,
        bytes,
        median: times[times.len() / 2],
        quick: times[times.len() / QUICK],
        spread,
    }
}

/// Prints a title and rows of cells, the columns as wide as their longest cell.
pub fn print_table(title: &str, rows: &[Vec<String>]) {
    println!("\n{title}");
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cell = |(cell, width): (&String, &usize)| format!("{cell:<width$}");
        let line: Vec<String> = row.iter().zip(&widths).map(cell).collect();
        println!("  {}", line.join("  ").trim_end());
    }
}

/// `kept` or `missed`, with the limit.
pub fn verdict(limit: &str, kept: bool) -> String {
    format!("{limit}: {}", if kept { "kept" } else { "missed" })
}
