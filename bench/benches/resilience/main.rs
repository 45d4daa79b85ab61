//! `resilience` beside `failsafe`, `recloser`, `tower-resilience-circuitbreaker` and tower's own
//! layers: what a guarded call costs when all is well, for one thread and for two that share.
//!
//! `cargo dev bench resilience`, or `cargo bench -p bench --bench resilience`. The call itself is an
//! async function that does nothing; a figure is the time of one thread's call. The floor is what
//! any breaker that counts has to do: load a state, and add to one counter that all share.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod breakers;
mod budgets;
mod stacks;
mod threads;

fn main() {
    breakers::closed();
    breakers::closed_timed();
    budgets::deposits();
    stacks::whole();
}
