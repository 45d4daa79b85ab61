//! `cargo dev run`: one service in the foreground, also under a debugger, while the others go on.
//!
//! It takes the place of the one that runs: the same port, the same settings, the same log. Its input is
//! its lock file, as that of every service, by which a later command finds it should this one be
//! killed; what it writes goes to its log, and is shown from there.

mod debugger;
mod taken_over;

use std::{
    fs::OpenOptions,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGTERM};
use testkit::native::{Owner, ProcessId, Signal, clean_environment};

use self::{debugger::Debugger, taken_over::TakenOver};
use crate::{
    env,
    interrupt::Interrupt,
    logs::Follow,
    programs,
    project::Project,
    run_files,
    services::{self, Start},
};

pub(crate) use self::taken_over::runs_here;

/// How often it is looked what the service does.
const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
  cargo dev run payment-service                     # Ctrl-C drains it
  cargo dev run payment-service --debugger gdb      # `break payments.rs:160`, a line of a handler, then `run`
  cargo dev run payment-service --debugger wait     # begins once a debugger is attached, such as an editor's

The service is built first; the one that runs serves until then. All others go on on the same ports. `cargo dev up
--detach` gives the service back. Locals are shown: the workspace's own crates have full debug information.")]
pub(crate) struct Args {
    /// The service
    service: String,
    /// What it runs under
    #[arg(long, value_enum, default_value_t = Debugger::None)]
    debugger: Debugger,
    /// Arguments of the service
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    // Before anything is built or stopped.
    env::start(project, &args.service)?;
    let program = args.debugger.find(project, &args.service)?;
    // All of them: cargo would build their crates once more for this one alone, with other features.
    services::build(project, interrupt)?;

    let lock = project.lock()?;
    let start = env::start(project, &args.service)?;
    start.check(project)?;
    let taken = TakenOver::of(project, &start)?;
    drop(lock);

    let mut follow = Follow::from_here(&start.name, &project.log(&start.name))?;
    let owner = Owner::take(&run_files::folder(project), &start.name)?;
    let mut command = args.debugger.command(project, &start, program, &args.arguments);
    let child = launch(project, &start, args.debugger, &mut command, &owner)?;
    args.debugger.introduce(project, &start, &command, child.id());
    let status = attend(&taken, child, args.debugger, &mut follow, interrupt)?;
    follow.show()?;
    taken.conclude(status, interrupt)
}

/// Starts the service, or the debugger that is to start it.
fn launch(
    project: &Project,
    start: &Start,
    debugger: Debugger,
    command: &mut Command,
    owner: &Owner,
) -> Result<Child> {
    clean_environment(command);
    if debugger.is_interactive() {
        // It draws on the terminal, and asks the toolchain where its helpers are.
        let kept = ["TERM", "CARGO_HOME", "RUSTUP_HOME"];
        command.envs(kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    }
    command.envs(start.environment(project)?).current_dir(project.root());
    if !debugger.is_interactive() {
        let path = project.log(&start.name);
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("open {}", path.display()))?;
        // A signal of the terminal reaches it through us, once.
        command.process_group(0);
        command.stdin(Stdio::from(owner.input()?));
        command.stdout(log.try_clone().context("open the log")?).stderr(log);
    }
    command.spawn().with_context(|| format!("start `{}`", programs::describe(command)))
}

/// Stays until the service, or its debugger, has ended.
fn attend(
    taken: &TakenOver,
    mut child: Child,
    debugger: Debugger,
    follow: &mut Follow,
    interrupt: &Interrupt,
) -> Result<ExitStatus> {
    let is_to_end = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&is_to_end)).context("watch for signals")?;
    }
    let mut was_announced = false;
    let id = ProcessId::of(child.id());
    loop {
        if let Some(status) = child.try_wait().context("wait for the service")? {
            return Ok(status);
        }
        // Ctrl-C is the debugger's, which stops the service by it.
        let is_asked =
            is_to_end.load(Ordering::Relaxed) || (interrupt.is_set() && !debugger.is_interactive());
        if is_asked && !was_announced {
            was_announced = true;
            if let Some(id) = id {
                id.signal(Signal::TERM)?;
            }
        }
        // A debugger starts the service when it is told to, and maybe again.
        let service = if debugger.is_interactive() { taken.holder() } else { id };
        taken.note(service)?;
        follow.show()?;
        thread::sleep(POLL);
    }
}
