//! The services of services.tsk and the payment provider's simulator: built, given their environment,
//! started, and waited for.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use testkit::native::{Launch, clean_environment, port, psql};
use tusk_config::{Loader, Unread, Vars};

use crate::{
    dashboard, fault,
    features::UNIFIED,
    http::Client,
    interrupt::Interrupt,
    logs,
    origin::{self, Origin},
    ports::Ports,
    programs,
    project::Project,
    run_files::{self, RunFiles},
    secrets::Secrets,
    servers::{Addresses, Broker},
    state::{Kind, Process},
    wires::{self, PROXY},
};

/// How long a service may take from its start to its first `ready`; it migrates its database.
pub(crate) const READY_LIMIT: Duration = Duration::from_mins(1);
/// How long a server may take that is found on its way up, of which RabbitMQ needs most.
const SERVER_LIMIT: Duration = Duration::from_mins(2);
/// How many lines of its log are shown when a service does not come up.
const TAIL_LINES: usize = 20;

/// A service and what is its own.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) name: String,
    /// The port it listens on when that is free.
    pub(crate) port: u16,
}

/// The simulator's binary.
pub(crate) const SIMULATOR: &str = "payment-simulator";
pub(crate) const SIMULATOR_PORT: u16 = 3010;
/// The dashboard's binary.
pub(crate) const DASHBOARD: &str = "dashboard";
pub(crate) const DASHBOARD_PORT: u16 = 3000;
/// Who gives out tokens and registers users.
pub(crate) const USERS: &str = "user-service";

/// The services of services.tsk, in the order of their ports; what variables say is left aside.
pub(crate) fn read(config: &Path) -> Result<Vec<Service>> {
    #[derive(Deserialize)]
    struct Settings {
        #[serde(rename = "service:*")]
        services: BTreeMap<String, Found>,
    }
    #[derive(Deserialize)]
    struct Found {
        port: u16,
        #[serde(flatten)]
        #[expect(clippy::zero_sized_map_values, reason = "the values are what is not read")]
        _more: BTreeMap<String, Unread>,
    }
    let settings: Settings = Loader::new(config).file("services").vars(Vars::empty()).load()?;
    let found = settings.services.into_iter();
    let mut services: Vec<Service> =
        found.map(|(name, Found { port, .. })| Service { name, port }).collect();
    services.sort_by_key(|service| service.port);
    Ok(services)
}

impl Service {
    /// `USER_SERVICE_<SUFFIX>`.
    pub(crate) fn variable(&self, suffix: &str) -> String {
        format!("{}_{suffix}", self.role().to_uppercase())
    }

    /// The name as an identifier, which is that of its role in the database too: `user_service`.
    pub(crate) fn role(&self) -> String {
        self.name.replace('-', "_")
    }

    /// `user_db`.
    pub(crate) fn database(&self) -> String {
        let role = self.role();
        format!("{}_db", role.strip_suffix("_service").unwrap_or(&role))
    }
}

/// Builds the binaries; the output is the progress.
pub(crate) fn build(project: &Project, interrupt: &Interrupt) -> Result<()> {
    let mut command = project.cargo();
    command.arg("build").args(packages(project)).arg("--bins");
    programs::succeed(&mut command, interrupt)
}

/// What [`build`] chooses to build, as arguments of cargo.
pub(crate) fn packages(project: &Project) -> Vec<String> {
    let services = project.services().iter().map(|service| service.name.as_str());
    let chosen = services.chain([DASHBOARD, PROXY, "testkit"]).flat_map(|name| ["-p", name]);
    let chosen = chosen.chain(["--features", "testkit/simulator"]).chain(UNIFIED);
    chosen.map(str::to_owned).collect()
}

