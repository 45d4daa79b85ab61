//! Changes of state, as observers get them.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::State;

/// One change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The breaker's name.
    pub name: Arc<str>,
    /// The state before.
    pub from: State,
    /// The state after; the same as before where one closed phase follows another.
    pub to: State,
    /// When.
    pub at: Instant,
    /// Why.
    pub cause: Cause,
}

/// Why a breaker changed its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// So many failures in a row.
    FailuresInARow,
    /// So large a part of the calls failed.
    FailureRatio,
    /// So large a part of the calls was slow.
    SlowCalls,
    /// It was open long enough: calls try.
    TimeUp,
    /// The target was found to be well again: calls try.
    /// See [`half_open`](super::CircuitBreaker::half_open).
    Recovered,
    /// A call that tried failed, or was slow or throttled.
    TrialFailed,
    /// All calls that tried succeeded.
    TrialsSucceeded,
    /// [`force_open_for`](super::CircuitBreaker::force_open_for) or
    /// [`force_closed_for`](super::CircuitBreaker::force_closed_for).
    Forced,
    /// The time for which it was forced is over, or it was
    /// [released](super::CircuitBreaker::release).
    ForceEnded,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FailuresInARow => "too many calls in a row failed",
            Self::FailureRatio => "too large a part of the calls failed",
            Self::SlowCalls => "too large a part of the calls was slow",
            Self::TimeUp => "it was open long enough, and a few calls try",
            Self::Recovered => "the target was found well, and a few calls try",
            Self::TrialFailed => "a call that tried failed",
            Self::TrialsSucceeded => "the calls that tried succeeded",
            Self::Forced => "it is forced",
            Self::ForceEnded => "it is no longer forced",
        })
    }
}
