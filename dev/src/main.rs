//! `cargo dev`: sets up, runs, tests and checks the whole system with one command each.
//!
//! ```text
//! cargo dev up        servers + services + the payment provider's simulator, ready to use
//! cargo dev smoke     the whole scenario over HTTP on the running system
//! cargo dev down      stops exactly what `up` started
//! cargo dev test      every test, on servers started for the run
//! cargo dev check     what continuous integration holds the code to
//! ```
//!
//! It is the first thing a newcomer waits for, so that it links no service, no runtime and no
//! driver: it starts binaries, speaks HTTP and asks `psql`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks on its output"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the tool makes the environment that services read through tusk-config"
)]

#[macro_use]
mod output;

mod admin;
mod bench;
mod calls;
mod check;
mod cli;
mod dashboard;
mod data_version;
mod databases;
mod doctor;
mod documents;
mod down;
mod env;
mod events;
mod export;
mod fault;
mod features;
mod folder;
mod graph;
mod http;
mod install;
mod interrupt;
mod logs;
mod mcp;
mod measure;
mod namespaces;
mod origin;
mod ports;
mod prepare;
mod private;
mod programs;
mod project;
mod queues;
mod rehearse;
mod restart;
mod run;
mod run_files;
mod sandbox;
mod secrets;
mod servers;
mod services;
mod smoke;
mod state;
mod status;
mod stop;
mod table;
mod template;
mod test;
mod token;
mod unrecorded;
mod up;
mod wires;

use std::process::ExitCode;

fn main() -> ExitCode {
    output::until_closed(|| {
        cli::run().unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        })
    })
}
