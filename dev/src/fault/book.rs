//! The faults that are active: `.dev/faults.json`, written by one command at a time.

use std::{fs, fs::File, io, path::PathBuf};

use anyhow::{Context, Result};
use faults::{Fault, Faults, FrozenProcess, now_ms};
use testkit::native::ProcessId;

use super::{keeper, length};
use crate::{private, project::Project, state::Process};

/// The file, open for changes until dropped.
pub(super) struct Book<'a> {
    project: &'a Project,
    faults: Faults,
    /// What should have ended before it was opened, and has now.
    overdue: Vec<Fault>,
    _lock: File,
}

impl<'a> Book<'a> {
    /// Waits until no other command has it open; ends what should have ended by now.
    pub(super) fn open(project: &'a Project) -> Result<Self> {
        private::folders(project)?;
        let lock = private::lock(&project.dev("faults.lock")).context("open faults.lock")?;
        lock.lock().context("lock faults.lock")?;
        let consequence = "what stands still by it ends at `cargo dev down`";
        let faults = private::read_or_put_aside(&file(project), consequence)?;
        let mut book =
            Self { project, faults: faults.unwrap_or_default(), overdue: Vec::new(), _lock: lock };
        let is_over = |fault: &Fault| !fault.lasts(now_ms()) || !stands(fault);
        for target in book.targets(is_over) {
            let ended = book.end(&target)?;
            book.overdue.extend(ended);
        }
        Ok(book)
    }

    /// Sets a fault in the place of the one that its target has. It is written down before it happens, so
    /// that whoever ends faults finds all of them.
    pub(super) fn set(&mut self, fault: &Fault) -> Result<()> {
        self.end(&fault.target)?;
        self.faults.put(fault.clone());
        self.save()?;
        let Some(process) = fault.process() else {
            return Ok(());
        };
        let freezes = || {
            id(process).freeze()?;
            fault.until_ms.map_or(Ok(()), |_| keeper::start(self.project, fault))
        };
        let outcome: Result<()> = freezes();
        if outcome.is_err() {
            self.end(&fault.target)?;
        }
        outcome.with_context(|| format!("freeze {}", fault.target))
    }

    /// Ends the fault of a target and gives it.
    pub(super) fn end(&mut self, target: &str) -> Result<Option<Fault>> {
        let Some(fault) = self.faults.faults.iter().find(|fault| fault.target == target).cloned()
        else {
            return Ok(None);
        };
        // Written down after it has ended, so that what could not be ended is not forgotten.
        if let Some(process) = fault.process() {
            id(process).cont().with_context(|| format!("let {target} run on"))?;
        }
        self.faults.take(target);
        self.save()?;
        Ok(Some(fault))
    }

    /// The same where it may have been overdue.
    pub(super) fn stop(&mut self, target: &str) -> Result<Option<Fault>> {
        let ended = self.end(target)?;
        Ok(ended.or_else(|| self.overdue.iter().find(|fault| fault.target == target).cloned()))
    }

    fn targets(&self, is_meant: impl Fn(&Fault) -> bool) -> Vec<String> {
        let meant = self.faults.faults.iter().filter(|fault| is_meant(fault));
        meant.map(|fault| fault.target.clone()).collect()
    }

    fn save(&self) -> Result<()> {
        let file = file(self.project);
        if self.faults.faults.is_empty() {
            return match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("remove {}", file.display()))
                }
                _ => Ok(()),
            };
        }
        private::write(&file, &self.faults)
    }
}

/// Where it stands what goes wrong.
pub(crate) fn file(project: &Project) -> PathBuf {
    project.dev("faults.json")
}

/// What goes wrong now. A process that stands still beyond its time counts, until somebody lets it run on.
pub(crate) fn active(project: &Project) -> Vec<Fault> {
    let mut faults = read(project).unwrap_or_default().faults;
    faults.retain(|fault| stands(fault) && (fault.process().is_some() || fault.lasts(now_ms())));
    faults
}

