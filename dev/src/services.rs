//! The services of services.tsk and the payment provider's simulator: built, given their environment,
//! started, and waited for.

mod environment;
mod start;

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Result, bail};
use serde::Deserialize;
use testkit::native::port;
use tusk_config::{Loader, Unread, Vars};

use crate::{
    features::UNIFIED,
    http::Client,
    interrupt::Interrupt,
    logs, programs,
    project::Project,
    run_files,
    state::{Kind, Process},
    wires::PROXY,
};

pub(crate) use self::{environment::environment, start::Start};

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
