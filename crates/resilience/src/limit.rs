//! An adaptive limit of calls in flight: as many as are answered about as quickly as usual.
//!
//! ```text
//!   try_acquire ─▶ in flight below the limit? ─▶ call ─▶ answered / overloaded / dropped untold
//!                        ▲                                  │ latency
//!                        └── limit × gradient + √limit ◀────┘ each half second
//!                            gradient = 1.5 × usual latency / latency now, from 0.5 to 1
//! ```
//!
//! Work that queues somewhere takes longer for it, so latency tells of a queue that cannot be seen.
//! While the answers of a window take less than half as long again as they do on the long run, the
//! limit grows by its root; when they take longer, it shrinks to what was answered in the usual time.
//! A window in which a tenth of the answers say "too much" takes a tenth of it away. It shrinks only
//! where at least half of it was used: few calls say nothing of how many there could be. It begins at
//! its maximum, comes back to it in quiet times too, and goes no lower than a sixteenth of it.
//!
//! This is Gradient2 of <https://github.com/Netflix/concurrency-limits>, which begins low instead, and
//! the multiplicative decrease of its AIMD limit.

mod gradient;
#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests;

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::criticality::Criticality;
use gradient::{Gradient, Seen};

/// Time over which latencies are averaged before the limit moves.
const WINDOW: Duration = Duration::from_millis(500);
/// Ends of calls that a window waits for, however long it takes.
const ENDS_MIN: u32 = 10;
/// The part of the maximum that is always let in.
const FLOOR: usize = 16;

/// A limit of calls in flight. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Limit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    limit: AtomicUsize,
    in_flight: AtomicUsize,
    /// None: the limit is fixed.
    adaptive: Option<Adaptive>,
}

#[derive(Debug)]
struct Adaptive {
    created: Instant,
    window: Window,
    gradient: Mutex<Gradient>,
}

/// What the calls that ended in a window tell.
#[derive(Debug, Default)]
struct Window {
    /// When it ends, in nanoseconds since the limit was made.
    ends_at: AtomicU64,
    answered: AtomicU32,
    overloaded: AtomicU32,
    /// The sum of the latencies of those that were answered, in nanoseconds.
    nanos: AtomicU64,
    /// The most calls in flight.
    peak: AtomicUsize,
}

/// A place, until it is dropped. Tell how the call ended; dropping it tells nothing.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct LimitPermit {
    shared: Arc<Shared>,
    /// When the call began, where that matters.
    began: Option<Instant>,
}

impl Limit {
    /// So many calls at a time, or fewer while they take longer than usual.
    pub fn adaptive(max: usize) -> Self {
        let max = max.max(1);
        let window = Window::default();
        let created = Instant::now();
        window.ends_at.store(nanos(WINDOW), Ordering::Relaxed);
        let gradient = Mutex::new(Gradient::new(max, max.div_ceil(FLOOR)));
        Self::new(max, Some(Adaptive { created, window, gradient }))
    }

    /// So many calls at a time, whatever they take.
    pub fn fixed(max: usize) -> Self {
        Self::new(max, None)
    }

    fn new(max: usize, adaptive: Option<Adaptive>) -> Self {
        let limit = AtomicUsize::new(max);
        let in_flight = AtomicUsize::new(0);
        Self(Arc::new(Shared { max, limit, in_flight, adaptive }))
    }

    /// A place, if there is one for work of this kind: the last quarter is not for the background's.
    pub fn try_acquire(&self, criticality: Criticality) -> Option<LimitPermit> {
        let Shared { limit, in_flight, adaptive, .. } = &*self.0;
        let limit = limit.load(Ordering::Relaxed);
        let room = if limit == 0 { 0 } else { (limit * criticality.quarters() / 4).max(1) };
        let enter = |count| (count < room).then_some(count + 1);
        let before = in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).ok()?;
        let began = adaptive.as_ref().map(|adaptive| {
            adaptive.window.peak.fetch_max(before + 1, Ordering::Relaxed);
            Instant::now()
        });
        Some(LimitPermit { shared: self.0.clone(), began })
    }

    /// Calls that may be in flight now.
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Calls that may ever be in flight.
    pub fn max(&self) -> usize {
        self.0.max
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }
}

impl LimitPermit {
    /// The call was answered; how long that took is taken into account.
    pub fn answered(self) {
        self.end(|window, latency| {
            window.nanos.fetch_add(nanos(latency), Ordering::Relaxed);
            window.answered.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// The call was refused because there are too many, or took too long.
    pub fn overloaded(self) {
        self.end(|window, _| {
            window.overloaded.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn end(self, note: impl FnOnce(&Window, Duration)) {
        let (Some(adaptive), Some(began)) = (&self.shared.adaptive, self.began) else { return };
        let now = Instant::now();
        note(&adaptive.window, now - began);
        let window = &adaptive.window;
        let age = nanos(now - adaptive.created);
        if age >= window.ends_at.load(Ordering::Relaxed) && window.ends() >= ENDS_MIN {
            self.shared.adapt(adaptive, age);
        }
    }
}

impl Drop for LimitPermit {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Ends the window, and moves the limit. Whoever finds another at it leaves it to that one.
    #[cold]
    fn adapt(&self, adaptive: &Adaptive, age: u64) {
        let Ok(mut gradient) = adaptive.gradient.try_lock() else { return };
        if age < adaptive.window.ends_at.load(Ordering::Relaxed) {
            return; // Another has just ended it.
        }
        adaptive.window.ends_at.store(age + nanos(WINDOW), Ordering::Relaxed);
        let seen = adaptive.window.take(self.in_flight.load(Ordering::Relaxed));
        self.limit.store(gradient.next(&seen), Ordering::Relaxed);
    }
}

impl Window {
    fn ends(&self) -> u32 {
        self.answered.load(Ordering::Relaxed) + self.overloaded.load(Ordering::Relaxed)
    }

    /// What was seen until now, to begin again. A call that ends at the same moment may be counted in
    /// one window and its latency in the next: among so many that does not matter.
    fn take(&self, in_flight: usize) -> Seen {
        let answered = self.answered.swap(0, Ordering::Relaxed);
        let overloaded = f64::from(self.overloaded.swap(0, Ordering::Relaxed));
        let latency = self.nanos.swap(0, Ordering::Relaxed).checked_div(answered.into());
        Seen {
            latency: latency.map(Duration::from_nanos),
            overloaded: overloaded / (overloaded + f64::from(answered)).max(1.0),
            peak: self.peak.swap(in_flight, Ordering::Relaxed),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
