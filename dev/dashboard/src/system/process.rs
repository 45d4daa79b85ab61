//! What a process uses, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// What Linux counts times in, for every program.
const TICKS: f64 = 100.0;

/// Memory and time of a process.
#[derive(Debug, Clone, Copy, Default)]
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
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let up = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let up: f64 = up.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or_default();
        let started: f64 = fields.get(19).and_then(|it| it.parse().ok()).unwrap_or_default();
        Self {
            memory: memory(pid),
            uptime: Duration::try_from_secs_f64(up - started / TICKS).unwrap_or_default(),
            is_frozen: fields.first() == Some(&"T"),
        }
    }
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
