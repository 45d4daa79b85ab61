//! `cargo dev …`, by which every button acts: what the dashboard does can be done in a shell, too, and
//! is done by the same code.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::settings::Settings;

/// How long a command may take: a restart builds first.
const LIMIT: Duration = Duration::from_secs(600);
/// Commands whose ends are remembered.
const DONE_MAX: usize = 50;

/// The tool and what it was told.
#[derive(Debug)]
pub(crate) struct Tool {
    program: PathBuf,
    root: PathBuf,
    namespace: String,
    done: Mutex<Vec<Done>>,
    administrator: tokio::sync::Mutex<Option<(String, std::time::Instant)>>,
}

/// A command that a button gave.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    /// `cargo dev restart user-service`.
    pub(crate) command: String,
    /// None while it is at work.
    pub(crate) succeeded: Option<bool>,
    pub(crate) output: String,
}

impl Tool {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            program: settings.tool.clone(),
            root: settings.root.clone(),
            namespace: settings.namespace.clone(),
            done: Mutex::default(),
            administrator: tokio::sync::Mutex::default(),
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .env_remove("TAKEOVER_SOCKET");
        if !self.namespace.is_empty() {
            command.env("DEV_NAMESPACE", &self.namespace);
        }
        // It goes on when the dashboard ends, as when it is replaced by what it asked for.
        command.process_group(0);
        command
    }

    /// What a command prints; an error is what it says.
    pub(crate) async fn read(&self, words: &[&str]) -> Result<String> {
        let output = tokio::time::timeout(LIMIT, self.command(words).output()).await;
        let output = output.context("it took too long")?.context("run cargo dev")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() && text.is_empty() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(text)
    }

    /// Runs a command to its end and remembers it.
    pub(crate) async fn act(&self, words: &[&str]) -> Done {
        let command = format!("cargo dev {}", words.join(" "));
        let begun = Done { command, succeeded: None, output: String::new() };
        self.done().insert(0, begun.clone());
        let output = tokio::time::timeout(LIMIT, self.command(words).output()).await;
        let (succeeded, output) = match output {
            Ok(Ok(output)) => {
                let said = [output.stdout, output.stderr].concat();
                (output.status.success(), String::from_utf8_lossy(&said).trim().to_owned())
            }
            Ok(Err(error)) => (false, error.to_string()),
            Err(_) => (false, "it took too long".to_owned()),
        };
        let ended = Done { succeeded: Some(succeeded), output, ..begun };
        let mut done = self.done();
        if let Some(place) =
            done.iter_mut().rev().find(|it| it.command == ended.command && it.succeeded.is_none())
        {
            *place = ended.clone();
        }
        done.truncate(DONE_MAX);
        ended
    }

    /// The same without waiting for it.
    pub(crate) fn start(self: &std::sync::Arc<Self>, words: Vec<String>) {
        let tool = std::sync::Arc::clone(self);
        tokio::spawn(async move {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            tool.act(&words).await
        });
    }

    /// The last commands, the newest first.
    pub(crate) fn done(&self) -> std::sync::MutexGuard<'_, Vec<Done>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An administrator's token for the services' routes, kept for as long as it is good.
    pub(crate) async fn administrator(&self) -> Result<String> {
        /// Shorter than any token lives.
        const GOOD_FOR: Duration = Duration::from_secs(120);
        let mut kept = self.administrator.lock().await;
        if let Some((token, since)) = kept.as_ref().filter(|(_, since)| since.elapsed() < GOOD_FOR)
        {
            let _ = since;
            return Ok(token.clone());
        }
        let nobody = "00000000-0000-7000-8000-000000000000";
        let words = ["token", "user", "--id", nobody, "--role", "admin"];
        let token = self.read(&words).await?.trim().to_owned();
        *kept = Some((token.clone(), std::time::Instant::now()));
        Ok(token)
    }
}
