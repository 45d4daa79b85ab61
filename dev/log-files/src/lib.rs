//! The logs of a running system as one: read from the files that its processes write, in the order of
//! time, by whoever shows them (`cargo dev logs` and the dashboard).
//!
//! Services write JSON, so that every filter is exact. PostgreSQL, Redis, RabbitMQ and the simulator
//! write formats of their own, whose times and levels are read (see [`Entry`]).

mod entries;
mod entry;
mod filter;
mod lines;
mod log;
mod merge;
mod stamp;
mod term;

use std::{collections::BTreeSet, fs, io, path::Path};

pub use self::{
    entry::{Entry, Level},
    filter::{Filter, Trace},
    log::Log,
    merge::{Merge, Source},
    stamp::{Time, asked},
    term::Term,
};

/// The names of the logs in this folder.
pub fn names(folder: &Path) -> BTreeSet<String> {
    let items = fs::read_dir(folder).into_iter().flatten().flatten();
    // To open a pipe would wait for its other end.
    let items = items.filter(|item| fs::metadata(item.path()).is_ok_and(|data| data.is_file()));
    let name = |item: fs::DirEntry| {
        let name = item.file_name();
        let name = name.to_str()?;
        let name = name.strip_suffix(".log").or_else(|| name.strip_suffix(".log.1"))?;
        Some(name.to_owned())
    };
    items.filter_map(name).collect()
}

/// Opens those of the asked logs of a folder that are not among `logs` yet; all when none is asked for.
///
/// # Errors
/// A file is there and cannot be read.
pub fn open_new(
    folder: &Path,
    asked: &BTreeSet<String>,
    follows: bool,
    logs: &mut Vec<Log>,
) -> io::Result<()> {
    for name in names(folder) {
        let is_asked = asked.is_empty() || asked.contains(&name);
        if is_asked && logs.iter().all(|log| log.name != name) {
            let path = folder.join(format!("{name}.log"));
            logs.push(Log::open(name, &path, follows)?);
        }
    }
    Ok(())
}
