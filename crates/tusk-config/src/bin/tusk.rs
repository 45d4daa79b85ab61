//! `tusk check [--strict] [--resolve] PATH…`: says what is wrong with `.tsk` files.
//!
//! Prints each fault with its place. Ends with 1 when there are errors, with 2 when it was called
//! wrongly. The arguments are few enough to be read by hand, so that this crate builds no parser.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

use std::path::PathBuf;
use std::process::ExitCode;

use tusk_config::{Check, Severity, Vars};

const USAGE: &str = "usage: tusk check [--strict] [--resolve] PATH…

Checks .tsk files, and all of them in folders.
  --strict   keys given twice or without a value are errors
  --resolve  evaluate with the variables of this environment; unset or mistyped ones are errors";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let mut check = Check::new();
    let mut paths: Vec<PathBuf> = Vec::new();
    let command = arguments.next();
    for argument in arguments {
        match argument.to_str() {
            Some("--strict") => check = check.strict(true),
            Some("--resolve") => check = check.resolve(Vars::process()),
            Some(option) if option.starts_with('-') => return misused(),
            _ => paths.push(argument.into()),
        }
    }
    match command.as_deref().and_then(|command| command.to_str()) {
        Some("check") if !paths.is_empty() => run(&check, &paths),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Some("--version" | "-V") => {
            println!("tusk {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => misused(),
    }
}

fn run(check: &Check, paths: &[PathBuf]) -> ExitCode {
    let report = check.run(paths);
    for fault in &report.faults {
        println!("{fault}\n");
    }
    let errors = report.faults.iter().filter(|fault| fault.severity() == Severity::Error).count();
    let warnings = report.faults.len() - errors;
    let (files, variables) = (report.files, report.variables.len());
    println!("{files} files, {variables} variables: {errors} errors, {warnings} warnings");
    ExitCode::from(u8::from(report.has_errors()))
}

fn misused() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
