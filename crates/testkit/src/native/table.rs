//! The process table: who runs, since when, and whose child it is.
//!
//! A process id alone says little, because ids are used again. The start time beside it makes it
//! certain.

/// One process, as it was at the moment of looking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// Ended, but not yet collected by its parent: holds nothing and does nothing.
    pub(crate) is_zombie: bool,
    /// A number that differs between two processes that had the same id.
    pub(crate) started: u64,
}

/// The entry of one process; none when there is no such process.
#[cfg(target_os = "linux")]
pub(crate) fn entry(pid: u32) -> Option<Entry> {
    parse_stat(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Every process of the machine.
#[cfg(target_os = "linux")]
pub(crate) fn entries() -> Vec<Entry> {
    let Ok(folder) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    folder
        .filter_map(|item| item.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(entry)
        .collect()
}

/// Reads a line of `/proc/<pid>/stat` (proc(5)). The name in brackets may itself hold brackets and
/// spaces, so that the fields are counted from the last closing one.
#[cfg(target_os = "linux")]
fn parse_stat(pid: u32, line: &str) -> Option<Entry> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let has_ended = matches!(*fields.first()?, "Z" | "X");
    // The first thread of a killed process can have ended while others still hold its sockets.
    let threads: u32 = fields.get(17)?.parse().ok()?;
    Some(Entry {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        is_zombie: has_ended && threads <= 1,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The entry of one process; none when there is no such process.
#[cfg(not(target_os = "linux"))]
pub(crate) fn entry(pid: u32) -> Option<Entry> {
    ps(&["-p", &pid.to_string()]).into_iter().next()
}

/// Every process of the machine.
#[cfg(not(target_os = "linux"))]
pub(crate) fn entries() -> Vec<Entry> {
    ps(&["-A"])
}

/// Asks `ps`, which is on every Unix; the start time is the hash of the date it prints.
#[cfg(not(target_os = "linux"))]
fn ps(selection: &[&str]) -> Vec<Entry> {
    use std::hash::{DefaultHasher, Hash, Hasher};

    let output = std::process::Command::new("ps")
        .args(selection)
        .args(["-o", "pid=,ppid=,stat=,lstart="])
        .env("LC_ALL", "C")
        .output();
    let Ok(output) = output else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let pid = fields.next()?.parse().ok()?;
            let parent = fields.next()?.parse().ok()?;
            let is_zombie = fields.next()?.starts_with('Z');
            let mut hasher = DefaultHasher::new();
            fields.for_each(|field| field.hash(&mut hasher));
            Some(Entry { pid, parent, is_zombie, started: hasher.finish() })
        })
        .collect()
}

/// The living descendants of a process, its children before theirs.
pub(crate) fn descendants(pid: u32) -> Vec<Entry> {
    let all = entries();
    let mut family = vec![pid];
    let mut found = Vec::new();
    while let Some(parent) = family.pop() {
        for entry in all.iter().filter(|entry| entry.parent == parent && !entry.is_zombie) {
            family.push(entry.pid);
            found.push(*entry);
        }
    }
    found
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) b (c)) S 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 9876 0 0";
        let entry = parse_stat(42, line).unwrap();
        assert_eq!((entry.parent, entry.is_zombie, entry.started), (7, false, 9876));
    }

    #[test]
    fn a_process_has_ended_when_its_last_thread_has() {
        let line =
            |threads| format!("42 (a) Z 7 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 9 0");
        assert!(!parse_stat(42, &line(3)).unwrap().is_zombie);
        assert!(parse_stat(42, &line(1)).unwrap().is_zombie);
    }

    #[test]
    fn a_child_is_among_the_descendants() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let seen = descendants(std::process::id()).iter().any(|entry| entry.pid == child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen);
    }
}