/// Ends what should have ended by now, had not somebody killed who was to do so.
pub(crate) fn mend_overdue(project: &Project) -> Result<()> {
    let is_overdue = |fault: &Fault| fault.process().is_some() && !fault.lasts(now_ms());
    if read(project)?.faults.iter().any(is_overdue) {
        Book::open(project)?;
    }
    Ok(())
}

/// Whether this process stands still on purpose.
pub(crate) fn is_frozen(project: &Project, process: &Process) -> bool {
    let frozen = active(project).into_iter().filter_map(|fault| fault.process());
    frozen.into_iter().any(|frozen| id(frozen) == process.id())
}

/// Ends all faults, tells each, and gives their number.
pub(crate) fn mend_all(project: &Project) -> Result<usize> {
    if !file(project).exists() {
        return Ok(0);
    }
    let mut book = Book::open(project)?;
    let targets = book.targets(|_| true);
    for target in &targets {
        book.end(target)?.iter().for_each(tell_end);
    }
    Ok(targets.len())
}

/// Says that a fault has ended.
pub(super) fn tell_end(fault: &Fault) {
    println!("{} is no longer {}", fault.target, fault.kind);
}

/// What goes wrong, a line each, and what ends it; nothing when nothing does.
pub(crate) fn tell(project: &Project) -> Vec<String> {
    // Should it not be possible, it is told as it is.
    let _told_below = mend_overdue(project);
    let active = active(project);
    active.iter().map(|fault| format!("on purpose, {}", sentence(project, fault))).collect()
}

/// What goes wrong, until when, and what ends it.
pub(super) fn sentence(project: &Project, fault: &Fault) -> String {
    let Fault { target, kind, until_ms, .. } = fault;
    let until = until_ms.map(|until| format!(" until {}", length::time(until)));
    let stop = project.command(&format!("fault stop {target}"));
    format!("{target} is {kind}{}; `{stop}` ends it", until.unwrap_or_default())
}

/// Whether there is what goes wrong: a process that has ended does not stand still.
fn stands(fault: &Fault) -> bool {
    fault.process().is_none_or(|process| id(process).is_running())
}

fn id(process: FrozenProcess) -> ProcessId {
    ProcessId { pid: process.pid, started: process.started }
}

/// What the file says; nothing when it is not there.
fn read(project: &Project) -> Result<Faults> {
    Ok(private::read(&file(project))?.unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use faults::FaultKind;

    use super::*;

    fn cut(target: &str, until_ms: Option<u64>) -> Fault {
        Fault { target: target.to_owned(), kind: FaultKind::Cut, since_ms: now_ms(), until_ms }
    }

    #[test]
    fn what_is_over_or_frozen_and_gone_is_dropped_and_the_file_goes_with_the_last_fault() {
        let root = tempfile::tempdir().unwrap();
        let project = Project::fixture(root.path());
        let mut book = Book::open(&project).unwrap();
        book.set(&cut("redis", None)).unwrap();
        book.set(&cut("postgres", Some(1))).unwrap();
        // Another process has the id by now.
        let process = Some(FrozenProcess { pid: std::process::id(), started: 0 });
        let gone = Fault { kind: FaultKind::Freeze { process }, ..cut("user-service", None) };
        book.set(&gone).unwrap();
        drop(book);
        let targets: Vec<String> = active(&project).into_iter().map(|it| it.target).collect();
        assert_eq!(targets, ["redis"]);

        let mut book = Book::open(&project).unwrap();
        assert_eq!(book.targets(|_| true), ["redis"]);
        assert_eq!(book.end("postgres").unwrap(), None);
        assert!(book.end("redis").unwrap().is_some());
        assert!(!file(&project).exists());
    }

    #[test]
    fn a_broken_file_is_put_aside_by_who_changes_it_and_by_nobody_else() {
        let root = tempfile::tempdir().unwrap();
        let project = Project::fixture(root.path());
        fs::create_dir_all(project.dev("")).unwrap();
        fs::write(file(&project), "{").unwrap();
        assert_eq!(active(&project), []);
        assert!(file(&project).exists());
        assert_eq!(mend_all(&project).unwrap(), 0);
        assert!(!file(&project).exists());
    }
}
