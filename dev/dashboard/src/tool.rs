//! `cargo dev …`, by which every button acts: what the dashboard does can be done in a shell, too, and
//! is done by the same code.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::settings::Settings;

/// How long a command may take: a restart builds first.
const LIMIT: Duration = Duration::from_secs(600);
/// How long what a command has said is read after its end.
const REST_LIMIT: Duration = Duration::from_millis(500);
/// Commands whose ends are remembered.
const DONE_MAX: usize = 50;
/// Bytes of what a command says that are remembered: its end.
const OUTPUT_MAX: usize = 32 * 1024;

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
#[derive(Debug, Clone, Default)]
pub(crate) struct Done {
    /// Counted from 1.
    pub(crate) number: u64,
    /// `cargo dev restart user-service`.
    pub(crate) command: String,
    /// None while it is at work.
    pub(crate) succeeded: Option<bool>,
    pub(crate) output: String,
    /// Of its process, while it is at work.
    pid: Option<u32>,
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

    /// Runs a command to its end and remembers it, and what it says while it says it.
    pub(crate) async fn act(&self, words: &[&str]) -> Done {
        // As it is written in a shell, where the namespace is not known.
        let namespace = match self.namespace.as_str() {
            "" => String::new(),
            name => format!("--namespace {name} "),
        };
        let number = self.begin(format!("cargo dev {namespace}{}", words.join(" ")));
        let outcome = tokio::time::timeout(LIMIT, self.follow(number, words)).await;
        let (succeeded, more) = match outcome {
            Ok(Ok(succeeded)) => (succeeded, String::new()),
            Ok(Err(error)) => (false, format!("{error:#}")),
            Err(_) => (false, "it took too long".to_owned()),
        };
        self.change(number, |done| {
            done.output.push_str(&more);
            (done.succeeded, done.pid) = (Some(succeeded), None);
        })
        .unwrap_or_default()
    }

    fn begin(&self, command: String) -> u64 {
        let mut done = self.done();
        let number = done.first().map_or(0, |last| last.number) + 1;
        done.insert(0, Done { number, command, ..Done::default() });
        done.truncate(DONE_MAX);
        number
    }

    async fn follow(&self, number: u64, words: &[&str]) -> Result<bool> {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("run cargo dev")?;
        let pid = child.id();
        self.change(number, |done| done.pid = pid);
        let output = child.stdout.take();
        let errors = child.stderr.take();
        let said = async { tokio::join!(self.keep(number, output), self.keep(number, errors)) };
        let ended = child.wait();
        tokio::pin!(said, ended);
        let status = tokio::select! {
            _ = &mut said => ended.await,
            status = &mut ended => {
                // What it has started may hold on to its output.
                let _said_all = tokio::time::timeout(REST_LIMIT, said).await;
                status
            }
        };
        Ok(status?.success())
    }

    /// Remembers the end of what is read.
    async fn keep(&self, number: u64, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let text = String::from_utf8_lossy(&buffer[..length]);
            self.change(number, |done| {
                done.output.push_str(&text);
                let surplus = done.output.len().saturating_sub(OUTPUT_MAX);
                done.output.drain(..done.output.ceil_char_boundary(surplus));
            });
        }
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Done)) -> Option<Done> {
        let mut done = self.done();
        let found = done.iter_mut().find(|done| done.number == number)?;
        change(found);
        Some(found.clone())
    }

    /// Ends a command that is at work, as Ctrl-C does.
    pub(crate) fn interrupt(&self, number: u64) {
        let done = self.done();
        let pid = done.iter().find(|done| done.number == number).and_then(|done| done.pid);
        let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // It may have ended at this moment.
            let _ended = kill_process(pid, Signal::INT);
        }
    }

    /// Of the last command.
    pub(crate) fn last_number(&self) -> u64 {
        self.done().first().map_or(0, |last| last.number)
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
        match &*kept {
            Some((token, since)) if since.elapsed() < GOOD_FOR => return Ok(token.clone()),
            _ => {}
        }
        let nobody = "00000000-0000-7000-8000-000000000000";
        let words = ["token", "user", "--id", nobody, "--role", "admin"];
        let token = self.read(&words).await?.trim().to_owned();
        *kept = Some((token.clone(), std::time::Instant::now()));
        Ok(token)
    }
}
