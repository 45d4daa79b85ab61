//! `cargo dev up`: from nothing to a running system.
//!
//! Servers start side by side while cargo builds, services when the servers answer. Whatever fails
//! on the way, what was started is stopped again.
//!
//! Of a system that is up, exactly the services are replaced whose binary or settings have changed.
//! What an `up` has left that was killed is found by its locks (see [`unrecorded`]) and ended.

use std::{
    fs,
    panic::resume_unwind,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::json;
use testkit::native::Place;

use crate::{
    databases, down,
    http::Client,
    install,
    interrupt::Interrupt,
    ports,
    project::Project,
    secrets::Secrets,
    servers::{Addresses, Given, Plan, Servers, Source},
    services::{self, Start, USERS},
    state::{Kind, Process, State, stop_all},
    table, unrecorded,
};

/// How long the services may take to find RabbitMQ once it answers.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// How often it is looked whether everything still runs.
const WATCH: Duration = Duration::from_millis(200);
/// How long Ctrl-C waits for another `up` or `down` that is at work.
const LOCK_LIMIT: Duration = Duration::from_mins(1);

/// The user to try things with.
pub(crate) const DEMO_EMAIL: &str = "demo@example.com";
/// Its password: the system listens on this machine only.
pub(crate) const DEMO_PASSWORD: &str = "a-password-for-trying-things";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Servers are started from this machine's binaries, with their data under .dev/. Addresses of running
ones in DEV_POSTGRES_URL (a superuser's), DEV_REDIS_URL and DEV_AMQP_URL are used instead, each alone
or together. On a system that is up, it builds and replaces the services whose binary or settings
have changed; all others, and the servers, run on.")]
pub(crate) struct Args {
    /// Returns when everything is ready; `cargo dev down` stops it
    #[arg(long, short)]
    detach: bool,
    #[command(flatten)]
    permission: install::Permission,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let begin = Instant::now();
    let lock = project.lock()?;
    let before = State::load(&state_file(project))?;
    let client = Client::new();
    let (state, has_changed) = match bring_up(project, args, before, &client, interrupt) {
        Err(error) if ports::was_taken(&error) => {
            println!("{error:#}\nsomebody took a port meanwhile; starting once more");
            let before = State::load(&state_file(project))?;
            bring_up(project, args, before, &client, interrupt)?
        }
        outcome => outcome?,
    };
    drop(lock);
    if !has_changed {
        println!("everything is up already");
        table::print(project, &state, &client);
        return Ok(ExitCode::SUCCESS);
    }
    table::print(project, &state, &client);
    println!("ready after {:.1} s", begin.elapsed().as_secs_f64());
    if args.detach {
        println!("stop it with: {}", project.command("down"));
        return Ok(ExitCode::SUCCESS);
    }
    let logs = project.command("logs --follow");
    println!("Ctrl-C stops everything; `{logs}` shows what happens");
    watch(project, interrupt)
}

/// Where `up` notes what it started.
pub(crate) fn state_file(project: &Project) -> PathBuf {
    project.dev("state.json")
}

/// Makes the system what it is to be; gives what runs, and whether anything had to be done for it.
fn bring_up(
    project: &Project,
    args: &Args,
    before: Option<State>,
    client: &Client,
    interrupt: &Interrupt,
) -> Result<(State, bool)> {
    let secrets = Secrets::load(project)?;
    let plan = plan(project, before.as_ref());
    install::ensure(&plan.packages(), args.permission, interrupt)?;
    end_left_servers(project, &plan)?;

    let begin = Instant::now();
    let (servers, built) = thread::scope(|scope| {
        let servers = scope.spawn(|| {
            Servers::start(&plan).inspect(|servers| {
                if !servers.processes().is_empty() {
                    let seconds = begin.elapsed().as_secs_f64();
                    println!("postgres and redis answer after {seconds:.1} s");
                }
            })
        });
        let built = services::build(project, interrupt);
        (servers.join(), built)
    });
    let mut servers = servers.unwrap_or_else(|cause| resume_unwind(cause))?;
    built?;
    // Services do come up without RabbitMQ, but then look for it at growing intervals: to start
    // them a little later is sooner. Its address is among their variables.
    servers.wait_broker(interrupt)?;

    let mut ascent = Ascent::new(project, &secrets, before, servers)?;
    if !ascent.starts.is_empty() {
        databases::create(project, &ascent.state.addresses.postgres, &secrets)?;
    }
    // Of what an earlier `up` has started that did not live to wait for it, too.
    services::wait_ready(&ascent.state.processes, client, interrupt)?;
    ascent.start_services(project)?;
    services::wait_ready(&ascent.fresh, client, interrupt)?;
    if ascent.has_changed {
        println!("services are ready after {:.1} s", begin.elapsed().as_secs_f64());
    }
    wait_connected(project, &ascent.state, client, interrupt)?;
    create_demo_user(&ascent.state, client)?;
    ascent.arrive()
}

/// Ends what works on the data of a server that is to be started: a server of an `up` that was
/// killed, or what is left of one that has ended.
fn end_left_servers(project: &Project, plan: &Plan) -> Result<()> {
    let sources =
        [("postgres", &plan.postgres), ("redis", &plan.redis), ("rabbitmq", &plan.rabbitmq)];
    let started = sources.into_iter().filter(|(_, source)| source.place().is_some());
    let left: Vec<Process> =
        started.flat_map(|(server, _)| unrecorded::servers(project, server)).collect();
    stop_all(&left, left_over)
}

fn left_over(process: &Process, _in_order: bool) {
    println!("stopped {}, which was left over", process.name);
}

/// Where the servers come from: the environment, the last `up` when they still run, else here.
fn plan(project: &Project, before: Option<&State>) -> Plan {
    let given = Given::from_environment("DEV");
    let place = |name: &str| {
        let place = Place::kept(project.dev(name)).log(project.log(name));
        Source::Start(Place { port: ports::of_server(project, name), ..place })
    };
    let running = |names: &[&str], address: fn(&Addresses) -> &String| {
        let state =
            before.filter(|state| names.iter().all(|name| state.running(name).is_some()))?;
        Some(address(&state.addresses).clone())
    };
    let source = |given: Option<String>, running: Option<String>, name: &str| {
        Source::given(given.or(running), place(name))
    };
    let postgres = running(&["postgres"], |addresses| &addresses.postgres);
    let redis = running(&["redis"], |addresses| &addresses.redis);
    let rabbitmq = running(&["rabbitmq", "epmd"], |addresses| &addresses.amqp);
    let rabbitmq_api = running(&["rabbitmq", "epmd"], |addresses| &addresses.rabbitmq_api);
    Plan {
        postgres: source(given.postgres, postgres, "postgres"),
        redis: source(given.redis, redis, "redis"),
        rabbitmq: source(given.amqp, rabbitmq, "rabbitmq"),
        rabbitmq_api: given.rabbitmq_api.or(rabbitmq_api),
    }
}

/// A system on its way up. Dropped before it arrives, it stops what it started.
struct Ascent {
    file: PathBuf,
    /// What runs by now; written down at each step.
    state: State,
    /// The services and the simulator that are to be started.
    starts: Vec<Start>,
    /// The servers that this run started; none once they are left alone.
    servers: Option<Servers>,
    /// The services and the simulator that this run started.
    fresh: Vec<Process>,
    /// Whether anything is started or stopped.
    has_changed: bool,
    has_arrived: bool,
}

impl Ascent {
    fn new(
        project: &Project,
        secrets: &Secrets,
        before: Option<State>,
        servers: Servers,
    ) -> Result<Self> {
        let addresses = servers.addresses.clone();
        let mut known = before.clone().unwrap_or_default();
        known.processes.extend(servers.processes());
        stop_all(&unrecorded::find(project, Some(&known)), left_over)?;
        let ports = ports::choose(project, before.as_ref());
        ports::tell_moves(project, &ports);
        // Addresses and ports are among the variables: who would go on talking to a place where
        // nobody is has changed, too.
        let mut starts = Start::all(project, secrets, &addresses, &ports)?;
        let running = before.map(|state| state.processes).unwrap_or_default();
        let running = running.into_iter().filter(Process::is_running);
        let (mut stopped, mut processes) = (Vec::new(), Vec::new());
        for process in running {
            let start = starts.iter().find(|start| start.name == process.name);
            match outdated(&process, start) {
                Some(why) => {
                    println!("stopping {}: {why}", process.name);
                    stopped.push(process);
                }
                None => processes.push(process),
            }
        }
        starts.retain(|start| processes.iter().all(|process| process.name != start.name));
        // What could not start must not take the place of what works.
        let is_replaced = |start: &&Start| stopped.iter().any(|old| old.name == start.name);
        starts.iter().filter(is_replaced).try_for_each(|start| start.check(project))?;
        processes.extend(servers.processes());
        let state = State { addresses, processes };
        let has_changed =
            !(starts.is_empty() && stopped.is_empty() && servers.processes().is_empty());
        let (file, fresh, servers) = (state_file(project), Vec::new(), Some(servers));
        let ascent = Self { file, state, starts, servers, fresh, has_changed, has_arrived: false };
        // Written down before anything is stopped, so that an `up` that watches does not take for a
        // fault what ends on purpose. What is to be stopped is found by its lock.
        ascent.state.save(&ascent.file)?;
        stop_all(&stopped, |_, _| {})?;
        Ok(ascent)
    }

    fn start_services(&mut self, project: &Project) -> Result<()> {
        for start in std::mem::take(&mut self.starts) {
            self.add(start.spawn(project)?)?;
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
    fn arrive(mut self) -> Result<(State, bool)> {
        self.state.save(&self.file)?;
        self.has_arrived = true;
        if let Some(servers) = self.servers.take() {
            servers.detach();
        }
        Ok((self.state.clone(), self.has_changed))
    }
}

impl Drop for Ascent {
    fn drop(&mut self) {
        if self.has_arrived {
            return;
        }
        let mut started = self.fresh.clone();
        started.extend(self.servers.iter().flat_map(Servers::processes));
        if !started.is_empty() {
            eprintln!("stopping what was started");
        }
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

/// Why a process that runs is to be replaced or stopped; none when it is as it would be started now.
fn outdated(process: &Process, start: Option<&Start>) -> Option<String> {
    match (process.kind, start) {
        (Kind::Server, _) => None,
        (Kind::Service | Kind::Simulator, None) => Some("services.tsk does not name it".into()),
        (Kind::Service | Kind::Simulator, Some(start)) => {
            let changed = start.changed_since(process);
            (!changed.is_empty()).then(|| format!("older than its {}", changed.join(" and its ")))
        }
    }
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

/// Stays until a signal comes or nothing runs any more, then drains: services, simulator, servers.
///
/// What runs is read again each time: another `up` may have replaced some of it.
fn watch(project: &Project, interrupt: &Interrupt) -> Result<ExitCode> {
    let file = state_file(project);
    let mut told = Vec::new();
    loop {
        thread::sleep(WATCH);
        let Some(state) = State::load(&file)? else {
            println!("stopped from elsewhere");
            return Ok(ExitCode::SUCCESS);
        };
        let ended = state.processes.iter().filter(|process| !process.is_running());
        for process in ended.filter(|process| !told.contains(&process.id())).collect::<Vec<_>>() {
            // Who ends one on purpose has taken it out of the state before.
            if State::load(&file)?.is_some_and(|state| state.has(process)) {
                eprintln!("{} ended; {}", process.name, services::end_of_log(process));
                told.push(process.id());
            }
        }
        let runs = |state: &State| state.processes.iter().any(Process::is_running);
        if runs(&state) && !interrupt.is_set() {
            continue;
        }
        let _lock = project.lock_within(LOCK_LIMIT)?;
        // In between, another `up` may have been at work.
        if !interrupt.is_set() && State::load(&file)?.is_some_and(|state| runs(&state)) {
            continue;
        }
        println!("draining");
        down::stop(project)?;
        return Ok(ExitCode::SUCCESS);
    }
}
