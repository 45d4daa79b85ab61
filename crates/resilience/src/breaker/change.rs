//! Changes of phase, which are made under a lock.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::State;
use super::events::{Cause, Transition};
use super::phase::{Kind, Stamp, Word};
use super::shared::Shared;
use super::window::nanos;
use crate::sync::{MutexGuard, Ordering};

impl Shared {
    /// Enters another phase, unless another thread has ended the phase `from` already.
    pub(super) fn change(&self, from: Stamp, to: Kind, cause: Cause) {
        let mut relapses = self.lock();
        if self.word().stamp() == from {
            self.enter(&mut relapses, to, cause);
        }
    }

    /// Lets calls try an open target before its time.
    pub(super) fn half_open(&self) {
        let stamp = self.word().stamp();
        if stamp.kind() == Kind::Open {
            self.change(stamp, Kind::HalfOpen, Cause::Recovered);
        }
    }

    /// Enters a phase whatever the present one is.
    pub(super) fn force(&self, to: Kind, cause: Cause) {
        self.enter(&mut self.lock(), to, cause);
    }

    fn enter(&self, relapses: &mut u32, to: Kind, cause: Cause) {
        let now = Instant::now();
        let from = self.word().stamp();
        let stamp = from.next(to);
        *relapses =
            if cause == Cause::TrialFailed { relapses.saturating_add(1) } else { *relapses };
        match to {
            Kind::Open => {
                let until = now.saturating_duration_since(self.created) + self.open_time(*relapses);
                self.until.store(nanos(until), Ordering::Release);
            }
            Kind::HalfOpen => {}
            Kind::Closed | Kind::ForcedClosed | Kind::ForcedOpen | Kind::Disabled => *relapses = 0,
        }
        // All of it before the word, which lets calls see it.
        self.trials.begin(stamp);
        self.run.begin(stamp);
        let bucket = self.window.as_ref().map_or(0, |window| window.bucket_at(stamp, now));
        self.word.store(Word::new(stamp, bucket).0, Ordering::Release);
        self.tell(State::of(from.kind()), State::of(to), now, cause);
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

    fn tell(&self, from: State, to: State, at: Instant, cause: Cause) {
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
        if let Some(events) = self.events.get() {
            // Nobody listening any more is no fault.
            let _ = events.send(transition);
        }
    }

    fn lock(&self) -> MutexGuard<'_, u32> {
        self.relapses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
