//! `cargo dev fault schedule`: one random fault after the other, by a plan that is shown before.

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use faults::{DECLINE_CODES, FaultKind, PROVIDER};

use super::{
    book::{Book, mend_all, tell_end},
    inflict, length,
    plan::{Choice, Step, plan},
    target::Target,
};
use crate::{
    http::Client,
    install::Permission,
    interrupt::Interrupt,
    project::Project,
    services::SIMULATOR,
    state::State,
    up::{Request, bring_up},
};

/// How long the services may take to be well again after the last fault.
const WELL_LIMIT: Duration = Duration::from_secs(60);
/// How long another command that is at work on the system is waited for.
const LOCK_LIMIT: Duration = Duration::from_secs(60);
/// How long a fault lasts at most beyond its time, should this command not live to end it.
const MARGIN: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The plan is printed first; the same seed gives the same one for the same system. Faults come one at a time, and what
was killed is started again. Ctrl-C ends the fault that is on, and mends all. The exit code is 1 when a service is not
well again within a minute.")]
pub(super) struct Args {
    /// Gives the plan
    #[arg(long, value_name = "NUMBER")]
    seed: u64,
    /// How long it goes on: 30s, 2m; from 1s to 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = length::limit)]
    length: Duration,
    /// The pause before each fault: 0s to 1m
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = length::pause)]
    pause: Duration,
    /// Prints the plan, and does nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let state = State::up(project)?;
    let running = running(&state);
    let steps = plan(args.seed, args.length, args.pause, &choices(project, &state));
    if steps.is_empty() {
        bail!("nothing of this system can be disturbed; start it with: {}", project.command("up"));
    }
    let pause = args.pause.as_secs_f64();
    println!("seed {}: {} faults, each after a pause of {pause:.1} s", args.seed, steps.len());
    for (number, step) in steps.iter().enumerate() {
        println!("{:>3}. {step}", number + 1);
    }
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = steps.iter().try_for_each(|step| {
        if !wait(args.pause, interrupt) {
            return Ok(());
        }
        println!("\n{step}");
        disturb(project, step, interrupt)
    });
    // From here on a second Ctrl-C ends the mending.
    let interrupt = if interrupt.is_set() { Interrupt::register()? } else { interrupt.clone() };
    mend_all(project)?;
    bring_back(project, &running, &interrupt)?;
    outcome?;
    wait_well(project, &running, &interrupt)
}

/// The names of what runs.
fn running(state: &State) -> Vec<String> {
    let running = state.processes.iter().filter(|process| process.is_running());
    running.map(|process| process.name.clone()).collect()
}

/// What can go wrong in this system.
fn choices(project: &Project, state: &State) -> Vec<Choice> {
    let mut choices = Vec::new();
    for Target { name, process, has_wire } in Target::all(project, state) {
        if process.is_some() {
            choices.extend([(name.clone(), Some(FaultKind::Freeze { process: None }))]);
            choices.extend([(name.clone(), None)]);
        }
        if has_wire {
            choices.extend(
                [FaultKind::Slow { by_ms: 0 }, FaultKind::Cut]
                    .map(|kind| (name.clone(), Some(kind))),
            );
        }
        if name == SIMULATOR && process.is_some() {
            let decline = FaultKind::Decline { code: DECLINE_CODES[0].to_owned() };
            let kinds = [FaultKind::Slow { by_ms: 0 }, decline, FaultKind::Fail { status: 503 }];
            choices.extend(kinds.map(|kind| (PROVIDER.to_owned(), Some(kind))));
        }
    }
    choices
}

/// Lets one fault happen, and ends it.
fn disturb(project: &Project, step: &Step, interrupt: &Interrupt) -> Result<()> {
    let Step { target, kind: Some(kind), length } = step else {
        let before = running(&State::up(project)?);
        inflict::kill(project, &step.target)?;
        wait(step.length, interrupt);
        return bring_back(project, &before, &Interrupt::register()?);
    };
    inflict::begin(project, target, kind.clone(), Some(*length + MARGIN))?;
    wait(*length, interrupt);
    Book::open(project)?.end(target)?.iter().for_each(tell_end);
    Ok(())
}

/// Waits; says whether nobody has interrupted it.
fn wait(length: Duration, interrupt: &Interrupt) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < length && !interrupt.is_set() {
        thread::sleep(Duration::from_millis(50).min(length));
    }
    !interrupt.is_set()
}

/// Starts what ran before and has ended, as `up` does, but builds nothing.
fn bring_back(project: &Project, before: &[String], interrupt: &Interrupt) -> Result<()> {
    if before.iter().all(|name| runs(project, name)) {
        return Ok(());
    }
    let _lock = project.lock_within(LOCK_LIMIT)?;
    let Some(now) = State::load(project)? else {
        bail!("the system went down meanwhile");
    };
    let request = Request::of_watch();
    let client = Client::new();
    bring_up(project, &request, Permission::REFUSED, Some(now), &client, interrupt, || Ok(()))?;
    Ok(())
}

fn runs(project: &Project, name: &str) -> bool {
    let state = State::load(project).ok().flatten();
    state.is_some_and(|state| state.running(name).is_some())
}

/// Waits until every service says that all it needs is there.
fn wait_well(project: &Project, running: &[String], interrupt: &Interrupt) -> Result<ExitCode> {
    let begin = Instant::now();
    let client = Client::new();
    let services = running.iter().map(String::as_str).filter(|name| project.service(name).is_ok());
    let mut ill = Vec::new();
    let well = interrupt.poll(WELL_LIMIT, || {
        ill = services.clone().filter(|name| !is_well(project, name, &client)).collect();
        Ok(ill.is_empty().then_some(()))
    })?;
    if well.is_some() {
        let seconds = begin.elapsed().as_secs_f64();
        println!("\nevery service is well after {seconds:.1} s");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("not well after {} s: {}", WELL_LIMIT.as_secs(), ill.join(", "));
    Ok(ExitCode::FAILURE)
}

fn is_well(project: &Project, name: &str, client: &Client) -> bool {
    let state = State::load(project).ok().flatten();
    let url = state.and_then(|state| state.running(name)?.url());
    let health = url.and_then(|url| client.get(&format!("{url}/health")).ok());
    health.is_some_and(|health| health.json()["status"] == "healthy")
}
