//! What a service sees of this crate: settings of three services, faults, overlays, the command.
#![allow(clippy::unwrap_used, missing_docs)]

mod ambiguities;
mod command;
mod faults;
mod files;
mod format;
mod imports;
mod layers;
mod microservices;
mod never_panics;
mod readme;
mod recovery;

use tusk_config::{Errors, Loader, Vars};

/// These texts as files, each with its name.
fn load<T: serde::de::DeserializeOwned>(text: &str, vars: &[(&str, &str)]) -> Result<T, Errors> {
    Loader::new("config").text("a.tsk", text).vars(Vars::of(vars.iter().copied())).load()
}

/// The faults as `line:column text`, or without a place `text`.
fn faults<T: serde::de::DeserializeOwned>(text: &str, vars: &[(&str, &str)]) -> Vec<String> {
    let Err(errors) = load::<T>(text, vars) else { return Vec::new() };
    let shown = |fault: &tusk_config::Fault| match fault.location() {
        Some(location) => format!("{}:{} {}", location.line(), location.column(), fault.text()),
        None => fault.text().to_owned(),
    };
    errors.iter().map(shown).collect()
}
