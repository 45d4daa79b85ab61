//! Single faults, begun.

use std::time::Duration;

use anyhow::Result;
use faults::{DECLINE_CODES, Fault, FaultKind, FrozenProcess, PROVIDER, now_ms};

use super::{
    book::Book,
    length::{self, millis},
    target::{self, Target},
};
use crate::{project::Project, services::SIMULATOR, wires::SERVERS};

pub(super) fn decline_codes() -> clap::builder::PossibleValuesParser {
    DECLINE_CODES.into()
}

/// Stops the process, or the way to what is not ours.
pub(super) fn freeze(project: &Project, name: &str, length: Option<Duration>) -> Result<()> {
    let target = Target::find(project, name)?;
    let is_given = SERVERS.contains(&name) && target.process.is_none();
    if is_given {
        target.needs_wire(project)?;
    } else {
        target.process(project)?;
    }
    let process = target.process.map(|it| FrozenProcess { pid: it.pid, started: it.started });
    begin(project, name, FaultKind::Freeze { process }, length)
}

/// Ends the process, and says what brings it back.
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

pub(super) fn slow(
    project: &Project,
    name: &str,
    by: Duration,
    length: Option<Duration>,
) -> Result<()> {
    Target::find(project, name)?.needs_wire(project)?;
    begin(project, name, FaultKind::Slow { by_ms: millis(by) }, length)
}

pub(super) fn cut(project: &Project, name: &str, length: Option<Duration>) -> Result<()> {
    Target::find(project, name)?.needs_wire(project)?;
    begin(project, name, FaultKind::Cut, length)
}

pub(super) fn provider_slow(
    project: &Project,
    by: Duration,
    length: Option<Duration>,
) -> Result<()> {
    of_provider(project, FaultKind::Slow { by_ms: millis(by) }, length)
}

pub(super) fn provider_decline(
    project: &Project,
    code: &str,
    length: Option<Duration>,
) -> Result<()> {
    of_provider(project, FaultKind::Decline { code: code.to_owned() }, length)
}

pub(super) fn provider_fail(
    project: &Project,
    status: u16,
    length: Option<Duration>,
) -> Result<()> {
    of_provider(project, FaultKind::Fail { status }, length)
}

fn of_provider(project: &Project, kind: FaultKind, length: Option<Duration>) -> Result<()> {
    Target::find(project, SIMULATOR)?.process(project)?;
    begin(project, PROVIDER, kind, length)
}

/// Writes a fault down, lets it happen, and tells it.
fn begin(project: &Project, target: &str, kind: FaultKind, length: Option<Duration>) -> Result<()> {
    target::system(project)?;
    let since_ms = now_ms();
    let until_ms = length.map(|length| since_ms + millis(length));
    let what = kind.to_string();
    Book::open(project)?.set(&Fault { target: target.to_owned(), kind, since_ms, until_ms })?;
    let until = until_ms.map(|until| format!(" until {}", length::time(until)));
    let stop = project.command(&format!("fault stop {target}"));
    println!("{target} is {what}{}; `{stop}` ends it", until.unwrap_or_default());
    Ok(())
}