/// What a service reads from its environment. What it calls, it calls by the wires that are among the
/// ports.
pub(crate) fn environment(
    project: &Project,
    secrets: &Secrets,
    addresses: &Addresses,
    ports: &Ports,
    service: &Service,
) -> Result<Vec<(String, String)>> {
    let port = |name: &str| ports.get(name).copied().unwrap_or_default().to_string();
    let path = |inner: &str| project.path(inner).display().to_string();
    let through = |name: &str, address: &str| wires::through(ports, name, address);
    let wire = |name: &str| wires::port(ports, name).to_string();
    let postgres = through("postgres", &addresses.postgres);
    let login = psql::with_user(&postgres, &service.role(), secrets.get(&service.role()));
    let amqp = through("rabbitmq", &addresses.amqp);
    let broker = Broker::parse(&amqp)?;
    let mut variables = owned(&[
        ("CONFIG_DIR", &path("config")),
        ("HOST", "127.0.0.1"),
        ("PORT", &port(&service.name)),
        ("DATABASE_URL", &psql::with_database(&login, &service.database())),
        ("REDIS_URL", &through("redis", &addresses.redis)),
        ("RABBITMQ_HOST", broker.host),
        ("RABBITMQ_PORT", broker.port),
        ("RABBITMQ_USERNAME", broker.username),
        ("RABBITMQ_PASSWORD", broker.password),
        ("RABBITMQ_VHOST", &broker.vhost),
        ("STRIPE_API_BASE", &format!("http://127.0.0.1:{}", wire(SIMULATOR))),
        ("STRIPE_API_KEY", "sk_test_development"),
        ("MAIL_DIR", &project.dev("mail").display().to_string()),
    ]);
    variables.extend(secrets.variables());
    for other in project.services() {
        variables.push((other.variable("HOST"), "127.0.0.1".to_owned()));
        variables.push((other.variable("PORT"), wire(&other.name)));
    }
    // What the user has set for these stays.
    let dashboard = port(DASHBOARD);
    let has_dashboard = if dashboard == "0" { "false" } else { "true" };
    let receiver = format!("http://127.0.0.1:{dashboard}");
    let defaults = [
        ("ENVIRONMENT", "development"),
        // `cargo dev logs` shows it as a person reads it, and filters by what it says.
        ("LOG_FORMAT", "json"),
        // Every request is a trace on the dashboard.
        ("TRACING_ENABLED", has_dashboard),
        ("TRACING_ENDPOINT", &receiver),
        ("TRACING_SAMPLING_PROBABILITY", "1"),
        // Of the OpenTelemetry SDK: within half a second, a request is there to be looked at.
        ("OTEL_BSP_SCHEDULE_DELAY", "500"),
        // So that `cargo dev smoke` is one trace.
        ("TRACING_PROXIES", "127.0.0.1"),
        // What was sent is on the dashboard, too, and can be sent again.
        ("OUTBOX_ARCHIVE", "1d"),
        // The dashboard tells where a process runs with other settings than its files say by now.
        ("DEBUG_ENABLED", "true"),
    ];
    let unset = defaults.into_iter().filter(|(name, _)| env::var_os(name).is_none());
    variables.extend(owned(&unset.collect::<Vec<_>>()));
    Ok(variables)
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A service, the simulator, or the proxy, as it would be started now.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// 0 without one of its own.
    pub(crate) port: u16,
    pub(crate) binary: PathBuf,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) origin: Origin,
}

impl Start {
    /// The dashboard, the proxy, the simulator and the services of services.tsk, in the order of starting.
    pub(crate) fn all(
        project: &Project,
        secrets: &Secrets,
        addresses: &Addresses,
        ports: &Ports,
    ) -> Result<Vec<Self>> {
        let port = ports.get(SIMULATOR).copied().unwrap_or_default();
        let [faults, wires] = [fault::file(project), wires::file(project)];
        let [faults, wires] = [faults, wires].map(|path| path.display().to_string());
        // Not `…_FILE`: what stands in such a file would be a setting of the process, which is older than it then.
        let faults = ("FAULTS_PATH", faults.as_str());
        let variables = owned(&[faults, ("WIRES_PATH", &wires)]);
        // It has no port of its own.
        let proxy = Self::of(project, PROXY, 0, variables, &[]);
        let variables = owned(&[("HOST", "127.0.0.1"), ("PORT", &port.to_string()), faults]);
        let simulator = Self::of(project, SIMULATOR, port, variables, &[]);
        let port = ports.get(DASHBOARD).copied().unwrap_or_default();
        let variables = dashboard::variables(project, secrets, port)?;
        let dashboard = Self::of(project, DASHBOARD, port, variables, &[]);
        let services = project.services().iter().map(|service| {
            let name = &service.name;
            let variables = environment(project, secrets, addresses, ports, service)?;
            let files = origin::settings_files(project, name)?;
            let port = ports.get(name).copied().unwrap_or_default();
            Self::of(project, name, port, variables, &files)
        });
        [dashboard, proxy, simulator].into_iter().chain(services).collect()
    }

    fn of(
        project: &Project,
        name: &str,
        port: u16,
        variables: Vec<(String, String)>,
        files: &[PathBuf],
    ) -> Result<Self> {
        let kind = Kind::of(name);
        let binary = project.binaries().join(name);
        let origin = Origin::now(&binary, files, &variables)?;
        Ok(Self { name: name.to_owned(), kind, port, binary, variables, origin })
    }

