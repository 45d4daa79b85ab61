//! The state machine: outcomes are counted without a lock, changes of phase are made under one.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::events::{self, Cause, Transition};
use super::phase::{Kind, Stamp, Word, high, low, pack};
use super::window::{Counts, Window, nanos};
use super::{CircuitBreakerSettings, Open, State};
use crate::Outcome;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// Told of each change of state, in order, as it is made.
pub(super) type Observer = Box<dyn Fn(&Transition) + Send + Sync>;

/// What all clones and permits of a breaker share. The first line is read by every call and written
/// only when something fails.
#[repr(align(128))]
pub(super) struct Shared {
    word: AtomicU64,
    /// Failures in a row: stamp and count.
    run: AtomicU64,
    failure_threshold: u32,
    window: Option<Window>,
    /// Trial calls: stamp, those in flight, those that succeeded.
    trials: AtomicU64,
    trials_max: u32,
    /// While open: when calls try again, in nanoseconds after `created`.
    until: AtomicU64,
    created: Instant,
    timeout: Duration,
    timeout_max: Duration,
    name: Arc<str>,
    /// Held while the phase changes, over no await: how many times trials failed since it was
    /// closed.
    relapses: Mutex<u32>,
    observer: Option<Observer>,
    events: broadcast::Sender<Transition>,
}

