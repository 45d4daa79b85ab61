//! Changes of phase, which are made under a lock.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::events::{Cause, Transition};
use super::phase::{Kind, Stamp, Word};
use super::shared::Shared;
use super::window::nanos;
use super::{State, Status};
use crate::sync::{MutexGuard, Ordering};

/// A forced phase that ends when somebody ends it.
pub(super) const FOR_EVER: Duration = Duration::MAX;

/// What was before the present phase.
#[derive(Debug)]
pub(super) struct History {
    /// How many times trials failed since it was closed.
    pub(super) relapses: u32,
    /// When the present phase began.
    pub(super) since: Instant,
    /// Why; none before the first change.
    pub(super) cause: Option<Cause>,
}

impl Shared {
    /// Enters another phase, unless another thread has ended the phase `from` already.
    pub(super) fn change(&self, from: Stamp, to: Kind, cause: Cause) {
        let mut history = self.lock();
        if self.word().stamp() == from {
            self.enter(&mut history, to, FOR_EVER, cause);
        }
    }

    /// Lets calls try an open target before its time.
    pub(super) fn half_open(&self) {
        let stamp = self.word().stamp();
        if stamp.kind() == Kind::Open {
            self.change(stamp, Kind::HalfOpen, Cause::Recovered);
        }
    }

    /// Enters a phase whatever the present one is; `lasts` says for how long, where it is a forced
    /// one.
    pub(super) fn force(&self, to: Kind, lasts: Duration, cause: Cause) {
        self.enter(&mut self.lock(), to, lasts, cause);
    }

    /// Ends a forced phase.
    pub(super) fn release(&self) {
        let stamp = self.word().stamp();
        if stamp.kind().is_forced() {
            self.change(stamp, Kind::Closed, Cause::ForceEnded);
        }
    }

    /// Ends a forced phase whose time is over.
    pub(super) fn end_force(&self) {
        let stamp = self.word().stamp();
        if self.is_force_over(stamp) {
            self.change(stamp, Kind::Closed, Cause::ForceEnded);
        }
    }

    pub(super) fn status(&self) -> Status {
        self.end_force();
        let history = self.lock();
        let kind = self.word().stamp().kind();
        let until = match (kind, self.until.load(Ordering::Acquire)) {
            (Kind::Closed | Kind::HalfOpen, _) | (_, u64::MAX) => None,
            (Kind::Open | Kind::ForcedOpen | Kind::ForcedClosed, until) => {
                self.created.checked_add(Duration::from_nanos(until))
            }
        };
        Status {
            state: State::of(kind),
            since: history.since,
            cause: history.cause,
            until,
            is_forced: kind.is_forced(),
        }
    }

    fn enter(&self, history: &mut History, to: Kind, lasts: Duration, cause: Cause) {
        let now = Instant::now();
        let from = self.word().stamp();
        let stamp = from.next(to);
        (history.since, history.cause) = (now, Some(cause));
        if cause == Cause::TrialFailed {
            history.relapses = history.relapses.saturating_add(1);
        }
        match to {
            Kind::Open => self.lasts(now, self.open_time(history.relapses)),
            Kind::HalfOpen => {}
            Kind::ForcedClosed | Kind::ForcedOpen => {
                history.relapses = 0;
                self.lasts(now, lasts);
            }
            Kind::Closed => history.relapses = 0,
        }
        // All of it before the word, which lets calls see it.
        self.trials.begin(stamp);
        self.run.begin(stamp);
        let bucket = self.window.as_ref().map_or(0, |window| window.bucket_at(stamp, now));
        self.word.store(Word::new(stamp, bucket).0, Ordering::Release);
        self.notify(State::of(from.kind()), State::of(to), now, cause);
    }

    /// Notes when a phase that begins now is over.
    fn lasts(&self, now: Instant, time: Duration) {
        let until = now.saturating_duration_since(self.created).saturating_add(time);
        self.until.store(nanos(until), Ordering::Release);
    }

    /// The time that it stays open: the initial one at first, then random in the upper half below a
    /// ceiling that doubles.
    fn open_time(&self, relapses: u32) -> Duration {
        if relapses == 0 || self.initial_timeout == self.timeout {
            return self.initial_timeout;
        }
        let factor = 2_u32.saturating_pow(relapses);
        let ceiling = self.initial_timeout.saturating_mul(factor).min(self.timeout);
        let least = (ceiling / 2).max(self.initial_timeout);
        least + ceiling.saturating_sub(least).mul_f64(rand::random::<f64>())
    }

    fn notify(&self, from: State, to: State, at: Instant, cause: Cause) {
        let transition = Transition { name: self.name.clone(), from, to, at, cause };
        tracing::warn!(
            breaker.name = &*self.name,
            breaker.from = ?from,
            breaker.to = ?to,
            breaker.cause = ?cause,
            "circuit breaker changed state"
        );
        if let Some(observer) = &self.observer {
            observer(&transition);
        }
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
