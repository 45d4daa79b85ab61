//! A measured process: its memory and processor time, as `/proc` has them.

use std::fs;

use anyhow::{Context, Result};
use testkit::native::ProcessId;

/// Linux counts processor time for programs in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process that is killed when this value goes.
pub(super) struct Running(pub(super) ProcessId);

impl Running {
    /// What of it is in memory.
    pub(super) fn bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.0.pid);
        let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kibibytes.map(|kibibytes| kibibytes * 1024).with_context(|| format!("{path} has no VmRSS"))
    }

    /// The processor time that it took since it began.
    pub(super) fn processor(&self) -> Result<f64> {
        let path = format!("/proc/{}/stat", self.0.pid);
        let stat = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        // The name in parentheses may hold anything; after it, the 12th and 13th are what is meant.
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.split(' '));
        let times = fields.into_iter().flatten().skip(11).take(2);
        let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _nobody_to_tell = self.0.kill();
    }
}
