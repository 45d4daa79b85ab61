//! A service replaced while it serves: its successor starts beside it, takes its listeners over, and
//! serves once it is ready; only then the old one is told to end, and finishes what it has begun.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{
    interrupt::Interrupt,
    project::Project,
    services::{READY_LIMIT, Start, end_of_log},
    state::{Process, State, stop_all},
};

/// A process, and what takes its place.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) old: Process,
    pub(super) start: Start,
}

/// A process that is not ready yet. Dropped before it is, it is stopped; the old one serves on.
struct Successor {
    old: Process,
    process: Process,
    begin: Instant,
    is_ready: bool,
}

/// Replaces processes side by side, under the lock of the caller. Those that fail leave their
/// predecessors where they are; the error shows why.
pub(super) fn all(
    project: &Project,
    replacements: Vec<Replacement>,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut successors = Vec::new();
    for Replacement { old, start } in replacements {
        let begin = Instant::now();
        let process = start.spawn(project, Some(&old))?;
        successors.push(Successor { old, process, begin, is_ready: false });
    }
    let (mut replaced, mut faults) = (Vec::new(), Vec::new());
    for mut successor in successors {
        match successor.wait(project, interrupt) {
            Ok(()) => {
                let seconds = successor.begin.elapsed().as_secs_f64();
                replaced.push((successor.old.clone(), seconds));
            }
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    let begin = Instant::now();
    let old: Vec<Process> = replaced.iter().map(|(old, _)| old.clone()).collect();
    stop_all(&old, |old, in_order| {
        let ready = replaced.iter().find(|(other, _)| other.id() == old.id());
        let ready = ready.map(|(_, seconds)| *seconds).unwrap_or_default();
        let drained = begin.elapsed().as_secs_f64();
        let how = if in_order { "has drained after" } else { "was killed after" };
        println!(
            "replaced {}: the new one was ready after {ready:.1} s, the old one {how} {drained:.1} s",
            old.name
        );
    })?;
    if !faults.is_empty() {
        bail!("{}\nthe old one serves on", faults.join("\n"));
    }
    Ok(())
}

impl Successor {
    /// Waits until it serves, and notes that it has taken the place of the old one.
    fn wait(&mut self, project: &Project, interrupt: &Interrupt) -> Result<()> {
        let name = &self.process.name;
        let offer = self.process.takeover.as_ref().map(|socket| project.path_of(socket));
        let serves = interrupt.poll(READY_LIMIT, || {
            if !self.process.is_running() {
                bail!("the new {name} ended before it was ready; {}", end_of_log(&self.process));
            }
            Ok(offer.as_ref().is_none_or(|offer| offer.exists()).then_some(()))
        })?;
        if serves.is_none() {
            let limit = READY_LIMIT.as_secs();
            bail!("the new {name} is not ready after {limit} s; {}", end_of_log(&self.process));
        }
        let mut state = State::load(project)?.context("the system went down meanwhile")?;
        // Before the old one is stopped, so that an `up` that watches does not take it for a fault.
        state.put(self.process.clone());
        state.save(project)?;
        self.is_ready = true;
        Ok(())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.is_ready
            && let Err(error) = self.process.stop()
        {
            eprintln!("see `cargo dev status`: {error:#}");
        }
    }
}
