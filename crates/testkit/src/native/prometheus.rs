//! A private Prometheus, which scrapes and evaluates what its settings say.

use std::{path::Path, time::Duration};

use super::{
    Launch, NativeError, Owner, ProcessId, Server, ServerOptions, Signal, find, port,
    ready::{ask, until_ready},
    server::is_server,
};

const NAME: &str = "prometheus";
/// How long it may take to answer.
const READY_LIMIT: Duration = Duration::from_secs(20);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A running Prometheus, killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    server: Server,
    port: u16,
}

impl Prometheus {
    /// Starts one with the settings of this file, beside which it finds its rules, and waits until
    /// it answers.
    pub fn start(options: &ServerOptions, settings: &Path) -> Result<Self, NativeError> {
        port::retry_when_busy(options, |options| {
            let owner = options.claim(NAME)?;
            let port = port::free(options.port);
            let process = spawn(options, &owner, settings, port)?;
            let server = Server::new(NAME, options, process, Signal::TERM, STOP_GRACE);
            let server = Self { server, port };
            let question = b"GET /-/ready HTTP/1.0\r\n\r\n";
            until_ready(NAME, process, &options.log, READY_LIMIT, || {
                ask(port, question).is_some_and(|answer| answer.starts_with(b"HTTP/1.0 200"))
            })?;
            Ok(server)
        })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

is_server!(Prometheus);

fn spawn(
    options: &ServerOptions,
    owner: &Owner,
    settings: &Path,
    port: u16,
) -> Result<ProcessId, NativeError> {
    Launch::new(&find::prometheus()?, &options.log)
        .owner(owner)?
        .append(true)
        .current_dir(&options.folder)
        .args(["--config.file"])
        .args([settings])
        .args(["--storage.tsdb.path", "data"])
        .args(["--web.listen-address", &format!("127.0.0.1:{port}")])
        .spawn()
}
