//! A private RabbitMQ: the package's own server script with everything it shares between nodes made
//! private.
//!
//! Erlang nodes of a machine meet through `epmd`, which the first of them would leave running for
//! ever. Ours is started here, on a port of its own, and ended with the server.

use std::{fs, path::Path, process::Command, time::Duration};

use super::{
    Launch, NativeError, Owner, ProcessId, Server, ServerOptions, Signal,
    account::fnv1a,
    error::Doing,
    find, options, port,
    process::clean_environment,
    ready::{ask, until_ready},
    server::is_server,
};

const NAME: &str = "rabbitmq";
const EPMD: &str = "epmd";
const USER: &str = "testkit";
/// How long a start may take: 6 to 12 s on a small machine, more when it is busy.
const READY_LIMIT: Duration = Duration::from_mins(2);
const EPMD_LIMIT: Duration = Duration::from_secs(10);
/// How long an ordered stop may take: queues are closed and synced.
const STOP_GRACE: Duration = Duration::from_secs(30);
/// Above an AMQP port that was asked for, the management port is this far, as 15672 is above 5672.
const MANAGEMENT_OFFSET: u16 = 10_000;

/// A running RabbitMQ with the management plugin, killed when dropped unless it was stopped or
/// detached.
#[derive(Debug)]
pub struct RabbitMq {
    server: Server,
    ports: Ports,
    password: String,
    owners: Owners,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    amqp: u16,
    management: u16,
    distribution: u16,
    epmd: u16,
}

/// The locks of the two processes. Each has one of its own, since the port mapper outlives a
/// broker that is killed.
#[derive(Debug)]
struct Owners {
    broker: Owner,
    epmd: Owner,
}

impl RabbitMq {
    /// Starts it and waits until AMQP and the management API answer.
    pub fn start(options: &ServerOptions) -> Result<Self, NativeError> {
        let mut server = Self::launch(options)?;
        server.wait_ready()?;
        Ok(server)
    }

    /// Starts it without waiting: [`Self::wait_ready`] says when it answers, and then its addresses stay
    /// as they are.
    pub fn launch(options: &ServerOptions) -> Result<Self, NativeError> {
        let broker = options.claim(NAME)?;
        let owners = Owners { broker, epmd: Owner::take(&options.folder, EPMD)? };
        let password = options::password(&options.folder)?;
        let (ports, epmd, process) =
            port::retry_when_busy(options, |options| spawn_both(options, &owners, &password))?;
        let mut server = Server::new(NAME, options, process, Signal::TERM, STOP_GRACE);
        server.helper = Some((EPMD, epmd));
        Ok(Self { server, ports, password, owners })
    }

    /// Starts it again on the same ports with the same data, after a stop or a kill.
    pub fn start_again(&mut self) -> Result<(), NativeError> {
        if !self.helper.is_some_and(|(_, epmd)| epmd.is_running()) {
            let epmd = spawn_epmd(&self.options, &self.owners, self.ports.epmd)?;
            self.server.helper = Some((EPMD, epmd));
        }
        self.server.process = spawn(&self.options, &self.owners, self.ports, true)?;
        self.answers(&mut || false)
    }

    /// Waits until AMQP and the management API answer.
    ///
    /// It takes its ports seconds after its start. When somebody else has one by then, it is started
    /// anew on others: the addresses are to be asked for after this.
    pub fn wait_ready(&mut self) -> Result<(), NativeError> {
        self.wait_ready_unless(|| false)
    }

    /// The same, until `is_given_up` says so: then it is killed, and that is an error.
    pub fn wait_ready_unless(
        &mut self,
        mut is_given_up: impl FnMut() -> bool,
    ) -> Result<(), NativeError> {
        for _ in 1..port::ATTEMPTS_MAX {
            match self.answers(&mut is_given_up) {
                Err(error) if error.is_busy_port() && !is_given_up() => self.move_elsewhere()?,
                outcome => return outcome,
            }
        }
        self.answers(&mut is_given_up)
    }

    fn move_elsewhere(&mut self) -> Result<(), NativeError> {
        self.kill()?;
        self.kill_helper()?;
        self.server.options.port = None;
        let (ports, epmd, process) = spawn_both(&self.options, &self.owners, &self.password)?;
        (self.ports, self.server.helper, self.server.process) =
            (ports, Some((EPMD, epmd)), process);
        Ok(())
    }

    fn answers(&self, is_given_up: &mut impl FnMut() -> bool) -> Result<(), NativeError> {
        until_ready(NAME, self.process, &self.options.log, READY_LIMIT, || {
            if is_given_up() {
                let _ended_either_way = self.process.kill();
            }
            // Another one that took the port meanwhile would answer in its place.
            let ports = [self.ports.amqp, self.ports.management];
            if !ports.iter().all(|port| port::is_held_by(*port, self.process.pid)) {
                return false;
            }
            // The first frame of a connection is a method frame, type 1; the API asks for a login.
            ask(self.ports.amqp, b"AMQP\0\0\x09\x01")
                .is_some_and(|answer| answer.first() == Some(&1))
                && ask(
                    self.ports.management,
                    b"GET /api/overview HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
                )
                .is_some_and(|answer| answer.starts_with(b"HTTP/1.1 401"))
        })
    }

    /// `amqp://user:password@host:port`, without a virtual host.
    pub fn amqp_url(&self) -> String {
        format!("amqp://{USER}:{}@127.0.0.1:{}", self.password, self.ports.amqp)
    }

