//! Permission for one call, and the report of its end.

use std::sync::Arc;

use tokio::time::Instant;

use super::phase::Stamp;
use super::shared::Shared;
use crate::Outcome;

/// A breaker as permits hold it. There are several, used by different threads: a permit counts the
/// references of one, and so does not contend with all other permits for one counter.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Handle(pub(super) Arc<Shared>);

/// Permission for one call. Report its outcome; dropping it reports none.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as a call that was given up"]
pub struct Permit {
    handle: Arc<Handle>,
    /// When the call began, where slow calls count.
    begun: Option<Instant>,
    stamp: Stamp,
    settled: bool,
}

impl Permit {
    #[inline]
    pub(super) fn new(handle: Arc<Handle>, stamp: Stamp, begun: Option<Instant>) -> Self {
        Self { handle, begun, stamp, settled: false }
    }

    /// The call succeeded.
    #[inline]
    pub fn success(self) {
        self.settle(Outcome::Success);
    }

    /// The call failed in a way that says the target is not well.
    pub fn failure(self) {
        self.settle(Outcome::Failure);
    }

    /// The call ended like this.
    #[inline]
    pub fn settle(mut self, outcome: Outcome) {
        self.settled = true;
        self.handle.0.settle(self.stamp, self.begun, outcome);
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if !self.settled {
            self.handle.0.give_up(self.stamp);
        }
    }
}
