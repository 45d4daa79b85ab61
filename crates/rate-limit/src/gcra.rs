//! The generic cell rate algorithm: a cell remembers one moment, by which all that was admitted would
//! have come at an even pace. `scripts/count.lua` is the same within Redis.

use std::time::Duration;

/// So many requests in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) requests: u32,
    pub(crate) per: Duration,
}

/// What a quota says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// How long until a request is admitted; none when this one is.
    pub(crate) wait: Duration,
    /// Requests that would be admitted now.
    pub(crate) remaining: u32,
    /// How long until the whole quota is there again.
    pub(crate) full_in: Duration,
}

impl Quota {
    /// At least one request, in at least a microsecond.
    pub(crate) fn new(requests: u32, per: Duration) -> Self {
        Self { requests: requests.max(1), per }
    }

    /// Microseconds between two requests at an even pace, at least one.
    pub(crate) fn interval(self) -> u64 {
        (micros(self.per) / u64::from(self.requests)).max(1)
    }

    /// Microseconds that the requests of a whole quota take at that pace.
    pub(crate) fn window(self) -> u64 {
        self.interval() * u64::from(self.requests)
    }

    /// The moment that a cell remembers, as far as it counts at `now`; both in microseconds. One
    /// beyond the window is of a clock that was set back, or of a longer window.
    pub(crate) fn arrival(self, remembered: u64, now: u64) -> u64 {
        remembered.clamp(now, now + self.window())
    }

    /// Microseconds to wait at `now` until one more request is admitted.
    pub(crate) fn wait(self, arrival: u64, now: u64) -> u64 {
        (arrival + self.interval()).saturating_sub(now + self.window())
    }

    /// What is left at `now`.
    pub(crate) fn reading(self, wait: u64, arrival: u64, now: u64) -> Reading {
        let remaining = (now + self.window()).saturating_sub(arrival) / self.interval();
        Reading {
            wait: Duration::from_micros(wait),
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            full_in: Duration::from_micros(arrival.saturating_sub(now)),
        }
    }
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
