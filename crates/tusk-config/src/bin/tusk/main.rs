//! The `tusk` command: checks, reads, explains, prints and formats `.tsk` files.
//!
//! Ends with 0 when all is well, with 1 when files or values are at fault (or, for `fmt --check`, when
//! a file is not in its layout), with 2 when it was called wrongly. What was asked for goes to
//! standard output, what is wrong to standard error; nothing half-done is printed.
mod check;
mod environment;
mod layout;
mod report;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Works on TuskLang configuration (.tsk files).
#[derive(Debug, Parser)]
#[command(name = "tusk", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what is wrong with files
    Check(check::Args),
    /// Prints the value of one key
    Get(values::Get),
    /// Says where the value of a key came from, and what it replaced
    Explain(values::Explain),
    /// Prints the whole evaluated configuration
    Render(values::Render),
    /// Puts files into the canonical layout
    Fmt(layout::Args),
    /// Lists every variable that files read
    Env(environment::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Get(args) => values::get(&args),
        Command::Explain(args) => values::explain(&args),
        Command::Render(args) => values::render(&args),
        Command::Fmt(args) => layout::run(&args),
        Command::Env(args) => environment::run(&args),
    }
}

/// `config`, when it is there, else this folder: what is meant when no path is given.
fn usual_paths(paths: &[std::path::PathBuf]) -> Vec<std::path::PathBuf> {
    let usual = if std::path::Path::new("config").is_dir() { "config" } else { "." };
    if paths.is_empty() { vec![usual.into()] } else { paths.to_vec() }
}
