//! How faults are printed: for people, in colour on a terminal; or as JSON.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use tusk_config::{Errors, Fault, Location, Severity, Vars};

/// Prints a line of what was asked for. Whoever reads it may have seen enough (`tusk … | head`),
/// which is no reason to fail.
pub(crate) fn output(line: impl Display) {
    writeln!(std::io::stdout().lock(), "{line}").ok();
}

/// Prints a line to standard error.
pub(crate) fn complain(line: impl Display) {
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

/// Prints every fault to standard error.
pub(crate) fn refused(errors: &Errors) -> ExitCode {
    errors.iter().for_each(|fault| text(fault, false));
    ExitCode::FAILURE
}

/// Prints a fault to standard error, or to standard output when it is what was asked for.
pub(crate) fn text(fault: &Fault, to_output: bool) {
    let terminal =
        if to_output { std::io::stdout().is_terminal() } else { std::io::stderr().is_terminal() };
    let plain = Vars::process().get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let shown = if terminal && !plain { coloured(fault) } else { fault.to_string() };
    let shown = format_args!("{shown}\n");
    if to_output { output(shown) } else { complain(shown) }
}

/// The head of a fault in bold red or yellow, its source lines as they are.
fn coloured(fault: &Fault) -> String {
    let colour = if fault.severity() == Severity::Error { 31 } else { 33 };
    let shown = fault.to_string();
    let (head, rest) = shown.split_once('\n').unwrap_or((&shown, ""));
    let end = if rest.is_empty() { "" } else { "\n" };
    format!("\u{1b}[1;{colour}m{head}\u{1b}[0m{end}{rest}")
}

/// A fault for programs.
pub(crate) fn json(fault: &Fault) -> Value {
    let notes: Vec<Value> = fault
        .notes()
        .map(|(location, text)| {
            json!({"text": text, "file": location.file(), "line": location.line(), "column": location.column()})
        })
        .collect();
    json!({
        "severity": if fault.severity() == Severity::Error { "error" } else { "warning" },
        "text": fault.text(),
        "file": fault.location().map(Location::file),
        "line": fault.location().map(Location::line),
        "column": fault.location().map(Location::column),
        "end_column": fault.location().map(Location::end_column),
        "label": fault.label_text(),
        "help": fault.help_text(),
        "notes": notes,
    })
}