impl Shared {
    pub(super) fn new(
        name: &str,
        settings: &CircuitBreakerSettings,
        observer: Option<Observer>,
    ) -> Self {
        let created = Instant::now();
        let window = Window::new(settings, created);
        let bucket = window.as_ref().map_or(0, |window| window.bucket_at(Stamp(0), created));
        Self {
            word: AtomicU64::new(Word::new(Stamp(0), bucket).0),
            run: AtomicU64::new(0),
            failure_threshold: settings.failure_threshold.max(1),
            window,
            trials: AtomicU64::new(0),
            trials_max: settings.half_open_max_calls.clamp(1, u32::from(u16::MAX)),
            until: AtomicU64::new(0),
            created,
            timeout: settings.timeout,
            timeout_max: settings.timeout_max.max(settings.timeout),
            name: name.into(),
            relapses: Mutex::new(0),
            observer,
            events: broadcast::Sender::new(events::BEHIND_MAX),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn events(&self) -> impl Stream<Item = Transition> + Send + Unpin + use<> {
        events::stream_of(self.events.subscribe())
    }

    pub(super) fn state(&self) -> State {
        state_of(self.word().stamp().kind())
    }

    pub(super) fn counts(&self) -> Counts {
        let stamp = self.word().stamp();
        let counts = |window: &Window| window.counts(window.bucket_at(stamp, Instant::now()));
        self.window.as_ref().map_or_else(Counts::default, counts)
    }

    fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    // Asking.

    /// The phase that admits a call.
    #[inline]
    pub(super) fn admit(&self) -> Result<Stamp, Open> {
        let stamp = self.word().stamp();
        match stamp.kind() {
            Kind::Closed | Kind::ForcedClosed | Kind::Disabled => Ok(stamp),
            Kind::HalfOpen | Kind::Open | Kind::ForcedOpen => self.try_enter(),
        }
    }

    /// When a call begins, where that has to be known.
    #[inline]
    pub(super) fn begin(&self) -> Option<Instant> {
        let timed = self.window.as_ref().is_some_and(Window::times_calls);
        timed.then(Instant::now)
    }

    #[cold]
    fn try_enter(&self) -> Result<Stamp, Open> {
        loop {
            let stamp = self.word().stamp();
            match stamp.kind() {
                Kind::Closed | Kind::ForcedClosed | Kind::Disabled => return Ok(stamp),
                Kind::ForcedOpen => return Err(Open { retry_after: self.timeout }),
                Kind::HalfOpen => {
                    if self.try_enter_trial(stamp) {
                        return Ok(stamp);
                    }
                    // The phase may have changed between the two loads.
                    if self.word().stamp() == stamp {
                        return Err(Open { retry_after: self.timeout });
                    }
                }
                Kind::Open => {
                    let left = self.left();
                    if !left.is_zero() {
                        return Err(Open { retry_after: left });
                    }
                    self.change(stamp, Kind::HalfOpen, Cause::TimeUp);
                }
            }
        }
    }

    /// Whether a call would be admitted now; asks without taking anything.
    pub(super) fn is_callable(&self) -> bool {
        let stamp = self.word().stamp();
        match stamp.kind() {
            Kind::Closed | Kind::ForcedClosed | Kind::Disabled => true,
            Kind::ForcedOpen => false,
            Kind::Open => self.left().is_zero(),
            Kind::HalfOpen => {
                let trials = self.trials.load(Ordering::Acquire);
                high(trials) == stamp.0 && taken(trials) < self.trials_max
            }
        }
    }

    /// How long it stays open yet.
    fn left(&self) -> Duration {
        let until = Duration::from_nanos(self.until.load(Ordering::Acquire));
        until.saturating_sub(Instant::now().saturating_duration_since(self.created))
    }

    fn try_enter_trial(&self, stamp: Stamp) -> bool {
        let enter = |trials| {
            let free = high(trials) == stamp.0 && taken(trials) < self.trials_max;
            free.then(|| trials + IN_FLIGHT)
        };
        self.trials.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_ok()
    }

    // Telling.

    /// Counts the end of a call that the phase `stamp` admitted, if that phase lasts.
    #[inline]
    pub(super) fn settle(&self, stamp: Stamp, begun: Option<Instant>, outcome: Outcome) {
        let word = self.word();
        if word.stamp() != stamp {
            return;
        }
        match (stamp.kind(), outcome) {
            (Kind::Closed | Kind::ForcedClosed, Outcome::Success) if begun.is_none() => {
                self.succeeded(word);
            }
            (Kind::Closed | Kind::ForcedClosed, _) => self.settle_closed(word, begun, outcome),
            (Kind::HalfOpen, _) => self.settle_trial(stamp, begun, outcome),
            (Kind::Open | Kind::ForcedOpen | Kind::Disabled, _) => {}
        }
    }

    #[inline]
    fn succeeded(&self, word: Word) {
        self.end_run(word.stamp());
        if let Some(window) = &self.window
            && !window.try_success(word.bucket())
        {
            self.succeeded_now(word.stamp(), window);
        }
    }

    #[cold]
    fn succeeded_now(&self, stamp: Stamp, window: &Window) {
        if let Some(bucket) = self.advance(stamp, window, Instant::now()) {
            window.success(bucket);
        }
    }

    #[cold]
    fn settle_closed(&self, word: Word, begun: Option<Instant>, outcome: Outcome) {
        let stamp = word.stamp();
        let in_a_row = match outcome {
            Outcome::Success => {
                self.end_run(stamp);
                false
            }
            Outcome::Failure => self.lengthen_run(stamp),
            Outcome::Throttled => false,
            Outcome::Neutral => return,
        };
        let counted = self.window.as_ref().and_then(|window| {
            let now = Instant::now();
            let bucket = self.advance(stamp, window, now)?;
            if outcome == Outcome::Success {
                window.success(bucket);
            } else {
                window.failure(bucket);
            }
            let slow = begun.is_some_and(|begun| window.is_slow(now - begun));
            if slow {
                window.slow(bucket);
            }
            let telling = slow || outcome != Outcome::Success;
            telling.then(|| window.verdict(bucket)).flatten()
        });
        let cause = if in_a_row { Some(Cause::FailuresInARow) } else { counted };
        if let Some(cause) = cause.filter(|_| stamp.kind() == Kind::Closed) {
            self.change(stamp, Kind::Open, cause);
        }
    }

    fn settle_trial(&self, stamp: Stamp, begun: Option<Instant>, outcome: Outcome) {
        let slow = |begun: Instant| {
            self.window.as_ref().is_some_and(|window| window.is_slow(begun.elapsed()))
        };
        match outcome {
            Outcome::Success if !begun.is_some_and(slow) => {
                if self.leave_trial(stamp, SUCCEEDED) == Some(self.trials_max) {
                    self.change(stamp, Kind::Closed, Cause::TrialsSucceeded);
                }
            }
            Outcome::Neutral => {
                self.leave_trial(stamp, 0);
            }
            _ => {
                self.change(stamp, Kind::Open, Cause::TrialFailed);
            }
        }
    }

    /// Ends a trial call; gives how many have succeeded, unless its phase is over.
    fn leave_trial(&self, stamp: Stamp, gain: u64) -> Option<u32> {
        let leave = |trials| (high(trials) == stamp.0).then(|| trials - IN_FLIGHT + gain);
        let before = self.trials.fetch_update(Ordering::AcqRel, Ordering::Acquire, leave).ok()?;
        Some(low(before - IN_FLIGHT + gain) & u32::from(u16::MAX))
    }

    #[inline]
    fn end_run(&self, stamp: Stamp) {
        // A load alone in the usual case, so that the line stays shared between threads.
        let mut run = self.run.load(Ordering::Relaxed);
        while high(run) == stamp.0 && low(run) != 0 {
            let none = pack(stamp.0, 0);
            match self.run.compare_exchange_weak(run, none, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => run = now,
            }
        }
    }

    /// Whether this failure makes the run long enough.
    fn lengthen_run(&self, stamp: Stamp) -> bool {
        let longer = |run| {
            let same = high(run) == stamp.0;
            same.then(|| pack(stamp.0, low(run).saturating_add(1)))
        };
        let before = self.run.fetch_update(Ordering::Relaxed, Ordering::Relaxed, longer);
        before.is_ok_and(|run| low(run).saturating_add(1) >= self.failure_threshold)
    }

    /// Moves the current bucket on to this moment; none when the phase is over.
    fn advance(&self, stamp: Stamp, window: &Window, now: Instant) -> Option<u32> {
        let bucket = window.bucket_at(stamp, now);
        let mut word = self.word();
        loop {
            if word.stamp() != stamp {
                return None;
            }
            // Another thread's clock may be ahead by a little.
            let ahead = word.bucket().wrapping_sub(bucket);
            if ahead <= u32::MAX / 2 {
                return Some(word.bucket());
            }
            let new = Word::new(stamp, bucket);
            let swapped =
                self.word.compare_exchange(word.0, new.0, Ordering::AcqRel, Ordering::Acquire);
            match swapped {
                Ok(_) => return Some(bucket),
                Err(now) => word = Word(now),
            }
        }
    }

    // Changing.

    /// Enters another phase, unless another thread has ended the phase `from` already.
    fn change(&self, from: Stamp, to: Kind, cause: Cause) {
        let mut relapses = self.lock();
        if self.word().stamp() == from {
            self.enter(&mut relapses, to, cause);
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
        self.trials.store(pack(stamp.0, 0), Ordering::Release);
        self.run.store(pack(stamp.0, 0), Ordering::Release);
        let bucket = self.window.as_ref().map_or(0, |window| window.bucket_at(stamp, now));
        self.word.store(Word::new(stamp, bucket).0, Ordering::Release);
        self.tell(state_of(from.kind()), state_of(to), now, cause);
    }

    /// The time that it stays open: the settled one at first, then random up to a ceiling that
    /// doubles.
    fn open_time(&self, relapses: u32) -> Duration {
        if relapses == 0 || self.timeout_max == self.timeout {
            return self.timeout;
        }
        let factor = 2_u32.saturating_pow(relapses);
        let ceiling = self.timeout.saturating_mul(factor).min(self.timeout_max);
        self.timeout + ceiling.saturating_sub(self.timeout).mul_f64(rand::random::<f64>())
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
        // Nobody listening is no fault.
        let _ = self.events.send(transition);
    }

    fn lock(&self) -> MutexGuard<'_, u32> {
        self.relapses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One trial call in flight, and one that succeeded, as parts of the tally.
const IN_FLIGHT: u64 = 1 << 16;
const SUCCEEDED: u64 = 1;

/// Permits of trial calls that are taken: in flight and succeeded.
fn taken(trials: u64) -> u32 {
    (low(trials) >> 16) + (low(trials) & u32::from(u16::MAX))
}

fn state_of(kind: Kind) -> State {
    match kind {
        Kind::Closed | Kind::ForcedClosed | Kind::Disabled => State::Closed,
        Kind::HalfOpen => State::HalfOpen,
        Kind::Open | Kind::ForcedOpen => State::Open,
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CircuitBreaker");
        shown.field("name", &self.name).field("state", &self.state()).finish_non_exhaustive()
    }
}
