//! The keeper: a process of its own that lets a frozen one run on at its time, whatever has become of
//! the command that froze it.

use std::{env, thread, time::Duration};

use anyhow::{Context, Result};
use faults::{Fault, now_ms};
use testkit::native::Launch;

use super::book::{Book, active, tell_end};
use crate::project::Project;

/// How often it is looked whether the time has come, or somebody has ended the fault before.
const POLL: Duration = Duration::from_millis(100);

/// Starts one for this fault. It ends with the fault.
pub(super) fn start(project: &Project, fault: &Fault) -> Result<()> {
    let tool = env::current_exe().context("find this tool's own binary")?;
    let namespace = project.namespace().map(|name| vec!["--namespace", name]).unwrap_or_default();
    let since = fault.since_ms.to_string();
    let words = [&namespace[..], &["fault", "keep", &fault.target, &since]].concat();
    let launch = Launch::new(&tool, &project.log("fault-keeper")).append(true);
    launch.args(words).current_dir(project.root()).spawn().context("start the fault's keeper")?;
    Ok(())
}

/// Stays until the fault is over, and ends it when nobody else has.
pub(super) fn run(project: &Project, target: &str, since_ms: u64) -> Result<()> {
    let is_there = |fault: &Fault| fault.target == target && fault.since_ms == since_ms;
    while let Some(fault) = active(project).into_iter().find(is_there) {
        if !fault.lasts(now_ms()) {
            // Opening it ends what should have ended.
            drop(Book::open(project)?);
            tell_end(&fault);
            return Ok(());
        }
        thread::sleep(POLL);
    }
    Ok(())
}
