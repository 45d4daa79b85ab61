//! What runs: a version and a commit.

use std::sync::OnceLock;

/// The version of a service's package, and the commit that its binary is built of. A binary makes
/// it of itself by [`build_info!`](crate::build_info!).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildInfo {
    /// Of the package, such as `1.0.0`.
    pub version: &'static str,
    /// The commit's full id; `unknown` when it was built without git and without `REVISION`.
    pub commit: &'static str,
}

static RUNNING: OnceLock<BuildInfo> = OnceLock::new();

/// What runs in this process; none before [`init`](crate::init), as in tests.
pub fn build_info() -> Option<BuildInfo> {
    RUNNING.get().copied()
}

pub(crate) fn set(build: BuildInfo) {
    RUNNING.get_or_init(|| build);
}

/// The [`BuildInfo`] of the package that this stands in. It belongs into a binary's `main.rs`: the file
/// is compiled anew with each commit.
#[macro_export]
macro_rules! build_info {
    () => {
        $crate::BuildInfo { version: env!("CARGO_PKG_VERSION"), commit: $crate::commit!() }
    };
}
