//! The end of all logs, followed, and what stands before it in the files.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use log_files::{Entry, Filter, Log, Merge};

use crate::app::App;

/// How often it is looked for what was added.
const POLL: Duration = Duration::from_millis(250);
/// Entries that are kept in memory.
const ENTRIES_MAX: usize = 5_000;
/// Lines of each log that are read at the start.
const START_LINES: usize = 500;

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
}

impl Logs {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, last: Mutex::default() }
    }

    /// Of the entries in memory the last so many that are asked for, the oldest first.
    pub(crate) fn last(&self, filter: &mut Filter, count: usize) -> Vec<Arc<Numbered>> {
        let all: Vec<Arc<Numbered>> =
            self.last.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        for it in &all {
            filter.traces().for_each(|trace| trace.learn(&it.entry));
        }
        let mut found: Vec<_> = all
            .into_iter()
            .rev()
            .filter(|it| filter.admits(&it.name, &it.entry))
            .take(count)
            .collect();
        found.reverse();
        found
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
        let mut logs = Vec::new();
        log_files::open_new(&self.folder, &BTreeSet::new(), false, &mut logs)?;
        let names: Vec<String> = logs.iter().map(|log| log.name.clone()).collect();
        let mut found = VecDeque::new();
        let mut merge = Merge::new(&mut logs)?;
        while let Some((place, entry)) = merge.next()? {
            filter.traces().for_each(|trace| trace.learn(&entry));
            if filter.admits(&names[place], &entry) {
                found.push_back((names[place].clone(), entry));
                if found.len() > count {
                    found.pop_front();
                }
            }
        }
        Ok(found.into())
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
