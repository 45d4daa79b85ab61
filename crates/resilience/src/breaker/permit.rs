//! Permission for one call, and the report of its end.

use std::mem;

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
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn new(shared: &'a Shared, stamp: Stamp, begun: Option<Instant>) -> Self {
        Self { shared, begun, stamp }
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
    pub fn settle(self, outcome: Outcome) {
        self.shared.settle(self.stamp, self.begun, outcome);
        // It was not given up.
        mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.shared.give_up(self.stamp);
    }
}
