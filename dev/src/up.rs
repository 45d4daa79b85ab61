//! `cargo dev up`: from nothing to a running system.
//!
//! Servers start side by side while cargo builds, services when the servers answer. Whatever fails
//! on the way, what was started is stopped again.

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use serde_json::json;
use testkit::native::Place;

use crate::{
    http::Client,
    install,
    interrupt::Interrupt,
    project::Project,
    secrets::Secrets,
    servers::{Addresses, Given, Plan, Servers, Source},
    services::{self, Ports, SIMULATOR, USERS},
    state::{Kind, Process, State, stop_all},
    table,
};

/// How long the services may take to find RabbitMQ once it answers.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// How often it is looked whether everything still runs.
const WATCH: Duration = Duration::from_millis(200);

/// The user to try things with.
pub(crate) const DEMO_EMAIL: &str = "demo@example.com";
/// Its password: the system listens on this machine only.
pub(crate) const DEMO_PASSWORD: &str = "a-password-for-trying-things";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Servers are started from this machine's binaries, with their data under .dev/. Addresses of running
ones in DEV_POSTGRES_URL (a superuser's), DEV_REDIS_URL and DEV_AMQP_URL are used instead, each alone
or together.")]
pub(crate) struct Args {
    /// Returns when everything is ready; `cargo dev down` stops it
    #[arg(long, short)]
    detach: bool,
    /// Fails instead of installing packages of the distribution
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let begin = Instant::now();
    let lock = project.lock()?;
    let file = state_file(project);
    let before = State::load(&file)?;
    let client = Client::new();
    if let Some(state) = before.as_ref().filter(|state| is_complete(project, state)) {
        println!("everything is up already");
        table::print(project, state, &client);
        return Ok(ExitCode::SUCCESS);
    }
    let state = bring_up(project, args, before, &client, interrupt)?;
    drop(lock);
    table::print(project, &state, &client);
    println!("ready after {:.1} s", begin.elapsed().as_secs_f64());
    if args.detach {
        println!("stop it with: cargo dev down");
        return Ok(ExitCode::SUCCESS);
    }
    println!("Ctrl-C stops everything; `cargo dev logs --follow` shows what happens");
    watch(&file, &state, interrupt)
}

/// Where `up` notes what it started.
pub(crate) fn state_file(project: &Project) -> PathBuf {
    project.dev("state.json")
}

/// Whether every process of a whole system runs.
fn is_complete(project: &Project, state: &State) -> bool {
    let services = project.services().iter().map(|service| service.name.as_str());
    services.chain([SIMULATOR]).all(|name| state.running(name).is_some())
        && state.processes.iter().all(Process::is_running)
}

fn bring_up(
    project: &Project,
    args: &Args,
    before: Option<State>,
    client: &Client,
    interrupt: &Interrupt,
) -> Result<State> {
    let secrets = Secrets::load(project)?;
    let plan = plan(project, before.as_ref());
    install::ensure(&plan.packages(), !args.no_install, interrupt)?;

    let begin = Instant::now();
    let (servers, built) = thread::scope(|scope| {
        let servers = scope.spawn(|| {
            Servers::start(&plan).inspect(|_| {
                println!("postgres and redis answer after {:.1} s", begin.elapsed().as_secs_f64());
            })
        });
        let built = services::build(project, interrupt);
        (servers.join(), built)
    });
    let servers = servers.map_err(|_| anyhow!("starting the servers broke off"))??;
    built?;

    let mut ascent = Ascent::new(project, before, servers)?;
    services::create_databases(project, &ascent.state.addresses.postgres, &secrets)?;
    // Services do come up without RabbitMQ, but then look for it at growing intervals: to start
    // them a little later is sooner.
    ascent.servers.as_ref().map_or(Ok(()), |servers| servers.wait_broker(interrupt))?;
    ascent.start_services(project, &secrets)?;
    services::wait_ready(&ascent.fresh, client, interrupt)?;
    println!("services are ready after {:.1} s", begin.elapsed().as_secs_f64());
    wait_connected(project, &ascent.state, client, interrupt)?;
    create_demo_user(&ascent.state, client)?;
    ascent.arrive()
}

/// Where the servers come from: the environment, the last `up` when they still run, else here.
fn plan(project: &Project, before: Option<&State>) -> Plan {
    let given = Given::from_environment("DEV");
    // A port beside the standard one, which a server of the distribution may hold.
    let place = |name: &str, usual: u16| {
        let recorded = before.and_then(|state| state.processes.iter().find(|p| p.name == name));
        let port = recorded.and_then(|process| process.port).unwrap_or(usual);
        Source::Start(Place::kept(project.dev(name)).port(port).log(project.log(name)))
    };
    let running = |names: &[&str], address: fn(&Addresses) -> &String| {
        let state =
            before.filter(|state| names.iter().all(|name| state.running(name).is_some()))?;
        Some(address(&state.addresses).clone())
    };
    let source = |given: Option<String>, running: Option<String>, name: &str, usual: u16| {
        Source::given(given.or(running), place(name, usual))
    };
    let postgres = running(&["postgres"], |addresses| &addresses.postgres);
    let redis = running(&["redis"], |addresses| &addresses.redis);
    let rabbitmq = running(&["rabbitmq", "epmd"], |addresses| &addresses.amqp);
    let rabbitmq_api = running(&["rabbitmq", "epmd"], |addresses| &addresses.rabbitmq_api);
    Plan {
        postgres: source(given.postgres, postgres, "postgres", 5442),
        redis: source(given.redis, redis, "redis", 6389),
        rabbitmq: source(given.amqp, rabbitmq, "rabbitmq", 5682),
        rabbitmq_api: given.rabbitmq_api.or(rabbitmq_api),
    }
}

/// A system on its way up. Dropped before it arrives, it stops what it started.
struct Ascent {
    file: PathBuf,
    /// What runs by now; written down at each step.
    state: State,
    ports: Ports,
    /// The servers that this run started; none once they are left alone.
    servers: Option<Servers>,
    /// The services and the simulator that this run started.
    fresh: Vec<Process>,
    has_arrived: bool,
}

impl Ascent {
    fn new(project: &Project, before: Option<State>, servers: Servers) -> Result<Self> {
        let ports = services::choose_ports(project, before.as_ref());
        let addresses = servers.addresses.clone();
        let fresh_servers = servers.processes();
        let mut processes = Vec::new();
        if let Some(before) = before {
            // Services that would go on talking to a place where nobody is are started anew.
            let has_moved = before.addresses != addresses || ports_differ(&before, &ports);
            let is_stale = |old: &Process| match old.kind {
                Kind::Server => fresh_servers.iter().any(|fresh| fresh.name == old.name),
                Kind::Service | Kind::Simulator => has_moved,
            };
            let running = before.processes.into_iter().filter(Process::is_running);
            let (stale, good): (Vec<_>, Vec<_>) = running.partition(is_stale);
            stop_all(&stale, |process, _| println!("restarting {}", process.name))?;
            processes = good;
        }
        processes.extend(fresh_servers);
        let state = State { addresses, processes };
        let file = state_file(project);
        state.save(&file)?;
        let servers = Some(servers);
        Ok(Self { file, state, ports, servers, fresh: Vec::new(), has_arrived: false })
    }

    fn start_services(&mut self, project: &Project, secrets: &Secrets) -> Result<()> {
        if self.state.running(SIMULATOR).is_none() {
            self.add(services::start_simulator(project, &self.ports)?)?;
        }
        for service in project.services() {
            if self.state.running(&service.name).is_none() {
                let (addresses, ports) = (&self.state.addresses, &self.ports);
                let variables = services::environment(project, secrets, addresses, ports, service)?;
                self.add(services::start_service(project, service, ports, &variables)?)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, process: Process) -> Result<()> {
        self.fresh.push(process.clone());
        self.state.processes.retain(|other| other.name != process.name);
        self.state.processes.push(process);
        self.state.save(&self.file)
    }

    /// Everything is ready: from here on it runs without us.
    fn arrive(mut self) -> Result<State> {
        self.state.save(&self.file)?;
        self.has_arrived = true;
        if let Some(servers) = self.servers.take() {
            servers.detach();
        }
        Ok(self.state.clone())
    }
}

impl Drop for Ascent {
    fn drop(&mut self) {
        if self.has_arrived {
            return;
        }
        eprintln!("stopping what was started");
        let mut started = self.fresh.clone();
        started.extend(self.servers.iter().flat_map(Servers::processes));
        if let Err(error) = stop_all(&started, |_, _| {}) {
            eprintln!("could not stop everything, see `cargo dev status`: {error:#}");
            return;
        }
        self.state.processes.retain(Process::is_running);
        let outcome = if self.state.processes.is_empty() {
            fs::remove_file(&self.file).context("remove the state")
        } else {
            self.state.save(&self.file)
        };
        if let Err(error) = outcome {
            eprintln!("{error:#}");
        }
    }
}

/// Whether a process listened elsewhere the last time.
fn ports_differ(before: &State, ports: &Ports) -> bool {
    let differs = |process: &Process| {
        ports.get(process.name.as_str()).is_some_and(|port| process.port != Some(*port))
    };
    before.processes.iter().any(differs)
}

/// Waits until the services have found RabbitMQ. They work without it, so that this only tells.
fn wait_connected(
    project: &Project,
    state: &State,
    client: &Client,
    interrupt: &Interrupt,
) -> Result<()> {
    let services = project.services().iter();
    for url in services.filter_map(|service| state.running(&service.name)?.url()) {
        let connected = interrupt.poll(CONNECT_LIMIT, || {
            let health = client.get(&format!("{url}/health")).map(|answer| answer.json());
            Ok(health.is_ok_and(|health| health["checks"]["rabbitmq"] == true).then_some(()))
        })?;
        if connected.is_none() {
            eprintln!("{url} has not found rabbitmq yet; its events wait in its outbox");
        }
    }
    Ok(())
}

/// Registers the demo user; that it is there already is fine.
fn create_demo_user(state: &State, client: &Client) -> Result<()> {
    let url = state.running(USERS).and_then(Process::url).unwrap_or_default();
    let body = json!({"email": DEMO_EMAIL, "name": "Demo", "password": DEMO_PASSWORD});
    let answer = client.send("POST", &format!("{url}/api/users"), &[], Some(&body))?;
    if !matches!(answer.status, 201 | 409) {
        eprintln!("the demo user could not be made: {} {}", answer.status, answer.text);
    }
    Ok(())
}

/// Stays until a signal comes, then drains: services, simulator, servers.
fn watch(file: &std::path::Path, state: &State, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut alive: Vec<&Process> = state.processes.iter().collect();
    while !interrupt.is_set() {
        thread::sleep(WATCH);
        if !file.exists() {
            println!("stopped from elsewhere");
            return Ok(ExitCode::SUCCESS);
        }
        alive.retain(|process| {
            let runs = process.is_running();
            if !runs && file.exists() {
                eprintln!("{} ended; {}", process.name, services::end_of_log(process));
            }
            runs
        });
        if alive.is_empty() {
            break;
        }
    }
    println!("draining");
    stop_all(&state.processes, table::stopped)?;
    fs::remove_file(file).context("remove the state")?;
    Ok(ExitCode::SUCCESS)
}
