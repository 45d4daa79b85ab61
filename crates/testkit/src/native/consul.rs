//! A private Consul agent in its development mode: a cluster of one that keeps nothing on disk, so
//! that a restart loses all registrations and its index goes backwards.

use std::{fs, time::Duration};

use super::{
    Launch, NativeError, ProcessId, Server, ServerOptions, Signal,
    error::Doing,
    find, port,
    ready::{ask, until_ready},
    server::is_server,
};

const NAME: &str = "consul";
/// How long it may take to elect itself.
const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A running agent without access control, killed when dropped.
#[derive(Debug)]
pub struct Consul {
    server: Server,
    ports: Ports,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    http: u16,
    server: u16,
    serf_lan: u16,
    serf_wan: u16,
}

impl Consul {
    /// Starts the agent that `CONSUL_BIN` names and waits until it has a leader.
    pub fn start(options: &ServerOptions) -> Result<Self, NativeError> {
        port::retry_when_busy(options, |options| {
            // It keeps no data that two could destroy.
            fs::create_dir_all(&options.folder)
                .doing(|| format!("make {}", options.folder.display()))?;
            let ports = Ports {
                http: port::free(options.port),
                server: port::free(None),
                serf_lan: port::free(None),
                serf_wan: port::free(None),
            };
            let process = spawn(options, ports)?;
            let server = Server::new(NAME, options, process, Signal::INT, STOP_GRACE);
            let server = Self { server, ports };
            server.wait_ready()?;
            Ok(server)
        })
    }

    /// Starts it again on the same ports, empty, after a kill.
    pub fn start_again(&mut self) -> Result<(), NativeError> {
        self.server.process = spawn(&self.server.options, self.ports)?;
        self.wait_ready()
    }

    fn wait_ready(&self) -> Result<(), NativeError> {
        let question = b"GET /v1/health/service/consul?passing HTTP/1.0\r\n\r\n";
        until_ready(NAME, self.process, &self.options.log, READY_LIMIT, || {
            ask(self.ports.http, question).is_some_and(|answer| {
                let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
                head.starts_with("http/1.0 200") && head.contains("x-consul-knownleader: true")
            })
        })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.http)
    }

    /// The port of its HTTP API.
    pub fn port(&self) -> u16 {
        self.ports.http
    }
}

is_server!(Consul);

fn spawn(options: &ServerOptions, ports: Ports) -> Result<ProcessId, NativeError> {
    let port = |port: u16| port.to_string();
    Launch::new(&find::consul()?, &options.log)
        .append(true)
        .current_dir(&options.folder)
        .args(["agent", "-dev", "-bind", "127.0.0.1", "-node", "testkit"])
        .args(["-http-port", &port(ports.http), "-server-port", &port(ports.server)])
        .args(["-serf-lan-port", &port(ports.serf_lan)])
        .args(["-serf-wan-port", &port(ports.serf_wan)])
        .args(["-dns-port", "-1", "-grpc-port", "-1"])
        .spawn()
}
