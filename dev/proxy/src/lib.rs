//! A proxy between the services of a development system and what they call.
//!
//! Each wire begins at a port of 127.0.0.1 and leads to a server or a service. What the file of faults
//! says of its target happens to it:
//!
//! | fault | a new connection | an open one |
//! |---|---|---|
//! | none | is passed on | flows |
//! | slow | is passed on | every byte takes so much longer each way, in order |
//! | frozen | is accepted, hears nothing | hears nothing; what was sent arrives after the end |
//! | cut | is refused | is closed |
//!
//! ```text
//! lib.rs          looks at the two files, and has a wire for each line of the one
//! wire.rs         one port: takes connections while its target is there
//! connection.rs   one connection: passes bytes on, each way
//! ```
//!
//! A wire refuses connections while its target does, so that a server that is down looks the same
//! through it. Where a wire leads may change while it runs: connections that are open stay with the old
//! target. Everything is bounded: connections by wire, bytes by connection.

mod connection;
mod wire;

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use faults::{FaultKind, Faults, PROVIDER, Watched, Wires, now_ms};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

use self::wire::{Link, Listening};

/// How often the two files are looked at.
const POLL: Duration = Duration::from_millis(100);
/// The longest delay; a longer one counts as this.
pub const SLOW_MAX: Duration = Duration::from_secs(60);

/// Where the two files are.
#[derive(Debug, Clone)]
pub struct Files {
    /// What wires there are.
    pub wires: PathBuf,
    /// What goes wrong.
    pub faults: PathBuf,
}

/// What happens on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    /// Bytes take so much longer than they do by themselves.
    Flows(Duration),
    Frozen,
    Cut,
}

/// Listens at every wire and obeys the two files until it is dropped. `say` is given what happens, a
/// line each.
///
/// # Errors
/// When it cannot listen at a wire that is there at the start. What comes later is tried again.
pub async fn run(files: &Files, say: impl Fn(&str)) -> io::Result<()> {
    let mut proxy = Proxy {
        wires: Watched::new(&files.wires),
        faults: Watched::new(&files.faults),
        running: BTreeMap::new(),
        tasks: JoinSet::new(),
        last_said: String::new(),
        say,
    };
    proxy.wires.refresh()?;
    if let Err(error) = proxy.faults.refresh().map(drop) {
        proxy.log(&[format!("the faults: {error}")]);
    }
    if let Some(error) = proxy.adjust().into_iter().next() {
        return Err(error);
    }
    (proxy.say)(&format!("listens at {} wires", proxy.running.len()));
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => proxy.poll(),
            Some(_) = proxy.tasks.join_next() => {}
        }
    }
}

struct Proxy<S> {
    wires: Watched<Wires>,
    faults: Watched<Faults>,
    running: BTreeMap<String, Running>,
    tasks: JoinSet<()>,
    last_said: String,
    say: S,
}

/// A wire that listens.
struct Running {
    port: u16,
    link: watch::Sender<Link>,
    task: AbortHandle,
}

impl<S: Fn(&str)> Proxy<S> {
    fn poll(&mut self) {
        let refreshed = [
            self.wires.refresh().map(drop).map_err(|error| format!("the wires: {error}")),
            self.faults.refresh().map(drop).map_err(|error| format!("the faults: {error}")),
        ];
        let mut complaints: Vec<String> = refreshed.into_iter().filter_map(Result::err).collect();
        complaints.extend(self.adjust().iter().map(ToString::to_string));
        // A look at a broken file fails once; what cannot be listened at fails each time.
        self.log(&complaints);
    }

    /// Says what is not well, once.
    fn log(&mut self, complaints: &[String]) {
        let complaints = complaints.join("; ");
        if !complaints.is_empty() && complaints != self.last_said {
            (self.say)(&complaints);
            self.last_said = complaints;
        }
    }

    /// Makes the wires what the files say; gives what cannot be done.
    fn adjust(&mut self) -> Vec<io::Error> {
        let wires = &self.wires.value().0;
        self.running.retain(|name, running| {
            let stays = wires.get(name).is_some_and(|wire| wire.port == running.port);
            if !stays {
                running.task.abort();
            }
            stays
        });
        let now = now_ms();
        let mut errors = Vec::new();
        for (name, wire) in wires {
            let behaviour = behaviour(self.faults.value(), name, now);
            let link = Link { target: wire.target.clone(), behaviour };
            if let Some(running) = self.running.get(name) {
                let changes = running.link.send_if_modified(|old| {
                    let changes = old.behaviour != link.behaviour;
                    let moves = old.target != link.target;
                    *old = link.clone();
                    changes || moves
                });
                if changes {
                    (self.say)(&format!("{name}: {}, leads to {}", link.behaviour, link.target));
                }
                continue;
            }
            match Listening::begin(wire.port) {
                Ok(listening) => {
                    let (link, seen) = watch::channel(link);
                    let task = self.tasks.spawn(listening.run(seen));
                    self.running.insert(name.clone(), Running { port: wire.port, link, task });
                }
                Err(error) => errors.push(error),
            }
        }
        errors
    }
}

fn behaviour(faults: &Faults, target: &str, now_ms: u64) -> Behaviour {
    let fault = faults.of(target, now_ms).filter(|_| target != PROVIDER);
    match fault.map(|fault| &fault.kind) {
        Some(FaultKind::Cut) => Behaviour::Cut,
        Some(FaultKind::Freeze { process: None }) => Behaviour::Frozen,
        Some(FaultKind::Slow { by_ms }) => {
            Behaviour::Flows(Duration::from_millis(*by_ms).min(SLOW_MAX))
        }
        // A process that stands still needs no help.
        Some(FaultKind::Freeze { .. } | FaultKind::Decline { .. } | FaultKind::Fail { .. })
        | None => Behaviour::Flows(Duration::ZERO),
    }
}

impl std::fmt::Display for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flows(Duration::ZERO) => f.write_str("open"),
            Self::Flows(delay) => write!(f, "slow by {} ms", delay.as_millis()),
            Self::Frozen => f.write_str("frozen"),
            Self::Cut => f.write_str("cut"),
        }
    }
}

/// Lets this process have as many files open as its user may: each connection is two.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refused where somebody has lowered it on purpose: then fewer connections are taken at a time.
    let _fewer_then =
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