    /// What has changed since this process was started.
    pub(crate) fn changed_since(&self, process: &Process) -> Vec<&'static str> {
        // Of one that an earlier version of this tool has started, nothing is known.
        let origin = process.origin.as_ref();
        origin.map_or_else(|| vec!["binary"], |origin| origin.older_than(&self.origin))
    }

    /// All that it gets besides what every program inherits: of the user's shell what its settings read,
    /// and before that the variables of its own.
    pub(crate) fn environment(&self, project: &Project) -> Result<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        match self.kind {
            Kind::Service => {
                let files = origin::settings_files(project, &self.name)?;
                variables.extend(origin::of_shell(&files)?);
            }
            Kind::Tool => variables.extend(dashboard::of_shell(project)?),
            Kind::Simulator | Kind::Server => {}
        }
        variables.extend(self.variables.iter().cloned());
        Ok(variables)
    }

    /// Has a service check its settings, as it would at its start.
    pub(crate) fn check(&self, project: &Project) -> Result<()> {
        if self.kind != Kind::Service {
            return Ok(());
        }
        let mut command = std::process::Command::new(&self.binary);
        command.arg("--check-config").current_dir(project.root());
        clean_environment(&mut command);
        let checked = command.envs(self.environment(project)?).output();
        let checked = checked.with_context(|| format!("run {}", self.binary.display()))?;
        if !checked.status.success() {
            bail!("{}", String::from_utf8_lossy(&checked.stderr).trim_end());
        }
        Ok(())
    }

    /// Starts it; where a predecessor runs, as the one that takes its listeners over.
    pub(crate) fn spawn(
        &self,
        project: &Project,
        predecessor: Option<&Process>,
    ) -> Result<Process> {
        let files = RunFiles::take(project, &self.name)?;
        let log = run_files::log(project, &self.name)?;
        let launch = Launch::new(&self.binary, &log).append(true).current_dir(project.root());
        let launch = launch.owner(&files.owner)?;
        let variables = self.environment(project)?.into_iter();
        let launch = variables.fold(launch, |launch, (name, value)| launch.env(&name, value));
        let takeover = files.takeover.filter(|_| self.kind == Kind::Service);
        // Not among the variables that make it older than its settings: they differ at each start.
        let paths = [
            ("TAKEOVER_SOCKET", takeover.as_ref()),
            ("TAKEOVER_FROM", predecessor.and_then(|process| process.takeover.as_ref())),
        ];
        let paths = paths.into_iter();
        let launch = paths.fold(launch, |launch, (name, path)| {
            launch.env(name, path.map_or_else(Default::default, |path| path.as_os_str().to_owned()))
        });
        let log_start = run_files::length(&log);
        let process = launch.spawn()?;
        Ok(Process {
            port: Some(self.port).filter(|port| *port != 0),
            origin: Some(self.origin.clone()),
            log_start,
            takeover,
            ..Process::of(&self.name, process, project)
        })
    }
}

/// Waits until every process is ready; one that ends meanwhile is an error with the end of its log.
pub(crate) fn wait_ready(
    project: &Project,
    processes: &[Process],
    client: &Client,
    interrupt: &Interrupt,
) -> Result<()> {
    for process in processes {
        let limit = if process.kind == Kind::Server { SERVER_LIMIT } else { READY_LIMIT };
        let answered = interrupt.poll(limit, || {
            if !process.is_running() {
                bail!("{} ended before it was ready; {}", process.name, end_of_log(process));
            }
            // Another process may answer at its port, which it could not take then.
            let offer = process.takeover.as_ref().map(|socket| project.path_of(socket));
            let serves = offer.is_none_or(|offer| offer.exists());
            Ok((serves && is_ready(process, client)).then_some(()))
        })?;
        if answered.is_none() {
            let limit = limit.as_secs();
            bail!("{} is not ready after {limit} s; {}", process.name, end_of_log(process));
        }
    }
    Ok(())
}

/// Whether a process takes work now: a service says so at `/ready`, the others by answering at all.
pub(crate) fn is_ready(process: &Process, client: &Client) -> bool {
    let is_open = |port: u16| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    // Its port may have gone to a process of another system, which answers in its place.
    let is_its_own = |port: u16| port::is_held_by(port, process.pid);
    match (process.kind, process.port) {
        (Kind::Service, Some(port)) => {
            client.is_ok(&format!("http://127.0.0.1:{port}/ready")) && is_its_own(port)
        }
        (Kind::Simulator | Kind::Tool, Some(port)) => is_open(port) && is_its_own(port),
        // PostgreSQL's helpers and Erlang's have the port of another one.
        (_, port) => port.is_none_or(is_open),
    }
}

/// The last lines of what a process has said in its log, introduced.
pub(crate) fn end_of_log(process: &Process) -> String {
    let said = run_files::said_since(&process.log, process.log_start, TAIL_LINES);
    format!("the end of {}:\n{}", process.log.display(), logs::shown(&said))
}
