//! `tusk get`, `tusk explain`, `tusk render`: what a configuration comes out as.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use tusk_config::{Errors, Loader, Rendered, Vars};

use crate::{report, usual_paths};

/// Where values come from.
#[derive(Debug, clap::Args)]
struct Layers {
    /// A file of lines NAME=VALUE to use in place of the environment of this process
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// With --env-file, takes what that file does not set from the environment of this process
    #[arg(long, requires = "env_file")]
    with_environment: bool,
    /// Variables that begin with PREFIX__ lie over the files
    #[arg(long, value_name = "PREFIX")]
    env_prefix: Option<String>,
    /// Puts one value over everything else, written as in a file
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// A file, or a folder with its overlay environments/$ENVIRONMENT
    path: PathBuf,
    /// Keys joined with dots: server.port
    key: String,
    #[command(flatten)]
    layers: Layers,
    /// Prints the value even if it is a secret
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
    /// Keys given twice or without a value, and variables that are not set and have no default, are
    /// errors
    #[arg(long)]
    strict: bool,
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
    let rendered = loader(std::slice::from_ref(&args.path), &args.layers)
        .and_then(Loader::tree)
        .and_then(|config| config.render(Some(&args.key), args.reveal));
    match rendered {
        // A shell would take whatever stands in for a secret as its value.
        Ok(Rendered::Secret) => {
            report::complain(format_args!(
                "`{}` is a secret\n  help: --reveal prints it",
                args.key
            ));
            ExitCode::FAILURE
        }
        Ok(Rendered::Text(text)) => finish(Ok(text)),
        other => finish(other.map(|value| compact(&value))),
    }
}

pub(crate) fn explain(args: &Explain) -> ExitCode {
    let (key, path) =
        args.path_and_key.split_last().map_or(("", &[][..]), |(key, path)| (key, path));
    let paths: Vec<PathBuf> = path.iter().map(PathBuf::from).collect();
    let explained = loader(&usual_paths(&paths), &args.layers)
        .and_then(Loader::tree)
        .and_then(|config| config.explain(key));
    finish(explained.map(|found| if args.json { compact(&found) } else { found.to_string() }))
}

pub(crate) fn render(args: &Render) -> ExitCode {
    let rendered = loader(&args.paths, &args.layers)
        .and_then(|loader| loader.render(args.strict, args.reveal));
    finish(rendered.map(|value| match args.format {
        Format::Json => serde_json::to_string_pretty(&value).unwrap_or_default(),
    }))
}

/// Prints the result, or every fault.
fn finish(result: Result<String, Errors>) -> ExitCode {
    match result {
        Ok(shown) => {
            report::output(shown);
            ExitCode::SUCCESS
        }
        Err(errors) => report::refused(&errors),
    }
}

fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads these paths as a service would, one after the other.
fn loader(paths: &[PathBuf], layers: &Layers) -> Result<Loader, Errors> {
    let vars = match &layers.env_file {
        Some(file) if layers.with_environment => Vars::process().with_file(file)?,
        Some(file) => Vars::empty().with_file(file)?,
        None => Vars::process(),
    };
    let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
    let folder = if first.is_dir() { Some(first) } else { first.parent() };
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut loader = Loader::new(folder).vars(vars).allow_files(folder);
    for path in paths {
        loader = loader.path(path);
    }
    if let Some(prefix) = &layers.env_prefix {
        loader = loader.environment(prefix);
    }
    for (key, value) in &layers.set {
        loader = loader.set(key, value);
    }
    Ok(loader)
}
