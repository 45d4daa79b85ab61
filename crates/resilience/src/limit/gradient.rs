//! How a limit moves: plain arithmetic, without clocks and threads.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limits are counts far below 2^52"
)]

use std::time::Duration;

/// How much longer than usual answers may take without a smaller limit.
const TOLERANCE: f64 = 1.5;
/// The most that one window takes away, before smoothing.
const GRADIENT_MIN: f64 = 0.5;
/// The part of the way that is gone at once: a window may be an odd one.
const SMOOTHING: f64 = 0.2;
/// What is left after a window with calls that were too many.
const DECREASE: f64 = 0.9;
/// The part of a window's calls that have to be too many for that: one alone may be of an instance that
/// is broken, and full nowhere.
const OVERLOADED_MIN: f64 = 0.1;
/// Windows that the usual latency is an average of, and those that weigh the same at its begin.
const LONG: f64 = 600.0;
const WARM_UP: u32 = 10;
/// A usual latency that is above this many times the one of now is brought down quickly.
const USUAL_TOO_HIGH: f64 = 2.0;
const USUAL_DECAY: f64 = 0.95;

/// What one window has seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// The mean of what answers took; none without answers.
    pub(super) latency: Option<Duration>,
    /// The part of the calls that were too many, from 0 to 1.
    pub(super) overloaded: f64,
    /// The most calls in flight.
    pub(super) peak: usize,
}

#[derive(Debug)]
pub(super) struct Gradient {
    limit: f64,
    min: f64,
    max: f64,
    /// The usual latency, in seconds.
    usual: f64,
    windows: u32,
}

impl Gradient {
    pub(super) fn new(max: usize, min: usize) -> Self {
        let max = max as f64;
        let min = min as f64;
        Self { limit: max, min, max, usual: 0.0, windows: 0 }
    }

    /// The limit after a window.
    pub(super) fn next(&mut self, seen: &Seen) -> usize {
        let gradient = seen.latency.map_or(1.0, |latency| self.gradient(latency.as_secs_f64()));
        let is_overloaded = seen.overloaded >= OVERLOADED_MIN;
        // Few calls that are slow say nothing of how many there could be. Few that are answered as usual
        // are no reason to stay below the maximum, at which it began.
        let is_used = seen.peak as f64 >= self.limit / 2.0;
        let is_well = gradient >= 1.0 && !is_overloaded;
        if is_used || is_well {
            let target = self.limit * gradient + self.limit.sqrt();
            let next = self.limit + (target - self.limit) * SMOOTHING;
            let next = if is_overloaded { next.min(self.limit * DECREASE) } else { next };
            self.limit = next.clamp(self.min, self.max);
        }
        self.limit as usize
    }

    /// How the latency of a window compares with the usual one, of which it becomes a part.
    fn gradient(&mut self, latency: f64) -> f64 {
        let latency = latency.max(1e-9);
        self.windows = self.windows.saturating_add(1);
        let weight =
            if self.windows <= WARM_UP { f64::from(self.windows).recip() } else { 2.0 / LONG };
        self.usual += (latency - self.usual) * weight;
        if self.usual > latency * USUAL_TOO_HIGH {
            self.usual *= USUAL_DECAY;
        }
        (TOLERANCE * self.usual / latency).clamp(GRADIENT_MIN, 1.0)
    }
}
