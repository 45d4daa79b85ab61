//! What a process uses, as the kernel counts it.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// What Linux counts times in, for every program.
const TICKS: f64 = 100.0;
/// Processes of one tree that are counted.
const TREE_MAX: usize = 1_000;

/// Memory and time of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Bytes in memory; of what it shares with others, its part.
    pub(crate) memory: u64,
    /// Since it started.
    pub(crate) uptime: Duration,
    /// Whether it is stopped by a signal: frozen.
    pub(crate) is_frozen: bool,
}

impl Usage {
    /// Of a process; nothing where there is no `/proc`.
    pub(crate) fn of(pid: u32) -> Self {
        let fields = stat(pid).unwrap_or_default();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let up = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let up: f64 = up.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or_default();
        let started: f64 = fields.get(19).and_then(|it| it.parse().ok()).unwrap_or_default();
        Self {
            memory: memory(pid),
            uptime: Duration::try_from_secs_f64(up - started / TICKS).unwrap_or_default(),
            is_frozen: fields.first() == Some(&"T"),
        }
    }

    /// Of a process with the memory of all that it has started: PostgreSQL has a process for each
    /// connection.
    pub(crate) fn of_tree(pid: u32, children: &Children) -> Self {
        let below = children.below(pid).into_iter().map(memory).sum::<u64>();
        let own = Self::of(pid);
        Self { memory: own.memory + below, ..own }
    }
}

/// Which processes of this machine were started by which.
#[derive(Debug, Default)]
pub(crate) struct Children(HashMap<u32, Vec<u32>>);

impl Children {
    pub(crate) fn now() -> Self {
        let mut children = HashMap::<u32, Vec<u32>>::new();
        for item in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = item.file_name().to_str().and_then(|name| name.parse().ok());
            let parent = pid.and_then(stat).and_then(|fields| {
                fields.split_whitespace().nth(1).and_then(|parent| parent.parse::<u32>().ok())
            });
            if let (Some(pid), Some(parent)) = (pid, parent) {
                children.entry(parent).or_default().push(pid);
            }
        }
        Self(children)
    }

    /// All that are below one.
    fn below(&self, pid: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut next = vec![pid];
        while let Some(parent) = next.pop().filter(|_| found.len() < TREE_MAX) {
            let children = self.0.get(&parent).into_iter().flatten().copied();
            let before = found.len();
            found.extend(children);
            next.extend(&found[before..]);
        }
        found
    }
}

/// The fields after the name, which may hold anything: the state is the first.
fn stat(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')').map(|(_, fields)| fields.to_owned())
}

/// `Pss` counts what processes share in equal parts; `VmRSS` is what is told of processes of others.
fn memory(pid: u32) -> u64 {
    let kilobytes = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let known = kilobytes("smaps_rollup", "Pss:").or_else(|| kilobytes("status", "VmRSS:"));
    known.unwrap_or_default() * 1024
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_holds_that_of_its_children() {
        let children = Children(HashMap::from([(1, vec![2, 3]), (3, vec![4]), (9, vec![5])]));
        let mut below = children.below(1);
        below.sort_unstable();
        assert_eq!(below, [2, 3, 4]);
        // That of a circle ends.
        assert!(Children(HashMap::from([(1, vec![1])])).below(1).len() <= TREE_MAX);

        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let all = Usage::of_tree(own, &Children::now());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(all.memory > Usage::of(own).memory / 2 && !all.is_frozen);
    }
}
