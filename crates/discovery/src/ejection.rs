//! Ejection: an endpoint whose calls fail, or do worse than those of its peers, gets no calls for a
//! while; then one call at a time tries it, and brings it back when it succeeds.
//!
//! The field calls it outlier detection: failures in a row are Envoy's `consecutive_5xx`, and the time
//! grows with each ejection in a row as there.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{AtomicTime, Time};
use crate::endpoint::State;

/// How many times as long as at first an endpoint is ejected at most.
const GROWTH_MAX: u32 = 10;

/// That an endpoint gets no calls for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Why.
    pub reason: EjectionReason,
    /// Since when.
    pub since: Instant,
    /// From when on one call at a time tries it.
    pub until: Instant,
}

/// Why an endpoint is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EjectionReason {
    /// `ejection_threshold` calls failed one after the other.
    FailuresInARow,
    /// Far more of its calls fail than of its peers'.
    SuccessRate,
    /// Its calls take far longer than those of its peers.
    Latency,
}

impl EjectionReason {
    /// It in one word, for programs.
    pub fn label(self) -> &'static str {
        match self {
            Self::FailuresInARow => "failures_in_a_row",
            Self::SuccessRate => "success_rate",
            Self::Latency => "latency",
        }
    }
}

impl fmt::Display for EjectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FailuresInARow => "calls to it failed",
            Self::SuccessRate => "more of its calls fail than of the others'",
            Self::Latency => "it is far slower than the others",
        })
    }
}

/// Whether an endpoint is ejected, and what its calls say about that.
#[derive(Debug, Default)]
pub(crate) struct Outlier {
    failures_in_a_row: AtomicU32,
    /// Counts ejections and returns: a call says nothing about the time after the next one.
    generation: AtomicU32,
    /// Ejections in a row, which make the next one longer.
    times: AtomicU32,
    /// When it last came back, or one of the ejections in a row was forgotten.
    well_since: AtomicTime,
    /// Whether a call tries it.
    is_tried: AtomicBool,
    /// Written under the service's lock.
    ejection: Mutex<Option<Ejection>>,
}

impl Outlier {
    pub(crate) fn ejection(&self) -> Option<Ejection> {
        *self.lock()
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Relaxed)
    }

    pub(crate) fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row.load(Relaxed)
    }

    pub(crate) fn note_success(&self) {
        // Read first, since a write takes the cache line from all others who call it.
        if self.failures_in_a_row() > 0 {
            self.failures_in_a_row.store(0, Relaxed);
        }
    }

    /// Gives the failures in a row, this one included.
    pub(crate) fn note_failure(&self) -> u32 {
        self.failures_in_a_row.fetch_add(1, Relaxed) + 1
    }

    pub(crate) fn eject(&self, reason: EjectionReason, time: Duration) {
        let now = Instant::now();
        let until = now + self.longer(time);
        *self.lock() = Some(Ejection { reason, since: now, until });
        self.generation.fetch_add(1, Relaxed);
    }

    /// The call that tried it failed.
    pub(crate) fn prolong(&self, time: Duration) {
        let until = Instant::now() + self.longer(time);
        if let Some(ejection) = &mut *self.lock() {
            ejection.until = until;
        }
    }

    pub(crate) fn end(&self) {
        *self.lock() = None;
        self.failures_in_a_row.store(0, Relaxed);
        self.generation.fetch_add(1, Relaxed);
        self.well_since.store(Some(Time::now()));
    }

    /// Nobody waits for the time that it was to be left alone: it was found well.
    pub(crate) fn try_soon(&self) {
        if let Some(ejection) = &mut *self.lock() {
            ejection.until = ejection.until.min(Instant::now());
        }
    }

    /// It is not ejected: one of the ejections in a row is forgotten for each `time` that this lasts.
    pub(crate) fn forgive(&self, time: Duration) {
        let now = Time::now();
        if self.well_since.load().is_some_and(|since| since.after(time) <= now) {
            let _none_left = self.times.try_update(Relaxed, Relaxed, |times| times.checked_sub(1));
            self.well_since.store(Some(now));
        }
    }

    /// Whether it is ejected, its time is over and nobody tries it now. Waits for no lock.
    fn begin_trial(&self) -> bool {
        let ejection = self.ejection.try_lock().ok().and_then(|ejection| *ejection);
        ejection.is_some_and(|ejection| Instant::now() >= ejection.until)
            && !self.is_tried.swap(true, Relaxed)
    }

    fn longer(&self, time: Duration) -> Duration {
        let times = self.times.fetch_add(1, Relaxed) + 1;
        time * times.min(GROWTH_MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Ejection>> {
        self.ejection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one call that tries an ejected endpoint; dropped, another may.
#[derive(Debug)]
pub(crate) struct Trial(Arc<State>);

impl Trial {
    /// Permission to try an endpoint, if it is ejected and it is time.
    pub(crate) fn of(state: &Arc<State>) -> Option<Self> {
        state.outlier.begin_trial().then(|| Self(state.clone()))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.0.outlier.is_tried.store(false, Relaxed);
    }
}
