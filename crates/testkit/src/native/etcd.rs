//! A private etcd: alone, or one of two, which without the other has no leader.

use std::{fs, time::Duration};

use super::{
    Launch, NativeError, Owner, ProcessId, Server, ServerOptions, Signal, find, port,
    ready::{ask, until_ready},
    server::is_server,
};

const NAME: &str = "etcd";
/// How long it may take to answer, an election included.
const READY_LIMIT: Duration = Duration::from_secs(20);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A running etcd without accounts, killed when dropped unless it was stopped.
#[derive(Debug)]
pub struct Etcd {
    server: Server,
    name: String,
    port: u16,
    peer_port: u16,
    /// `name=address` of each member for its peers.
    cluster: String,
    owner: Owner,
}

impl Etcd {
    /// Starts one that is a cluster of its own, and waits until it is healthy.
    pub fn start(options: &ServerOptions) -> Result<Self, NativeError> {
        port::retry_when_busy(options, |options| {
            let peer_port = port::free(None);
            let server = Self::launch(options, "alone", peer_port, &member("alone", peer_port))?;
            server.wait_ready()?;
            Ok(server)
        })
    }

    /// Starts the two members of a cluster: it has a leader while both run.
    pub fn start_pair(options: &[ServerOptions; 2]) -> Result<[Self; 2], NativeError> {
        let ports = [port::free(None), port::free(None)];
        let cluster = format!("{},{}", member("first", ports[0]), member("second", ports[1]));
        let first = Self::launch(&options[0], "first", ports[0], &cluster)?;
        let second = Self::launch(&options[1], "second", ports[1], &cluster)?;
        first.wait_ready()?;
        second.wait_ready()?;
        Ok([first, second])
    }

    fn launch(
        options: &ServerOptions,
        name: &str,
        peer_port: u16,
        cluster: &str,
    ) -> Result<Self, NativeError> {
        let owner = options.claim(NAME)?;
        let port = port::free(options.port);
        let name = name.to_owned();
        let cluster = cluster.to_owned();
        let process = spawn(options, &owner, &name, [port, peer_port], &cluster)?;
        let server = Server::new(NAME, options, process, Signal::TERM, STOP_GRACE);
        Ok(Self { server, name, port, peer_port, cluster, owner })
    }

    /// Starts it again on the same ports with the same data, after a stop or a kill.
    pub fn start_again(&mut self) -> Result<(), NativeError> {
        let ports = [self.port, self.peer_port];
        self.server.process =
            spawn(&self.server.options, &self.owner, &self.name, ports, &self.cluster)?;
        self.wait_ready()
    }

    /// Starts it again on the same ports without its data, after a stop or a kill.
    pub fn start_empty(&mut self) -> Result<(), NativeError> {
        let _none_there = fs::remove_dir_all(self.options.folder.join("data"));
        self.start_again()
    }

    fn wait_ready(&self) -> Result<(), NativeError> {
        let question = b"GET /health HTTP/1.0\r\n\r\n";
        until_ready(NAME, self.process, &self.options.log, READY_LIMIT, || {
            ask(self.port, question).is_some_and(|answer| answer.starts_with(b"HTTP/1.0 200"))
        })
    }

    /// Its address.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

is_server!(Etcd);

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn member(name: &str, peer_port: u16) -> String {
    format!("{name}={}", url(peer_port))
}

fn spawn(
    options: &ServerOptions,
    owner: &Owner,
    name: &str,
    ports: [u16; 2],
    cluster: &str,
) -> Result<ProcessId, NativeError> {
    let [clients, peers] = ports.map(url);
    Launch::new(&find::etcd()?, &options.log)
        .owner(owner)?
        .append(true)
        .current_dir(&options.folder)
        .args(["--name", name, "--data-dir", "data"])
        .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
        .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
        .args(["--initial-cluster", cluster, "--initial-cluster-token", cluster])
        .spawn()
}
