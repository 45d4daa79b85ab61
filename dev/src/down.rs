//! `cargo dev down`: stops what `up` wrote down, and nothing else.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    project::Project,
    state::{State, stop_all},
    table,
    up::state_file,
};

pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    let _lock = project.lock()?;
    let file = state_file(project);
    let Some(state) = State::load(&file)? else {
        println!("nothing is up");
        return Ok(ExitCode::SUCCESS);
    };
    stop_all(&state.processes, table::stopped)?;
    fs::remove_file(&file).context("remove the state")?;
    println!("down; data and secrets stay under .dev for the next `up`");
    Ok(ExitCode::SUCCESS)
}
