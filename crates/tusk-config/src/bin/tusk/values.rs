//! `tusk get`, `tusk explain`, `tusk render`: what a configuration comes out as.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use tusk_config::{Config, Errors, Explanation, Loader, Place, Rendered, Step, Vars};

use crate::{report, usual_paths};

/// Where values come from.
#[derive(Debug, clap::Args)]
struct Layers {
    /// A file of lines NAME=VALUE to use in place of the environment of this process
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Variables that begin with PREFIX__ lie over the files
    #[arg(long, value_name = "PREFIX")]
    env_prefix: Option<String>,
    /// Puts one value over everything else, written as in a file
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// A file, or a folder with its overlay environments/$ENVIRONMENT
    path: PathBuf,
    /// Keys joined with dots: server.port
    key: String,
    #[command(flatten)]
    layers: Layers,
    /// Prints secrets too
    #[arg(long)]
    reveal: bool,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "tusk explain [OPTIONS] [PATH] <KEY>")]
pub(crate) struct Explain {
    /// Keys joined with dots, server.port; before it a file, or a folder with its overlay, unless
    /// `config` or this folder is meant
    #[arg(required = true, num_args = 1..=2, value_names = ["PATH", "KEY"])]
    path_and_key: Vec<String>,
    #[command(flatten)]
    layers: Layers,
    /// Prints it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Render {
    /// Files, and folders with their overlays; later ones win
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The format to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    layers: Layers,
    /// Prints secrets too
    #[arg(long)]
    reveal: bool,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    #[default]
    Json,
}

pub(crate) fn get(args: &Get) -> ExitCode {
    let rendered = config(std::slice::from_ref(&args.path), &args.layers)
        .and_then(|config| config.render(Some(&args.key), args.reveal));
    finish(rendered, |value| match value {
        Rendered::Text(text) => text,
        other => compact(&other),
    })
}

pub(crate) fn explain(args: &Explain) -> ExitCode {
    let (key, path) =
        args.path_and_key.split_last().map_or(("", &[][..]), |(key, path)| (key, path));
    let paths: Vec<PathBuf> = path.iter().map(PathBuf::from).collect();
    let explained =
        config(&usual_paths(&paths), &args.layers).and_then(|config| config.explain(key));
    finish(
        explained,
        |found| if args.json { explanation(&found).to_string() } else { found.to_string() },
    )
}

pub(crate) fn render(args: &Render) -> ExitCode {
    let rendered =
        config(&args.paths, &args.layers).and_then(|config| config.render(None, args.reveal));
    finish(rendered, |value| match args.format {
        Format::Json => serde_json::to_string_pretty(&value).unwrap_or_default(),
    })
}

/// Prints the result, or every fault.
fn finish<T>(result: Result<T, Errors>, shown: impl FnOnce(T) -> String) -> ExitCode {
    match result {
        Ok(value) => {
            println!("{}", shown(value));
            ExitCode::SUCCESS
        }
        Err(errors) => {
            errors.iter().for_each(|fault| report::text(fault, false));
            ExitCode::FAILURE
        }
    }
}

fn compact(value: &Rendered) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads these paths as a service would, one after the other.
fn config(paths: &[PathBuf], layers: &Layers) -> Result<Config, Errors> {
    let vars = match &layers.env_file {
        Some(file) => Vars::empty().with_file(file)?,
        None => Vars::process(),
    };
    let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
    let folder = if first.is_dir() { first } else { first.parent().unwrap_or(Path::new("")) };
    let mut loader = Loader::new(folder).vars(vars).allow_files(folder);
    for path in paths {
        loader = loader.path(path);
    }
    if let Some(prefix) = &layers.env_prefix {
        loader = loader.environment(prefix);
    }
    for setting in &layers.set {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        loader = loader.set(key.trim(), value);
    }
    loader.tree()
}

fn explanation(found: &Explanation) -> Value {
    let place = |place: &Option<Place>| place.as_ref().map(ToString::to_string);
    let step = |step: &Step| {
        let origin = |origin: &tusk_config::Origin| json!({"text": origin.text, "place": place(&origin.place), "depth": origin.depth});
        let origins: Vec<Value> = step.origins.iter().map(origin).collect();
        json!({"place": place(&step.place), "written": step.written, "origins": origins})
    };
    let steps: Vec<Value> = found.steps.iter().map(step).collect();
    json!({"path": found.path, "value": found.value, "fault": found.fault, "steps": steps})
}
