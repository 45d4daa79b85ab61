//! What lies under `.dev`: of which versions the data is, and who may read it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::Finding;
use crate::data_version::{self, Mismatch};

pub(super) fn examine(dev: &Path) -> Vec<Finding> {
    if !dev.exists() {
        return vec![Finding::ok("data", "none yet")];
    }
    let postgres =
        data_version::postgres(&dev.join("postgres"), data_version::postgres_version().as_deref());
    let rabbitmq =
        data_version::rabbitmq(&dev.join("rabbitmq"), data_version::rabbitmq_version().as_deref());
    vec![of("postgres data", postgres), of("rabbitmq data", rabbitmq), private(dev)]
}

fn of(check: &'static str, mismatch: Option<Mismatch>) -> Finding {
    match mismatch {
        Some(Mismatch { what, mend }) => Finding::fault(check, what, mend),
        None => Finding::ok(check, "fit for the server, or none yet"),
    }
}

/// Files with passwords are their owner's alone.
fn private(dev: &Path) -> Finding {
    let open = ["secrets.json", "state.json"].into_iter().filter(|name| {
        let mode = fs::metadata(dev.join(name)).map(|data| data.permissions().mode());
        mode.is_ok_and(|mode| mode & 0o077 != 0)
    });
    let open: Vec<String> = open.map(|name| dev.join(name).display().to_string()).collect();
    if open.is_empty() {
        return Finding::ok("secrets", "readable by their owner alone, or none yet");
    }
    let how = format!("chmod 600 {}", open.join(" "));
    Finding::warn("secrets", "others may read passwords of the system", how)
}
