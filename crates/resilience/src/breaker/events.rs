//! Changes of state, as they are told to observers and streams.

use std::sync::Arc;

use futures_util::{Stream, stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::State;

/// Changes that a slow reader of the stream may be behind by; it misses what is older.
pub(super) const BEHIND_MAX: usize = 64;

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
    /// [`force_open`](super::CircuitBreaker::force_open) or
    /// [`force_closed`](super::CircuitBreaker::force_closed).
    Forced,
    /// [`disable`](super::CircuitBreaker::disable).
    Disabled,
    /// [`reset`](super::CircuitBreaker::reset).
    Reset,
}

/// The stream over a receiver; what a slow reader missed is left out.
pub(super) fn stream_of(
    receiver: Receiver<Transition>,
) -> impl Stream<Item = Transition> + Send + Unpin + 'static {
    Box::pin(stream::unfold(receiver, |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok(transition) => return Some((transition, receiver)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }))
}
