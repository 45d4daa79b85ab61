//! The kit's own tests: what tests stand on has to stand itself.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod broker;
mod database;
mod process;
mod proxy;
mod simulator;
mod wait;
