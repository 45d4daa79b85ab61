//! The circuit breaker: a target that keeps failing is left alone for a while, then a few calls try
//! it, and close the breaker if all succeed.
//!
//! ```text
//!            failures in a row, failure ratio, slow calls
//!   closed ───────────────────────────────────▶ open ◀───────────────┐
//!     ▲                                          │ time is up, or     │ any failure
//!     │                                          │ found well         │
//!     │   half_open_max_calls successes          ▼                    │
//!     └───────────────────────────────────── half-open ───────────────┘
//! ```
//!
//! - The first open time is short, and grows up to `timeout` while the calls that try fail. Whoever
//!   learns from elsewhere that the target is well, such as from a health check, ends it with
//!   [`half_open`](CircuitBreaker::half_open).
//! - A rejection touches no timer: under steady traffic the breaker closes again all the same.
//! - A call counts in the phase that admitted it and nowhere else: one begun before the breaker
//!   tripped neither closes it nor opens it again.
//! - A call that is given up (its future dropped) has no outcome, and gives its permit back.
//! - Whoever operates the target may hold a breaker [open](CircuitBreaker::force_open_for) or
//!   [closed](CircuitBreaker::force_closed_for) for a while, whatever calls say. It ends by itself, and
//!   costs calls nothing: it is a phase like the others.
//! - What counts as a failure is the caller's decision; an answer that says "you are wrong" (4xx)
//!   is none. See [`Outcome`](crate::Outcome).
//!
//! A call through a closed breaker takes no lock and reads no clock (two, where slow calls count),
//! and threads that share a breaker write to no common cache line while calls succeed.

mod change;
mod events;
#[cfg(test)]
#[cfg(loom_resilience)]
mod interleavings;
mod permit;
mod phase;
mod ring;
mod settings;
mod shared;
mod tally;
#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests;
mod window;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use events::{Cause, Transition};
pub use permit::Permit;
pub use settings::CircuitBreakerSettings;
pub use window::Counts;

use phase::Kind;
use shared::{Observer, Shared};

/// The three states, as the gauge `circuit_breaker_state` shows them: 0, 1, 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// All calls pass.
    Closed = 0,
    /// A few calls try.
    HalfOpen = 1,
    /// No call passes.
    Open = 2,
}

impl State {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Closed | Kind::ForcedClosed => Self::Closed,
            Kind::HalfOpen => Self::HalfOpen,
            Kind::Open | Kind::ForcedOpen => Self::Open,
        }
    }
}

/// How a breaker fares, for those who operate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The state now.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why; none as long as it has never changed.
    pub cause: Option<Cause>,
    /// While open: when calls try again. While forced: when that ends; none where
    /// [`release`](CircuitBreaker::release) alone ends it.
    pub until: Option<Instant>,
    /// Whether somebody holds it as it is, whatever calls say.
    pub is_forced: bool,
}

/// The call may not be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct Open {
    /// When it is worth asking again.
    pub retry_after: Duration,
}

/// A breaker to one target. Cheap to clone; clones share the state.
#[derive(Clone)]
pub struct CircuitBreaker {
    shared: Arc<Shared>,
}

impl CircuitBreaker {
    /// A closed breaker; the name is told with each change of state.
    pub fn new(name: &str, settings: &CircuitBreakerSettings) -> Self {
        Self::build(name, settings, None)
    }

    /// A closed breaker that tells `observer` of each change of state, before the call that caused
    /// it goes on: for a gauge. It is called for one change after the other, so it must neither
    /// block nor change this breaker's state itself.
    pub fn with_observer(
        name: &str,
        settings: &CircuitBreakerSettings,
        observer: impl Fn(&Transition) + Send + Sync + 'static,
    ) -> Self {
        Self::build(name, settings, Some(Box::new(observer)))
    }

    fn build(name: &str, settings: &CircuitBreakerSettings, observer: Option<Observer>) -> Self {
        Self { shared: Arc::new(Shared::new(name, settings, observer)) }
    }

    /// Permission for a call.
    ///
    /// # Errors
    /// [`Open`] while the target is left alone, or while enough calls are trying it.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Open> {
        let stamp = self.shared.admit()?;
        let begun = self.shared.begin();
        Ok(Permit::new(&self.shared, stamp, begun))
    }

    /// The state now. An open breaker whose time is up is still open until a call tries.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// How it fares. Ends a forced state whose time is over.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// What the window has counted in this phase; zeros when no ratio is on.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// Lets calls try an open target now: a health check, or a registry, says that it is well. In
    /// any other state it does nothing.
    pub fn half_open(&self) {
        self.shared.half_open();
    }

    /// Lets no call pass for so long, or until [`release`](Self::release); closed after that. The first
    /// call, or whoever asks for [`status`](Self::status), after that time ends it.
    pub fn force_open_for(&self, time: Duration) {
        self.shared.force(Kind::ForcedOpen, time, Cause::Forced);
    }

    /// Lets every call pass for so long, or until [`release`](Self::release); closed, with nothing counted,
    /// after that. The first call that fails, or whoever asks for [`status`](Self::status), after that
    /// time ends it.
    pub fn force_closed_for(&self, time: Duration) {
        self.shared.force(Kind::ForcedClosed, time, Cause::Forced);
    }

    /// Ends a forced state at once: closed, with nothing counted. In any other state it does nothing.
    pub fn release(&self) {
        self.shared.release();
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}
