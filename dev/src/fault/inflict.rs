//! Single faults, begun.

use std::time::Duration;

use anyhow::Result;
use faults::{Fault, FaultKind, FrozenProcess, PROVIDER, now_ms};

use super::{
    book::{self, Book},
    length::millis,
    target::Target,
};
use crate::{project::Project, services::SIMULATOR, wires::SERVERS};

/// Ends a process, and says what brings it back.
pub(super) fn kill(project: &Project, name: &str) -> Result<()> {
    let target = Target::find(project, name)?;
    let process = target.process(project)?;
    // One that stands still can be killed, too; nobody has to let it run on then.
    process.id().kill()?;
    drop(Book::open(project)?);
    println!(
        "{name} was killed; an `up` that stays tells that it has ended, and nobody starts it again \
         before: {}",
        project.command("up --detach")
    );
    Ok(())
}

/// Writes a fault down, lets it happen, and tells it.
pub(super) fn begin(
    project: &Project,
    target: &str,
    kind: FaultKind,
    length: Option<Duration>,
) -> Result<()> {
    let kind = possible(project, target, kind)?;
    let since_ms = now_ms();
    let until_ms = length.map(|length| since_ms + millis(length));
    let fault = Fault { target: target.to_owned(), kind, since_ms, until_ms };
    Book::open(project)?.set(&fault)?;
    println!("{}", book::sentence(project, &fault));
    Ok(())
}

/// What happens there by such a fault; an error when it cannot.
fn possible(project: &Project, name: &str, kind: FaultKind) -> Result<FaultKind> {
    if name == PROVIDER {
        Target::find(project, SIMULATOR)?.process(project)?;
        return Ok(kind);
    }
    let target = Target::find(project, name)?;
    let is_given = SERVERS.contains(&name) && target.process.is_none();
    if !matches!(kind, FaultKind::Freeze { .. }) || is_given {
        target.needs_wire(project)?;
        return Ok(kind);
    }
    let process = target.process(project)?;
    let process = FrozenProcess { pid: process.pid, started: process.started };
    Ok(FaultKind::Freeze { process: Some(process) })
}
