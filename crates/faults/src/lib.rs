//! What goes wrong on purpose in a development system, as two files of its `.dev` folder:
//!
//! ```text
//! faults.json   what goes wrong now      written by `cargo dev fault`
//! wires.json    where each wire leads    written by `cargo dev up`
//! ```
//!
//! The proxy between the services and what they call obeys both, and the payment provider's simulator
//! the first. Each is written in one step and looked at by its modification time, so that no reader
//! and no writer waits for the other, and whoever starts later finds what holds.

mod fault;
mod watched;
mod wire;

pub use fault::{DECLINE_CODES, Fault, FaultKind, Faults, FrozenProcess, PROVIDER, now_ms};
pub use watched::Watched;
pub use wire::{Wire, Wires};
