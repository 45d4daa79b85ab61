//! `tusk fmt`

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tusk_config::{format, tsk_files};

use crate::{report, usual_paths};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Changes nothing; names the files that would change, and ends with 1 if there are any
    #[arg(long)]
    check: bool,
    /// Files, folders with all .tsk files below them, or `-` for standard input; `config` or this
    /// folder when not given
    paths: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if args.paths == [Path::new("-")] {
        return standard_input();
    }
    let files = match tsk_files(usual_paths(&args.paths)) {
        Ok(files) => files,
        Err(errors) => return report::refused(&errors),
    };
    let (mut failed, mut changed) = (false, false);
    for (path, text) in files {
        match format(&path.display().to_string(), &text) {
            Ok(formatted) if formatted == text => {}
            Ok(formatted) => {
                changed = true;
                report::output(path.display());
                failed |= !args.check && !write(&path, &formatted);
            }
            Err(errors) => {
                failed = true;
                report::refused(&errors);
            }
        }
    }
    ExitCode::from(u8::from(failed || (changed && args.check)))
}

fn standard_input() -> ExitCode {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        report::complain(format_args!("cannot read standard input: {error}"));
        return ExitCode::FAILURE;
    }
    match format("standard input", &text) {
        Ok(formatted) => {
            let written = std::io::stdout().write_all(formatted.as_bytes());
            ExitCode::from(u8::from(written.is_err()))
        }
        Err(errors) => report::refused(&errors),
    }
}

fn write(path: &Path, text: &str) -> bool {
    let written = fs::write(path, text);
    if let Err(error) = &written {
        report::complain(format_args!("cannot write {}: {error}", path.display()));
    }
    written.is_ok()
}
