//! A private Redis.

use std::{path::PathBuf, time::Duration};

use super::{
    Launch, NativeError, Owner, ProcessId, Server, ServerOptions, Signal, find, options, port,
    ready::{ask, until_ready},
    server::is_server,
};

const NAME: &str = "redis";
/// How long it may take to answer; it reads its whole file of changes first.
const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A running Redis, killed when dropped unless it was stopped or detached. One whose data is kept lets
/// nobody in without its password, as other users of the machine reach its port; one that is thrown
/// away, a test's, has none.
pub struct Redis {
    server: Server,
    port: u16,
    password: Option<String>,
    owner: Owner,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Redis {
    /// Starts it and waits until it answers PING. Data that is kept goes to an append-only file. A
    /// `redis.conf` in the place's folder is read first.
    pub fn start(options: &ServerOptions) -> Result<Self, NativeError> {
        port::retry_when_busy(options, |options| {
            let server = Self::launch(options)?;
            server.wait_ready()?;
            Ok(server)
        })
    }

    fn launch(options: &ServerOptions) -> Result<Self, NativeError> {
        let owner = options.claim(NAME)?;
        let port = port::free(options.port);
        let password = options.keep.then(|| options::password(&options.folder)).transpose()?;
        let process = spawn(options, password.as_deref(), &owner, port, false)?;
        let server = Server::new(NAME, options, process, Signal::TERM, STOP_GRACE);
        Ok(Self { server, port, password, owner })
    }

    /// Starts it again on the same port, after a stop or a kill.
    pub fn start_again(&mut self) -> Result<(), NativeError> {
        let password = self.password.as_deref();
        self.server.process = spawn(&self.server.options, password, &self.owner, self.port, true)?;
        self.wait_ready()
    }

    fn wait_ready(&self) -> Result<(), NativeError> {
        until_ready(NAME, self.process, &self.options.log, READY_LIMIT, || {
            let login = self.password.as_ref().map(|password| format!("AUTH {password}\r\n"));
            let question = login.unwrap_or_default() + "PING\r\n";
            let answer = ask(self.port, question.as_bytes());
            answer.is_some_and(|answer| answer.windows(5).any(|bytes| bytes == b"+PONG"))
        })
    }

    /// Its address, with its password.
    pub fn url(&self) -> String {
        let login = self.password.as_ref().map(|password| format!(":{password}@"));
        format!("redis://{}127.0.0.1:{}", login.unwrap_or_default(), self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leaves it running when this value goes.
    pub fn detach(mut self) {
        self.server.leave();
    }
}

is_server!(Redis);

fn spawn(
    options: &ServerOptions,
    password: Option<&str>,
    owner: &Owner,
    port: u16,
    append: bool,
) -> Result<ProcessId, NativeError> {
    let append_only = if options.keep { "yes" } else { "no" };
    let more = settings(options, password)?;
    Launch::new(&find::redis()?, &options.log)
        .owner(owner)?
        .append(append)
        // Its log names no zone.
        .env("TZ", "UTC")
        .current_dir(&options.folder)
        .args(more)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", append_only, "--daemonize", "no", "--logfile", ""])
        .spawn()
}

/// The file of settings that it is to read: `redis.conf` of the place, and before it the password, which
/// everybody would see among its arguments. None when there is neither.
fn settings(
    options: &ServerOptions,
    password: Option<&str>,
) -> Result<Option<PathBuf>, NativeError> {
    let given = options.folder.join("redis.conf");
    let given = given.exists().then_some(given);
    let Some(password) = password else { return Ok(given) };
    let include = given.map(|file| format!("include {}\n", file.display())).unwrap_or_default();
    let file = options.folder.join("private.conf");
    options::write_private(&file, &format!("requirepass {password}\n{include}"))?;
    Ok(Some(file))
}
