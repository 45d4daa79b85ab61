//! The end of all logs, followed, and what stands before it in the files.

mod received;

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use log_files::{Entry, Filter, Log, Merge, Time};
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;

use crate::app::App;

/// How often it is looked for what was added.
const POLL: Duration = Duration::from_millis(250);
/// Entries that are kept in memory.
const ENTRIES_MAX: usize = 5_000;
/// Lines of each log that are read at the start.
const START_LINES: usize = 500;
/// Bytes of the end of each file that are searched.
const SEARCHED_MAX: u64 = 16 << 20;

/// An entry, by its number since the start.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    /// The process whose log it is of.
    pub(crate) name: String,
    pub(crate) entry: Entry,
}

/// The last entries of all logs.
#[derive(Debug)]
pub(crate) struct Logs {
    folder: PathBuf,
    last: Mutex<VecDeque<Arc<Numbered>>>,
    received: received::Received,
}

impl Logs {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, last: Mutex::default(), received: received::Received::default() }
    }

    /// Of the entries in memory the last so many that are asked for, the oldest first.
    pub(crate) fn last(&self, filter: &mut Filter, count: usize) -> Vec<Arc<Numbered>> {
        self.newer(filter, 0, count)
    }

    /// The same of those behind the entry of this number.
    pub(crate) fn newer(
        &self,
        filter: &mut Filter,
        behind: u64,
        count: usize,
    ) -> Vec<Arc<Numbered>> {
        let all: Vec<Arc<Numbered>> =
            self.last.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        for it in &all {
            filter.traces().for_each(|trace| trace.learn(&it.entry));
        }
        let newest = all.into_iter().rev().take_while(|it| it.number > behind);
        let admitted = newest.filter(|it| filter.admits(&it.name, &it.entry));
        let mut found: Vec<_> = admitted.take(count).collect();
        found.reverse();
        found
    }

    /// The number of the last entry, and the time of the first one in memory.
    pub(crate) fn bounds(&self) -> (u64, Option<Time>) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (last.back().map_or(0, |it| it.number), last.iter().find_map(|it| it.entry.time))
    }

    /// The processes that have logs.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        log_files::names(&self.folder)
    }

    /// The traces of the request of this id, the newest last: of what is in memory, else in the files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn trace_of_request(&self, request: &str) -> std::io::Result<Option<String>> {
        let asked = |entry: &Entry| {
            entry.trace_id.clone().filter(|_| entry.request_id.as_deref() == Some(request))
        };
        let all: Vec<Arc<Numbered>> =
            self.last.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        if let Some(trace) = all.iter().rev().find_map(|it| asked(&it.entry)) {
            return Ok(Some(trace));
        }
        let mut found = None;
        self.each(&mut Filter::default(), |_, entry| {
            found = asked(entry).or(found.take());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Of all that stands in the files the last so many that are asked for, the oldest first.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn search(
        &self,
        filter: &mut Filter,
        count: usize,
    ) -> std::io::Result<Vec<(String, Entry)>> {
        let mut found = VecDeque::new();
        self.each(filter, |name, entry| {
            found.push_back((name.to_owned(), entry.clone()));
            if found.len() > count {
                found.pop_front();
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found.into())
    }

    /// Gives each entry in the last megabytes of the files that is asked for, by time. It reads for up to
    /// a few seconds: for threads that may wait.
    ///
    /// # Errors
    /// A file cannot be read, or what is done with an entry fails.
    pub(crate) fn each(
        &self,
        filter: &mut Filter,
        mut admitted: impl FnMut(&str, &Entry) -> std::io::Result<ControlFlow<()>>,
    ) -> std::io::Result<()> {
        // Which traces a request has is said by its last line.
        if filter.traces().any(|trace| trace.may_be_request()) {
            self.read_files(|_, entry| {
                filter.traces().for_each(|trace| trace.learn(entry));
                Ok(ControlFlow::Continue(()))
            })?;
        }
        self.read_files(|name, entry| {
            // Of what comes later nothing is before that.
            if filter.until.is_some_and(|until| entry.time.is_some_and(|time| time >= until)) {
                return Ok(ControlFlow::Break(()));
            }
            if filter.admits(name, entry) {
                admitted(name, entry)
            } else {
                Ok(ControlFlow::Continue(()))
            }
        })
    }

    fn read_files(
        &self,
        mut look: impl FnMut(&str, &Entry) -> std::io::Result<ControlFlow<()>>,
    ) -> std::io::Result<()> {
        let mut logs = Vec::new();
        log_files::open_new(&self.folder, &BTreeSet::new(), false, &mut logs)?;
        for log in &mut logs {
            log.skip_to_last_bytes(SEARCHED_MAX)?;
        }
        let names: Vec<String> = logs.iter().map(|log| log.name.clone()).collect();
        let mut merge = Merge::new(&mut logs)?;
        while let Some((place, entry)) = merge.next()? {
            if look(&names[place], &entry)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Takes log entries that a service has exported which has no file here.
    ///
    /// # Errors
    /// They cannot be written.
    pub(crate) fn receive(
        &self,
        logs: Vec<ResourceLogs>,
        has_file: impl Fn(&str) -> bool,
    ) -> std::io::Result<()> {
        self.received.keep(&self.folder, logs, has_file)
    }

    fn read(&self, logs: &mut Vec<Log>, number: &mut u64) -> std::io::Result<()> {
        let there = logs.len();
        log_files::open_new(&self.folder, &BTreeSet::new(), true, logs)?;
        for log in &mut logs[there..] {
            log.skip_to_last(START_LINES)?;
        }
        for log in &mut logs[..there] {
            log.look_again()?;
        }
        let names: Vec<String> = logs.iter().map(|log| log.name.clone()).collect();
        let mut merge = Merge::new(logs)?;
        while let Some((place, entry)) = merge.next()? {
            *number += 1;
            let numbered = Numbered { number: *number, name: names[place].clone(), entry };
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.push_back(Arc::new(numbered));
            if last.len() > ENTRIES_MAX {
                last.pop_front();
            }
        }
        Ok(())
    }
}

/// Reads what is added to the logs.
pub(crate) async fn follow(app: App) {
    let (mut logs, mut number) = (Vec::new(), 0);
    loop {
        let reader = app.clone();
        let read = tokio::task::spawn_blocking(move || {
            // A log that cannot be read is read when it can be.
            let _tried_again = reader.logs.read(&mut logs, &mut number);
            (logs, number)
        });
        let Ok(back) = read.await else { return };
        (logs, number) = back;
        tokio::time::sleep(POLL).await;
    }
}
