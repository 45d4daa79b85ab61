//! The circuit breaker: after `failure_threshold` failures in a row a target is left alone for
//! `timeout`; then `half_open_max_calls` calls try it, and close the breaker if all succeed.
//!
//! ```text
//!            failure_threshold failures in a row
//!   closed ───────────────────────────────────▶ open ◀───────────────┐
//!     ▲                                          │ timeout            │ any failure
//!     │   half_open_max_calls successes          ▼                    │
//!     └───────────────────────────────────── half-open ───────────────┘
//! ```
//!
//! - A rejection touches no timer: under steady traffic the breaker closes again all the same.
//! - A call begun before the breaker tripped cannot close it: outcomes count in the phase in which
//!   their call began.
//! - A call that is given up (its future dropped) has no outcome, and gives its permit back.
//! - What counts as a failure is the caller's decision; an answer that says "you are wrong" (4xx)
//!   is none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

/// Section `[circuit_breaker]` of `microservices.tsk`.
#[derive(Debug, Clone, Deserialize)]
pub struct CircuitBreakerSettings {
    /// Failures in a row that open it; 0 counts as 1.
    pub failure_threshold: u32,
    /// How long it stays open before calls try again.
    pub timeout: Duration,
    /// Calls that try, and must all succeed to close it; 0 counts as 1.
    pub half_open_max_calls: u32,
}

/// The three states, as the gauge `circuit_breaker_state` shows them: 0, 1, 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All calls pass.
    Closed = 0,
    /// A few calls try.
    HalfOpen = 1,
    /// No call passes.
    Open = 2,
}

/// The call may not be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct Open {
    /// When it is worth asking again.
    pub retry_after: Duration,
}

/// A breaker to one target. Cheap to clone; clones share the state.
#[derive(Debug, Clone)]
pub struct CircuitBreaker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    target: String,
    failure_threshold: u32,
    timeout: Duration,
    half_open_max_calls: u32,
    /// Held for a few instructions, never over an await.
    phase: Mutex<Phase>,
}

#[derive(Debug)]
struct Phase {
    /// Counts changes of state: an outcome counts only in the phase that admitted its call.
    number: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { in_flight: u32, succeeded: u32 },
}

/// Permission for one call. Report its outcome; dropping it reports none.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as a call that was given up"]
pub struct Permit {
    breaker: CircuitBreaker,
    phase: u64,
    settled: bool,
}

impl CircuitBreaker {
    /// A closed breaker to `target`, whose name labels the gauge.
    pub fn new(target: &str, settings: &CircuitBreakerSettings) -> Self {
        let breaker = Self(Arc::new(Shared {
            target: target.to_owned(),
            failure_threshold: settings.failure_threshold.max(1),
            timeout: settings.timeout,
            half_open_max_calls: settings.half_open_max_calls.max(1),
            phase: Mutex::new(Phase { number: 0, kind: Kind::Closed { failures: 0 } }),
        }));
        breaker.0.show(State::Closed);
        breaker
    }

    /// Permission for a call.
    ///
    /// # Errors
    /// [`Open`] while the target is left alone, or while enough calls are trying it.
    pub fn try_acquire(&self) -> Result<Permit, Open> {
        let mut phase = self.lock();
        match &mut phase.kind {
            Kind::Closed { .. } => {}
            Kind::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(Open { retry_after: left });
                }
                self.enter(&mut phase, Kind::HalfOpen { in_flight: 1, succeeded: 0 });
            }
            Kind::HalfOpen { in_flight, succeeded } => {
                if *in_flight + *succeeded >= self.0.half_open_max_calls {
                    return Err(Open { retry_after: self.0.timeout });
                }
                *in_flight += 1;
            }
        }
        Ok(Permit { breaker: self.clone(), phase: phase.number, settled: false })
    }

    /// The state now. An open breaker whose time is up is still open until a call tries.
    pub fn state(&self) -> State {
        self.lock().kind.state()
    }

    fn settle(&self, admitted_in: u64, outcome: Outcome) {
        let mut phase = self.lock();
        if phase.number != admitted_in {
            return;
        }
        match (&mut phase.kind, outcome) {
            (Kind::Closed { failures }, Outcome::Success) => *failures = 0,
            (Kind::Closed { failures }, Outcome::Failure) => {
                *failures += 1;
                if *failures >= self.0.failure_threshold {
                    self.open(&mut phase);
                }
            }
            (Kind::HalfOpen { in_flight, succeeded }, Outcome::Success) => {
                *in_flight -= 1;
                *succeeded += 1;
                if *succeeded >= self.0.half_open_max_calls {
                    self.enter(&mut phase, Kind::Closed { failures: 0 });
                }
            }
            (Kind::HalfOpen { .. }, Outcome::Failure) => self.open(&mut phase),
            (Kind::HalfOpen { in_flight, .. }, Outcome::None) => *in_flight -= 1,
            (Kind::Closed { .. }, Outcome::None) | (Kind::Open { .. }, _) => {}
        }
    }

    fn open(&self, phase: &mut Phase) {
        self.enter(phase, Kind::Open { until: Instant::now() + self.0.timeout });
    }

    fn enter(&self, phase: &mut Phase, kind: Kind) {
        let (from, to) = (phase.kind.state(), kind.state());
        phase.number += 1;
        phase.kind = kind;
        self.0.show(to);
        tracing::warn!(
            breaker.target = self.0.target,
            breaker.from = ?from,
            breaker.to = ?to,
            "circuit breaker changed state"
        );
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.0.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn show(&self, state: State) {
        telemetry::metrics::circuit_breaker_state()
            .with_label_values(&[&self.target])
            .set(state as i64);
    }
}

impl Kind {
    fn state(&self) -> State {
        match self {
            Self::Closed { .. } => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen { .. } => State::HalfOpen,
        }
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Success,
    Failure,
    None,
}

impl Permit {
    /// The call succeeded.
    pub fn success(self) {
        self.settle(Outcome::Success);
    }

    /// The call failed in a way that says the target is not well.
    pub fn failure(self) {
        self.settle(Outcome::Failure);
    }

    fn settle(mut self, outcome: Outcome) {
        self.settled = true;
        self.breaker.settle(self.phase, outcome);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker.settle(self.phase, Outcome::None);
        }
    }
}

#[cfg(test)]
mod tests;
