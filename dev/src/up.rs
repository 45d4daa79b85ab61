//! `cargo dev up`: from nothing to a running system, and from a running one to what is built now.
//!
//! ```text
//! plan         where the servers come from
//! startup      what is not there is started: servers while cargo builds, then services
//! replace      what is older than its binary or settings is replaced while it serves
//! attached     the `up` that stays: tells what ends, stops everything at the end
//! on_save      `--watch`: builds what is saved
//! ```
//!
//! Whatever fails on the way, what was started is stopped again, and what ran before runs on. What an
//! `up` has left that was killed is found by its locks (see [`unrecorded`](crate::unrecorded)) and
//! ended.

mod attached;
mod on_save;
mod plan;
mod replace;
mod request;
mod sources;
mod startup;

use std::{
    panic::resume_unwind,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::json;

use crate::{
    databases, fault,
    http::Client,
    install,
    interrupt::Interrupt,
    ports,
    project::Project,
    secrets::Secrets,
    servers::Servers,
    services::{self, USERS},
    state::{Process, State},
    table,
};
use attached::Attached;
use on_save::OnSave;
pub(crate) use request::{Request, known};
use startup::Startup;

/// How long the services may take to find RabbitMQ once it answers.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// How many ports may be taken by others while one start is at work.
const TAKEN_MAX: usize = 5;

/// The user to try things with.
pub(crate) const DEMO_EMAIL: &str = "demo@example.com";
/// Its password: the system listens on this machine only.
pub(crate) const DEMO_PASSWORD: &str = "a-password-for-trying-things";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Servers are started from this machine's binaries, with their data under .dev/. Addresses of running
ones in DEV_POSTGRES_URL (a superuser's), DEV_REDIS_URL and DEV_AMQP_URL are used instead, each alone
or together. On a system that is up, it builds and replaces the services whose binary or settings
have changed, while they serve: a new one starts beside the old one, takes its port over when it is
ready, and only then the old one finishes and ends. All others, and the servers, run on. A new one
that does not become ready is stopped, and the old one serves on. What `cargo dev fault` has set ends.")]
pub(crate) struct Args {
    /// These services alone, with the servers and what else they need; all when none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Returns when everything is ready; `cargo dev down` stops it
    #[arg(long, short)]
    detach: bool,
    /// Stays, and builds and replaces what is saved; on a system that is up, Ctrl-C leaves it up
    #[arg(long, short, conflicts_with_all = ["detach", "services"])]
    watch: bool,
    #[command(flatten)]
    permission: install::Permission,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let begin = Instant::now();
    let mut request = Request::up(project, &args.services)?;
    // Before the build, so that what is saved meanwhile is built, too.
    let on_save = args.watch.then(|| OnSave::new(project));
    let lock = project.lock()?;
    let before = State::load(project)?;
    let was_up =
        before.as_ref().is_some_and(|state| state.processes.iter().any(Process::is_running));
    fault::mend_all(project)?;
    let client = Client::new();
    let up = bring_up_again(project, &mut request, args.permission, before, &client, interrupt)?;
    drop(lock);
    if request.is_all() || !was_up {
        if !up.has_changed {
            println!("everything is up already");
        }
        table::print(project, &up.state, &client);
    }
    let what = if up.has_changed { "ready" } else { "nothing to do: as it is built now, it runs" };
    println!("{what} after {:.1} s", begin.elapsed().as_secs_f64());
    let returns = args.detach || (was_up && !request.is_all()) || !(up.has_changed || args.watch);
    if returns {
        if up.has_changed && !was_up {
            println!("stop it with: {}", project.command("down"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let ends_system = !(args.watch && was_up);
    let end = if ends_system { "stops everything" } else { "ends the watch, the system runs on" };
    if args.watch {
        println!("what is saved is built, and replaced when it is ready");
    }
    let logs = project.command("logs --follow");
    println!("Ctrl-C {end}; `{logs}` shows what happens");
    Attached { ends_system, on_save }.stay(project, &client, interrupt)
}

/// Brings it up, once more when somebody has taken a port between its choice and its use.
fn bring_up_again(
    project: &Project,
    request: &mut Request,
    permission: install::Permission,
    mut before: Option<State>,
    client: &Client,
    interrupt: &Interrupt,
) -> Result<Up> {
    loop {
        let build = || services::build(project, interrupt);
        match bring_up(project, request, permission, before, client, interrupt, build) {
            Err(error) if request.taken_ports.len() < TAKEN_MAX => {
                let Some(port) = ports::taken(&error) else { return Err(error) };
                println!("{error:#}\nsomebody took {port} meanwhile; starting once more");
                request.taken_ports.push(port);
                before = State::load(project)?;
            }
            outcome => return outcome,
        }
    }
}

/// A system that is up.
pub(crate) struct Up {
    pub(crate) state: State,
    /// Whether anything was started, stopped or replaced.
    pub(crate) has_changed: bool,
}

/// Makes the system what it is to be, under the lock of the caller: servers start while `build` runs,
/// then what is missing is started, and what is outdated replaced.
pub(crate) fn bring_up(
    project: &Project,
    request: &Request,
    permission: install::Permission,
    before: Option<State>,
    client: &Client,
    interrupt: &Interrupt,
    build: impl FnOnce() -> Result<()>,
) -> Result<Up> {
    for line in fault::tell(project) {
        println!("{line}");
    }
    let secrets = Secrets::load(project)?;
    let plan = plan::plan(project, before.as_ref());
    install::ensure(&plan.packages(), permission, interrupt)?;
    plan::end_left_servers(project, &plan)?;

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
        let built = build();
        (servers.join(), built)
    });
    let mut servers = servers.unwrap_or_else(|cause| resume_unwind(cause))?;
    built?;
    // Services do come up without RabbitMQ, but then look for it at growing intervals: to start
    // them a little later is sooner. Its address is among their variables.
    servers.wait_broker(interrupt)?;

    let before = before.unwrap_or_default();
    let mut startup = Startup::new(project, &secrets, request, before, servers, client)?;
    startup.start_proxy(interrupt)?;
    if startup.has_starts() {
        databases::create(project, &startup.state.addresses.postgres, &secrets)?;
    }
    // Of what an earlier `up` has started that did not live to wait for it, too.
    services::wait_ready(project, &startup.kept(), client, interrupt)?;
    startup.start()?;
    let started = startup.started.clone();
    services::wait_ready(project, &started, client, interrupt)?;
    if !started.is_empty() {
        let names: Vec<&str> = started.iter().map(|process| process.name.as_str()).collect();
        let seconds = begin.elapsed().as_secs_f64();
        println!("{} ready after {seconds:.1} s", names.join(", "));
        wait_connected(&started, client, interrupt)?;
        create_demo_user(&startup.state, client)?;
    }
    let has_started = startup.has_changed;
    let replacements = startup.finish()?;
    let has_changed = has_started || !replacements.is_empty();
    replace::all(project, replacements, interrupt)?;
    let state = State::load(project)?.context("the system went down meanwhile")?;
    Ok(Up { state, has_changed })
}

/// Waits until the services have found RabbitMQ. They work without it, so that this only tells.
fn wait_connected(started: &[Process], client: &Client, interrupt: &Interrupt) -> Result<()> {
    let services = started.iter().filter(|process| process.kind == crate::state::Kind::Service);
    for url in services.filter_map(Process::url) {
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

/// Registers the demo user, where there is the service for it. That it is there already is fine, and so is
/// that registrations are limited after some starts: then it is.
fn create_demo_user(state: &State, client: &Client) -> Result<()> {
    let Some(url) = state.running(USERS).and_then(Process::url) else {
        return Ok(());
    };
    let body = json!({"email": DEMO_EMAIL, "name": "Demo", "password": DEMO_PASSWORD});
    let answer = client.send("POST", &format!("{url}/api/users"), &[], Some(&body))?;
    if !matches!(answer.status, 201 | 409 | 429) {
        eprintln!("the demo user could not be made: {} {}", answer.status, answer.text);
    }
    Ok(())
}
