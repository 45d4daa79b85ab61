//! `tusk check`

use std::path::PathBuf;
use std::process::ExitCode;

use tusk_config::{Check, Severity, Vars};

use crate::{report, usual_paths};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keys given twice or without a value are errors
    #[arg(long)]
    strict: bool,
    /// Evaluates with the variables of this environment; unset or mistyped ones are errors
    #[arg(long)]
    resolve: bool,
    /// Prints the faults as a JSON array
    #[arg(long)]
    json: bool,
    /// Files, and folders with all .tsk files below them; `config` or this folder when not given
    paths: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let check = Check::new().strict(args.strict);
    let check = if args.resolve { check.resolve(Vars::process()) } else { check };
    let found = check.run(usual_paths(&args.paths));
    if args.json {
        let faults: Vec<_> = found.faults.iter().map(report::json).collect();
        report::output(serde_json::Value::from(faults));
    } else {
        found.faults.iter().for_each(|fault| report::text(fault, true));
        let is_error = |fault: &&tusk_config::Fault| fault.severity() == Severity::Error;
        let errors = found.faults.iter().filter(is_error).count();
        let warnings = found.faults.len() - errors;
        let files = found.files;
        let variables = found.variables.len();
        report::output(format_args!(
            "{files} files, {variables} variables: {errors} errors, {warnings} warnings"
        ));
    }
    ExitCode::from(u8::from(found.has_errors()))
}
