//! `cargo dev down`: stops what `up` started, and nothing else.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    fault,
    project::Project,
    state::{State, stop_all},
    table, unrecorded,
};

pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    let _lock = project.lock()?;
    if stop(project)? {
        println!("down; data and secrets stay under .dev for the next `up`");
    } else {
        println!("nothing is up");
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops everything, under the lock of the caller; says whether there was anything.
pub(crate) fn stop(project: &Project) -> Result<bool> {
    // Who stands still, or hears nobody, does not end in order.
    fault::mend_all(project)?;
    let Some(state) = unrecorded::with_state(project)? else {
        return Ok(false);
    };
    // First, so that an `up` that watches does not take for a fault what ends on purpose. Should we
    // be killed on the way, the rest is found by its locks.
    let file = State::file(project);
    if file.exists() {
        fs::remove_file(&file).context("remove the state")?;
    }
    stop_all(&state.processes, table::stopped)?;
    Ok(true)
}
