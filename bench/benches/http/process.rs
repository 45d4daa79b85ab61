//! What a process takes, by /proc.

use std::fs;

/// Parts of a second in which the kernel counts the time of a process; the same on every Linux.
const TICKS: f64 = 100.0;

/// The time that a process and its threads have had a processor, in microseconds.
pub(crate) fn cpu_us(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // After the name, which stands in brackets: the 12th and the 13th are user and system time.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS * 1e6
}

/// Its memory in megabytes, where pages that several processes have are counted by their part.
pub(crate) fn memory_mb(id: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap();
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    pss.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}
