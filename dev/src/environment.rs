//! What a service gets of the shell that the tool is called in, beyond what every program gets
//! ([`testkit::native::clean_environment`]).

use std::{env, path::PathBuf};

use anyhow::Result;

/// The variables that the user has set, of those that these settings files read; a secret's may name a
/// file instead.
pub(crate) fn of_settings(files: &[PathBuf]) -> Result<Vec<(String, String)>> {
    let read = tusk_config::variables(files)?.into_iter();
    let names = read.flat_map(|variable| [format!("{}_FILE", variable.name), variable.name]);
    Ok(names.filter_map(|name| env::var(&name).ok().map(|value| (name, value))).collect())
}
