//! What a process takes, by /proc.

use std::fs;
use std::ops::RangeInclusive;

/// Parts of a second in which the kernel counts the time of a process; the same on every Linux.
const TICKS: f64 = 100.0;

/// The time that a process and its threads have had a processor, in microseconds.
pub(crate) fn cpu_us(id: u32) -> f64 {
    // User and system time.
    ticks(id, 11..=12).unwrap() / TICKS * 1e6
}

/// The same of all processes of this name, and of those that they have waited for: a server's, whose
/// connections are processes of their own.
pub(crate) fn cpu_us_of_all(name: &str) -> f64 {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // One that ends meanwhile is counted by its parent.
    ids.filter(|id| is_called(*id, name)).filter_map(|id| ticks(id, 11..=14)).sum::<f64>() / TICKS
        * 1e6
}

fn is_called(id: u32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|found| found.trim_end() == name)
}

/// The sum of these fields of its status, counted from behind its name, which stands in brackets.
fn ticks(id: u32, fields: RangeInclusive<usize>) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let all: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    all.get(fields)?.iter().map(|ticks| ticks.parse::<f64>().ok()).sum()
}

/// Its memory in megabytes, where pages that several processes have are counted by their part.
pub(crate) fn memory_mb(id: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap();
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    pss.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}
