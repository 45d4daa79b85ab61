//! What goes wrong on purpose, as `cargo dev fault` has noted it.

use std::path::Path;

use faults::{Fault, Faults, now_ms};

/// What goes wrong now; nothing where no file says so. A process that stands still does so beyond its
/// time, until somebody lets it run on.
pub(crate) fn faults(folder: &Path) -> Vec<Fault> {
    let text = std::fs::read(folder.join("faults.json")).unwrap_or_default();
    // It is written in one step: what cannot be read is of another version.
    let noted: Faults = serde_json::from_slice(&text).unwrap_or_default();
    let now = now_ms();
    noted.faults.into_iter().filter(|fault| fault.lasts(now) || fault.process().is_some()).collect()
}
