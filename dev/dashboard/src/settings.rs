//! What `cargo dev up` gives the dashboard in its environment.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Where the dashboard listens, what it reads, and by whose word it acts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of 127.0.0.1.
    pub port: u16,
    /// What a browser has to have seen once, in the URL that `up` prints.
    pub token: String,
    /// The system's folder, `.dev` or the namespace's: state, logs, mails, runs.
    pub folder: PathBuf,
    /// The top of the workspace.
    pub root: PathBuf,
    /// The `cargo dev` binary, by which it acts.
    pub tool: PathBuf,
    /// The namespace of the system; empty for none.
    pub namespace: String,
}

impl Settings {
    /// # Errors
    /// A variable is missing or cannot be read.
    pub fn read() -> Result<Self> {
        let variable =
            |name: &str| env::var(name).with_context(|| format!("{name} is set by `cargo dev up`"));
        Ok(Self {
            port: variable("DASHBOARD_PORT")?.parse().context("DASHBOARD_PORT is a port")?,
            token: variable("DASHBOARD_TOKEN")?,
            folder: variable("DASHBOARD_FOLDER")?.into(),
            root: env::current_dir().context("read the working folder")?,
            tool: variable("DASHBOARD_TOOL")?.into(),
            namespace: variable("DEV_NAMESPACE").unwrap_or_default(),
        })
    }
}
