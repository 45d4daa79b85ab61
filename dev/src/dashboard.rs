//! What the dashboard is given: where it listens, who may see it, and by which tool it acts.

use std::{env, path::Path};

use anyhow::{Context, Result};

use crate::{
    origin,
    project::Project,
    secrets::{DASHBOARD_TOKEN, Secrets},
    services::DASHBOARD,
    state::State,
};

/// What it needs of the shell to build services, and to find the servers that the user has given.
const OF_BUILDS: [&str; 4] = ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "RUSTUP_HOME"];

/// The variables that it is started with.
pub(crate) fn variables(
    project: &Project,
    secrets: &Secrets,
    port: u16,
) -> Result<Vec<(String, String)>> {
    let tool = env::current_exe().context("find this program")?;
    let text = |path: &Path| path.display().to_string();
    let variables = [
        ("DASHBOARD_PORT", port.to_string()),
        ("DASHBOARD_TOKEN", secrets.get(DASHBOARD_TOKEN).to_owned()),
        ("DASHBOARD_FOLDER", text(&project.dev(""))),
        ("DASHBOARD_TOOL", text(&tool)),
        ("DEV_NAMESPACE", project.namespace().unwrap_or_default().to_owned()),
    ];
    Ok(variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// What it takes over of the user's shell, so that what it starts is as if it were started there.
pub(crate) fn of_shell(project: &Project) -> Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for service in project.services() {
        let files = origin::settings_files(project, &service.name)?;
        variables.extend(origin::of_shell(&files)?);
    }
    let is_taken = |name: &str| OF_BUILDS.contains(&name) || name.starts_with("DEV_");
    variables.extend(env::vars().filter(|(name, _)| is_taken(name)));
    Ok(variables)
}

/// Where a browser finds the one that runs, with the token that lets it in.
pub(crate) fn url(project: &Project, state: &State) -> Option<String> {
    let (base, token) = address(project, state)?;
    Some(format!("{base}/?token={token}"))
}

/// Where the one that runs is, and its token.
pub(crate) fn address(project: &Project, state: &State) -> Option<(String, String)> {
    let port = state.running(DASHBOARD)?.port?;
    let secrets = Secrets::load(project).ok()?;
    Some((format!("http://localhost:{port}"), secrets.get(DASHBOARD_TOKEN).to_owned()))
}
