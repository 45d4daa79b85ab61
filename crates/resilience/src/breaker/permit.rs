//! Permission for one call, and the report of its end.

use tokio::time::Instant;

use super::phase::Stamp;
use super::shared::Shared;
use crate::Outcome;

/// Permission for one call. Report its outcome; dropping it reports none.
///
/// It borrows the breaker: a count of references would be the dearest part of a call that succeeds.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as a call that was given up"]
pub struct Permit<'a> {
    shared: &'a Shared,
    /// When the call began, where slow calls count.
    begun: Option<Instant>,
    stamp: Stamp,
    settled: bool,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn new(shared: &'a Shared, stamp: Stamp, begun: Option<Instant>) -> Self {
        Self { shared, begun, stamp, settled: false }
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
        self.shared.settle(self.stamp, self.begun, outcome);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.settled {
            self.shared.give_up(self.stamp);
        }
    }
}
