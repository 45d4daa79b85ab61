//! The lock-free part of the breaker: whether a call may go, and what its end counts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::change::History;
use super::events::{Cause, Transition};
use super::phase::{Kind, Stamp, Word};
use super::tally::{Run, Trials};
use super::window::{Counts, Window};
use super::{CircuitBreakerSettings, Open, State};
use crate::Outcome;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Who finds no room beside the calls that try a target is told to wait so long at most.
const TRIAL_TIME: Duration = Duration::from_secs(1);

/// Told of each change of state, in order, as it is made.
pub(super) type Observer = Box<dyn Fn(&Transition) + Send + Sync>;

/// What all clones and permits of a breaker share. The first line is read by every call and written
/// only when something fails.
#[repr(C, align(128))]
pub(super) struct Shared {
    pub(super) word: AtomicU64,
    pub(super) run: Run,
    /// Whether the time that calls take counts.
    is_timed: bool,
    pub(super) window: Option<Window>,
    pub(super) trials: Trials,
    /// While open: when calls try again; while forced: when that ends. In nanoseconds after `created`.
    pub(super) until: AtomicU64,
    pub(super) created: Instant,
    pub(super) timeout: Duration,
    pub(super) initial_timeout: Duration,
    pub(super) name: Arc<str>,
    /// Held while the phase changes, over no await.
    pub(super) history: Mutex<History>,
    pub(super) observer: Option<Observer>,
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
            run: Run::new(settings.failure_threshold),
            is_timed: window.as_ref().is_some_and(Window::times_calls),
            window,
            trials: Trials::new(settings.half_open_max_calls),
            until: AtomicU64::new(0),
            created,
            timeout: settings.timeout,
            initial_timeout: settings.initial_timeout.min(settings.timeout),
            name: name.into(),
            history: Mutex::new(History { relapses: 0, since: created, cause: None }),
            observer,
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn state(&self) -> State {
        State::of(self.word().stamp().kind())
    }

    pub(super) fn counts(&self) -> Counts {
        let stamp = self.word().stamp();
        let counts = |window: &Window| window.counts(window.bucket_at(stamp, Instant::now()));
        self.window.as_ref().map_or_else(Counts::default, counts)
    }

    #[inline]
    pub(super) fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    // Asking.

    /// The phase that admits a call.
    #[inline]
    pub(super) fn admit(&self) -> Result<Stamp, Open> {
        let stamp = self.word().stamp();
        match stamp.kind() {
            Kind::Closed | Kind::ForcedClosed => Ok(stamp),
            Kind::HalfOpen | Kind::Open | Kind::ForcedOpen => self.try_enter(),
        }
    }

    /// When a call begins, where that has to be known.
    #[inline]
    pub(super) fn begin(&self) -> Option<Instant> {
        self.is_timed.then(Instant::now)
    }

    #[cold]
    fn try_enter(&self) -> Result<Stamp, Open> {
        loop {
            let stamp = self.word().stamp();
            match stamp.kind() {
                Kind::Closed | Kind::ForcedClosed => return Ok(stamp),
                Kind::ForcedOpen => {
                    let left = self.left();
                    if !left.is_zero() {
                        return Err(Open { retry_after: left.min(self.timeout) });
                    }
                    self.change(stamp, Kind::Closed, Cause::ForceEnded);
                }
                Kind::HalfOpen => {
                    if self.trials.enter(stamp) {
                        return Ok(stamp);
                    }
                    // The phase may have changed between the two loads.
                    if self.word().stamp() == stamp {
                        // Calls are trying it at this moment: soon it is known.
                        return Err(Open { retry_after: self.initial_timeout.min(TRIAL_TIME) });
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

    /// Whether the phase is a forced one whose time is over.
    pub(super) fn is_force_over(&self, stamp: Stamp) -> bool {
        matches!(stamp.kind(), Kind::ForcedOpen | Kind::ForcedClosed) && self.left().is_zero()
    }

    /// How long it stays open, or forced, yet.
    fn left(&self) -> Duration {
        let until = Duration::from_nanos(self.until.load(Ordering::Acquire));
        until.saturating_sub(Instant::now().saturating_duration_since(self.created))
    }

    // Telling.

    /// Counts the end of a call that the phase `stamp` admitted, if that phase lasts. What nearly all
    /// calls need stands here, and is inlined into them.
    #[inline]
    pub(super) fn settle(&self, stamp: Stamp, begun: Option<Instant>, outcome: Outcome) {
        let word = self.word();
        if outcome == Outcome::Success
            && begun.is_none()
            && word.stamp() == stamp
            && matches!(stamp.kind(), Kind::Closed | Kind::ForcedClosed)
        {
            self.succeeded(word);
        } else {
            self.settle_other(stamp, begun, outcome);
        }
    }

    #[inline(never)]
    fn settle_other(&self, stamp: Stamp, begun: Option<Instant>, outcome: Outcome) {
        let word = self.word();
        if word.stamp() != stamp {
            return;
        }
        match stamp.kind() {
            Kind::Closed | Kind::ForcedClosed => self.settle_closed(word, begun, outcome),
            Kind::HalfOpen => self.settle_trial(stamp, begun, outcome),
            Kind::Open | Kind::ForcedOpen => {}
        }
    }

    #[inline]
    fn succeeded(&self, word: Word) {
        self.run.end(word.stamp());
        if let Some(window) = &self.window {
            self.count_success(word, window);
        }
    }

    // Apart, so that what is inlined into every call stays small.
    #[inline(never)]
    fn count_success(&self, word: Word, window: &Window) {
        if !window.try_success(word.bucket()) {
            self.count_success_now(word.stamp(), window);
        }
    }

    #[cold]
    fn count_success_now(&self, stamp: Stamp, window: &Window) {
        if let Some(bucket) = self.advance(stamp, window, Instant::now()) {
            window.success(bucket);
        }
    }

    /// Ends a call that was given up: it tells nothing.
    #[cold]
    pub(super) fn give_up(&self, stamp: Stamp) {
        if stamp.kind() == Kind::HalfOpen {
            self.trials.give_back(stamp);
        }
    }

    #[cold]
    fn settle_closed(&self, word: Word, begun: Option<Instant>, outcome: Outcome) {
        let stamp = word.stamp();
        if outcome != Outcome::Success && self.is_force_over(stamp) {
            return self.change(stamp, Kind::Closed, Cause::ForceEnded);
        }
        let in_a_row = match outcome {
            Outcome::Success => {
                self.run.end(stamp);
                false
            }
            Outcome::Failure => self.run.lengthen(stamp),
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

    #[cold]
    fn settle_trial(&self, stamp: Stamp, begun: Option<Instant>, outcome: Outcome) {
        let slow = |begun: Instant| {
            self.window.as_ref().is_some_and(|window| window.is_slow(begun.elapsed()))
        };
        match outcome {
            Outcome::Success if !begun.is_some_and(slow) => {
                if self.trials.succeed(stamp) {
                    self.change(stamp, Kind::Closed, Cause::TrialsSucceeded);
                }
            }
            Outcome::Neutral => self.trials.give_back(stamp),
            _ => self.change(stamp, Kind::Open, Cause::TrialFailed),
        }
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
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CircuitBreaker");
        shown.field("name", &self.name).field("state", &self.state()).finish_non_exhaustive()
    }
}
