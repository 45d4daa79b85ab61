//! A private Prometheus, which scrapes and evaluates what its settings say.

use std::{path::Path, time::Duration};

use super::{
    Launch, NativeError, Owner, Place, ProcessId, Server, Signal, find, port,
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
    pub fn start(place: &Place, settings: &Path) -> Result<Self, NativeError> {
        port::retry_when_busy(place, |place| {
            let owner = place.claim(NAME)?;
            let port = port::free(place.port);
            let process = spawn(place, &owner, settings, port)?;
            let server = Server::new(NAME, place, process, Signal::TERM, STOP_GRACE);
            let server = Self { server, port };
            let question = b"GET /-/ready HTTP/1.0\r\n\r\n";
            until_ready(NAME, process, &place.log, READY_LIMIT, || {
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
    place: &Place,
    owner: &Owner,
    settings: &Path,
    port: u16,
) -> Result<ProcessId, NativeError> {
    Launch::new(&find::prometheus()?, &place.log)
        .owner(owner)?
        .append(true)
        .current_dir(&place.folder)
        .args(["--config.file"])
        .args([settings])
        .args(["--storage.tsdb.path", "data"])
        .args(["--web.listen-address", &format!("127.0.0.1:{port}")])
        .spawn()
}
