//! What a connection does, as far as its limits depend on it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use tokio::time::Instant;

use super::Limits;

/// Where in the exchange of requests and answers a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing of a request has come since the connection was opened, or since its last answer.
    Idle,
    /// A head has begun.
    Head,
    /// A head is complete; its answer is owed.
    Request,
}

/// Why a connection is closed before its peer closes it; the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Idle for too long.
    Idle,
    /// Its head took too long.
    Head,
    /// Its peer took nothing of an answer for too long.
    Write,
    /// It made room for another one.
    Room,
}

impl Cut {
    pub(super) const ALL: [Self; 4] = [Self::Idle, Self::Head, Self::Write, Self::Room];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Head => "head",
            Self::Write => "write",
            Self::Room => "room",
        }
    }
}

/// The state of one connection: told by its stream and its bodies, read by its task and by whoever
/// looks for room.
#[derive(Debug)]
pub(super) struct State(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// Since when a body that the handler asks for does not come.
    body: Option<Instant>,
    /// Since when the peer takes nothing of what is written.
    write: Option<Instant>,
    /// Whether something of a request is left unread for good.
    unread: bool,
}

impl State {
    /// Of a connection that has just been opened.
    pub(super) fn new() -> Self {
        let phase = Phase::Idle;
        let since = Instant::now();
        Self(Mutex::new(Inner { phase, since, body: None, write: None, unread: false }))
    }

    fn get(&self) -> MutexGuard<'_, Inner> {
        // Every change is one assignment after the other: none is left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        let mut state = self.get();
        if state.phase == Phase::Idle {
            state.enter(Phase::Head);
        }
    }

    /// A head is complete.
    pub(super) fn requested(&self) {
        self.get().enter(Phase::Request);
    }

    /// All of an answer is handed over for writing.
    pub(super) fn answered(&self) {
        self.get().enter(Phase::Idle);
    }

    /// A body is asked for and has not come.
    pub(super) fn awaits_body(&self) {
        self.get().body.get_or_insert_with(Instant::now);
    }

    /// A body has ended; or nobody asks for the rest of it.
    pub(super) fn body_ended(&self, unread: bool) {
        let mut state = self.get();
        state.body = None;
        state.unread |= unread;
    }

    /// The peer has taken something.
    pub(super) fn wrote(&self) {
        let mut state = self.get();
        state.write = None;
        if state.phase == Phase::Idle {
            state.since = Instant::now();
        }
    }

    /// The peer takes nothing at the moment.
    pub(super) fn cannot_write(&self) {
        self.get().write.get_or_insert_with(Instant::now);
    }

    /// Whatever comes now is not read: what came is no request.
    pub(super) fn refused(&self) {
        self.get().unread = true;
    }

    /// Whether a head has begun and is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        self.get().phase == Phase::Head
    }

    /// Whether it has no request, and owes nothing.
    pub(super) fn is_without_request(&self) -> bool {
        let state = self.get();
        state.phase != Phase::Request && state.write.is_none()
    }

    /// The status of a last answer to a peer whose connection is cut, when there may be one: it has
    /// begun a request, and nothing of an answer is on its way.
    pub(super) fn last_answer(&self, cut: Cut) -> Option<StatusCode> {
        let state = self.get();
        match (cut, state.phase) {
            (Cut::Head, _) => Some(StatusCode::REQUEST_TIMEOUT),
            (Cut::Room, Phase::Head) => Some(StatusCode::SERVICE_UNAVAILABLE),
            (Cut::Room, Phase::Request) if state.body.is_some() && state.write.is_none() => {
                Some(StatusCode::SERVICE_UNAVAILABLE)
            }
            (Cut::Room | Cut::Idle | Cut::Write, _) => None,
        }
    }

    /// Whether the peer may still be sending what nobody reads.
    pub(super) fn is_unread(&self) -> bool {
        self.get().unread
    }

    /// Since when it waits for its peer. `None` while a handler is at work.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let state = self.get();
        match state.phase {
            Phase::Idle | Phase::Head => Some(state.write.unwrap_or(state.since)),
            Phase::Request => state.write.or(state.body),
        }
    }

    /// When it is to be cut, and why, if nothing changes.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<(Instant, Cut)> {
        let state = self.get();
        match (state.write, state.phase) {
            (Some(since), _) => Some((since + limits.write, Cut::Write)),
            (None, Phase::Idle) => Some((state.since + limits.idle, Cut::Idle)),
            (None, Phase::Head) => Some((state.since + limits.head, Cut::Head)),
            (None, Phase::Request) => None,
        }
    }
}

impl Inner {
    fn enter(&mut self, phase: Phase) {
        (self.phase, self.since) = (phase, Instant::now());
    }
}
