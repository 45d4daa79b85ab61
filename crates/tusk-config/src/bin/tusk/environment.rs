//! `tusk env`

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use tusk_config::{Variable, variables};

use crate::{report, usual_paths};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Files, and folders with all .tsk files below them; `config` or this folder when not given
    paths: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// A Markdown table
    #[default]
    Table,
    /// A template for a file of variables
    Dotenv,
    Json,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match variables(usual_paths(&args.paths)) {
        Ok(found) => {
            let shown = match args.format {
                Format::Table => tusk_config::variables_table(&found),
                Format::Dotenv => dotenv(&found),
                Format::Json => json(&found).to_string(),
            };
            println!("{}", shown.trim_end());
            ExitCode::SUCCESS
        }
        Err(errors) => {
            errors.iter().for_each(|fault| report::text(fault, false));
            ExitCode::FAILURE
        }
    }
}

/// Required variables stand empty, to be filled in; others as comments with their defaults.
fn dotenv(found: &[Variable]) -> String {
    let entry = |variable: &Variable| {
        let Variable { name, defaults, meaning, .. } = variable;
        let meaning = if meaning.is_empty() { String::new() } else { format!("# {meaning}\n") };
        let file = if variable.secret {
            format!("# or {name}_FILE, the name of a file that holds it\n")
        } else {
            String::new()
        };
        let line = match defaults.first() {
            _ if variable.required => format!("{name}="),
            Some(default) if default.contains([' ', '#', '"', '\'', '\\']) => {
                format!("# {name}='{default}'")
            }
            default => format!("# {name}={}", default.map_or("", String::as_str)),
        };
        format!("{meaning}{file}{line}\n")
    };
    found.iter().map(entry).collect::<Vec<_>>().join("\n")
}

fn json(found: &[Variable]) -> Value {
    let one = |variable: &Variable| {
        let places: Vec<String> = variable.places.iter().map(ToString::to_string).collect();
        json!({
            "name": variable.name,
            "defaults": variable.defaults,
            "required": variable.required,
            "secret": variable.secret,
            "places": places,
            "meaning": variable.meaning,
        })
    };
    found.iter().map(one).collect()
}
