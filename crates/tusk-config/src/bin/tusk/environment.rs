//! `tusk env`

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use tusk_config::{Variable, variables, variables_table, variables_template};

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
                Format::Table => table(&found),
                Format::Dotenv => variables_template(&found),
                Format::Json => json(&found).to_string(),
            };
            report::output(shown.trim_end());
            ExitCode::SUCCESS
        }
        Err(errors) => report::refused(&errors),
    }
}

fn table(found: &[Variable]) -> String {
    let note =
        "\nA secret may stand in a file: `NAME_FILE` is the name of the one that holds `NAME`.";
    let secret = found.iter().any(|variable| variable.secret);
    variables_table(found) + if secret { note } else { "" }
}

fn json(found: &[Variable]) -> Value {
    let one = |variable: &Variable| {
        let locations: Vec<String> = variable.locations.iter().map(ToString::to_string).collect();
        json!({
            "name": variable.name,
            "defaults": variable.defaults,
            "required": variable.required,
            "secret": variable.secret,
            "places": locations,
            "meaning": variable.meaning(),
        })
    };
    found.iter().map(one).collect()
}