    /// `http://user:password@host:port` of the management API.
    pub fn management_url(&self) -> String {
        format!("http://{USER}:{}@127.0.0.1:{}", self.password, self.ports.management)
    }

    /// The port AMQP clients connect to.
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// The port of the management API.
    pub fn management_port(&self) -> u16 {
        self.ports.management
    }

    /// The administrator's name.
    pub fn username(&self) -> &'static str {
        USER
    }

    /// The administrator's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Tells it something by `rabbitmqctl`, which takes about two seconds:
    /// `["set_disk_free_limit", "50MB"]`.
    pub fn control(&self, words: &[&str]) -> Result<(), NativeError> {
        let program = find::rabbitmq()?.with_file_name("rabbitmqctl");
        let mut command = Command::new(&program);
        clean_environment(&mut command);
        let output = command
            .env("HOME", &self.options.folder) // the cookie lives there
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string())
            .args(["--node", &node(&self.options.folder)])
            .args(words)
            .output()
            .doing(|| format!("run {}", program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(NativeError::Failed { program: "rabbitmqctl".to_owned(), output })
    }

    /// Leaves it running when this value goes.
    pub fn detach(mut self) {
        self.server.leave();
    }
}

is_server!(RabbitMq);

/// Chooses ports and starts the port mapper and the broker.
fn spawn_both(
    options: &ServerOptions,
    owners: &Owners,
    password: &str,
) -> Result<(Ports, ProcessId, ProcessId), NativeError> {
    let amqp = port::free(options.port);
    let usual = options.port.filter(|wanted| *wanted == amqp);
    let ports = Ports {
        amqp,
        management: port::free(usual.and_then(|port| port.checked_add(MANAGEMENT_OFFSET))),
        distribution: port::free(None),
        epmd: port::free(None),
    };
    write_settings(&options.folder, ports, password)?;
    let epmd = spawn_epmd(options, owners, ports.epmd)?;
    let process = spawn(options, owners, ports, false).inspect_err(|_| {
        let _already_failing = epmd.kill();
    })?;
    Ok((ports, epmd, process))
}

fn write_settings(folder: &Path, ports: Ports, password: &str) -> Result<(), NativeError> {
    let settings = format!(
        "listeners.tcp.1 = 127.0.0.1:{}\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {}\n\
         default_user = {USER}\n\
         default_pass = {password}\n",
        ports.amqp, ports.management
    );
    options::write_private(&folder.join("rabbitmq.conf"), &settings)?;
    let plugins = folder.join("enabled_plugins");
    fs::write(&plugins, "[rabbitmq_management].\n").doing(|| format!("write {}", plugins.display()))
}

fn spawn_epmd(
    options: &ServerOptions,
    owners: &Owners,
    port: u16,
) -> Result<ProcessId, NativeError> {
    let log = options.log.with_extension("epmd.log");
    let process = Launch::new(&find::epmd()?, &log)
        .owner(&owners.epmd)?
        .current_dir(&options.folder)
        .args(["-port", &port.to_string(), "-address", "127.0.0.1"])
        .spawn()?;
    // A request for the names of all nodes: length 1, then `n`.
    until_ready(EPMD, process, &log, EPMD_LIMIT, || ask(port, &[0, 1, b'n']).is_some())
        .map(|()| process)
        .inspect_err(|_| {
            let _already_failing = process.kill();
        })
}

fn spawn(
    options: &ServerOptions,
    owners: &Owners,
    ports: Ports,
    append: bool,
) -> Result<ProcessId, NativeError> {
    let folder = &options.folder;
    let path = |name: &str| folder.join(name).into_os_string();
    Launch::new(&find::rabbitmq()?, &options.log)
        .owner(&owners.broker)?
        .append(append)
        .current_dir(folder)
        .env("HOME", folder.as_os_str()) // the cookie lives there
        .env("ERL_EPMD_PORT", ports.epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODENAME", node(folder))
        .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
        .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
        .env("RABBITMQ_CONFIG_FILES", path("conf.d"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced.config"))
        .env("RABBITMQ_CONF_ENV_FILE", path("rabbitmq-env.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
        .env("RABBITMQ_MNESIA_BASE", path("data"))
        .env("RABBITMQ_LOG_BASE", path("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_PID_FILE", path("pid"))
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erl_args(options.keep))
        // The script then becomes the virtual machine instead of watching over it: signals reach it
        // directly.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .spawn()
}

/// The same name on every start: the data belongs to it. Another folder is another node.
fn node(folder: &Path) -> String {
    format!("testkit-{:08x}@localhost", fnv1a(folder.as_os_str().as_encoded_bytes()) >> 32)
}

/// One scheduler and no busy waiting, so that it leaves a small machine to others; peers on the
/// loopback only. What the broker moves from queue to queue and finds full it tries again after two
/// seconds: its own three minutes are too long for a test.
///
/// Data that is thrown away waits for no disk, as PostgreSQL's does not: quorum queues sync their
/// log before they confirm, and on a machine whose disk stands still for a while no queue is even
/// declared. A killed broker loses nothing by it.
fn erl_args(is_kept: bool) -> String {
    let sync = if is_kept { "" } else { " -ra wal_sync_method none" };
    format!(
        "+S 1:1 +sbwt none -kernel inet_dist_use_interface {{127,0,0,1}} \
         -rabbit dead_letter_worker_publisher_confirm_timeout 2000{sync}"
    )
}
