//! The breaker against a plain model, over random interleavings of calls, ends, times and hands.

#![allow(clippy::cast_precision_loss, reason = "small counts")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use super::reset;
use crate::Outcome;

const SLOW: u64 = 300;
const WINDOW: u64 = 1_000;
const TIMEOUT: u64 = 2_000;

/// What may happen to a breaker. Numbers pick a call in flight; times are milliseconds.
#[derive(Debug, Clone, Copy)]
enum Step {
    Begin,
    End(usize, Outcome),
    Wait(u64),
    Force(Mode),
    /// For so long.
    ForceFor(Mode, u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Closed,
    HalfOpen,
    Open,
    ForcedClosed,
    ForcedOpen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Success),
        3 => Just(Outcome::Failure),
        1 => Just(Outcome::Throttled),
        1 => Just(Outcome::Neutral),
    ];
    let mode = prop_oneof![
        3 => Just(Mode::Closed),
        1 => Just(Mode::ForcedClosed),
        1 => Just(Mode::ForcedOpen),
    ];
    let forced = prop_oneof![Just(Mode::ForcedClosed), Just(Mode::ForcedOpen)];
    let step = prop_oneof![
        20 => Just(Step::Begin),
        30 => (0_usize..8, outcome).prop_map(|(pick, outcome)| Step::End(pick, outcome)),
        6 => (1_u64..250).prop_map(Step::Wait),
        2 => (1_u64..3_000).prop_map(Step::Wait),
        1 => mode.prop_map(Step::Force),
        1 => (forced, 0_u64..3_000).prop_map(|(mode, millis)| Step::ForceFor(mode, millis)),
    ];
    prop::collection::vec(step, 0..250)
}

fn settings() -> impl Strategy<Value = CircuitBreakerSettings> {
    let ratio = || prop_oneof![Just(0.0), 0.2_f64..1.0];
    (1_u32..8, 1_u32..4, 1_u32..8, ratio(), ratio()).prop_map(
        |(
            failure_threshold,
            half_open_max_calls,
            minimum_calls,
            failure_ratio,
            slow_call_ratio,
        )| {
            CircuitBreakerSettings {
                failure_threshold,
                timeout: Duration::from_millis(TIMEOUT),
                initial_timeout: Duration::from_millis(TIMEOUT),
                half_open_max_calls,
                failure_ratio,
                window: Duration::from_millis(WINDOW),
                minimum_calls,
                slow_call_duration: Duration::from_millis(SLOW),
                slow_call_ratio,
            }
        },
    )
}

/// The rules again, told from the history of the present phase instead of by counters.
struct Model {
    settings: CircuitBreakerSettings,
    now: u64,
    mode: Mode,
    since: u64,
    /// When a forced mode is over, if somebody has said for how long.
    until: Option<u64>,
    /// Calls in flight that this phase admitted: when each began.
    admitted: BTreeMap<usize, u64>,
    /// What ended in this phase: when, how, and whether it was slow.
    ended: Vec<(u64, Outcome, bool)>,
}

impl Model {
    fn enter(&mut self, mode: Mode) {
        (self.mode, self.since, self.until) = (mode, self.now, None);
        self.admitted.clear();
        self.ended.clear();
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= self.now)
    }

    fn state(&self) -> State {
        match self.mode {
            Mode::Closed | Mode::ForcedClosed => State::Closed,
            Mode::HalfOpen => State::HalfOpen,
            Mode::Open | Mode::ForcedOpen => State::Open,
        }
    }

    fn admits(&self) -> bool {
        let trying = self.admitted.len() + self.ended.len();
        match self.mode {
            Mode::Closed | Mode::ForcedClosed => true,
            Mode::ForcedOpen => self.is_over(),
            Mode::Open => self.now - self.since >= TIMEOUT,
            Mode::HalfOpen => trying < self.settings.half_open_max_calls as usize,
        }
    }

    fn begin(&mut self, call: usize) -> bool {
        let admits = self.admits();
        if admits {
            match self.mode {
                Mode::Open => self.enter(Mode::HalfOpen),
                Mode::ForcedOpen => self.enter(Mode::Closed),
                _ => {}
            }
            self.admitted.insert(call, self.now);
        }
        admits
    }

    fn end(&mut self, call: usize, outcome: Outcome) {
        let Some(begun) = self.admitted.remove(&call) else { return };
        if outcome == Outcome::Neutral {
            return;
        }
        if self.mode == Mode::ForcedClosed && outcome != Outcome::Success && self.is_over() {
            return self.enter(Mode::Closed);
        }
        let slow = self.settings.slow_call_ratio > 0.0 && self.now - begun >= SLOW;
        self.ended.push((self.now, outcome, slow));
        let well = outcome == Outcome::Success && !slow;
        match self.mode {
            Mode::Closed if self.opens(outcome, slow) => self.enter(Mode::Open),
            Mode::HalfOpen if !well => self.enter(Mode::Open),
            Mode::HalfOpen if self.ended.len() >= self.settings.half_open_max_calls as usize => {
                self.enter(Mode::Closed);
            }
            _ => {}
        }
    }

    /// Whether a call that has just ended opens it.
    fn opens(&self, outcome: Outcome, slow: bool) -> bool {
        let rule = &self.settings;
        let told = self.ended.iter().rev().map(|(_, outcome, _)| *outcome);
        let told = told.filter(|outcome| *outcome != Outcome::Throttled);
        let in_a_row = told.take_while(|outcome| *outcome == Outcome::Failure).count();
        if outcome == Outcome::Failure && in_a_row >= rule.failure_threshold as usize {
            return true;
        }
        let bucket = |at: u64| at / (WINDOW / 10);
        let recent: Vec<_> =
            self.ended.iter().filter(|(at, ..)| bucket(*at) + 10 > bucket(self.now)).collect();
        let failed = recent.iter().filter(|(_, outcome, _)| *outcome != Outcome::Success).count();
        let slow_ones = recent.iter().filter(|(.., slow)| *slow).count();
        let reaches = |part: usize, ratio: f64| {
            ratio > 0.0 && part > 0 && part as f64 >= ratio * recent.len() as f64
        };
        (slow || outcome != Outcome::Success)
            && recent.len() >= rule.minimum_calls as usize
            && (reaches(failed, rule.failure_ratio) || reaches(slow_ones, rule.slow_call_ratio))
    }
}

fn force(breaker: &CircuitBreaker, mode: Mode) {
    match mode {
        Mode::ForcedClosed => breaker.force_closed_for(Duration::MAX),
        Mode::ForcedOpen => breaker.force_open_for(Duration::MAX),
        _ => reset(breaker),
    }
}

async fn run(settings: CircuitBreakerSettings, steps: Vec<Step>) {
    let breaker = CircuitBreaker::new("target", &settings);
    let mut model = Model {
        settings,
        now: 0,
        mode: Mode::Closed,
        since: 0,
        until: None,
        admitted: BTreeMap::new(),
        ended: Vec::new(),
    };
    let mut calls: Vec<(usize, Permit<'_>)> = Vec::new();
    for (id, step) in steps.into_iter().enumerate() {
        match step {
            Step::Begin => {
                let permit = breaker.try_acquire();
                assert_eq!(permit.is_ok(), model.begin(id), "step {id}");
                calls.extend(permit.map(|permit| (id, permit)));
            }
            Step::End(pick, outcome) if !calls.is_empty() => {
                let (call, permit) = calls.remove(pick % calls.len());
                match outcome {
                    Outcome::Neutral => drop(permit),
                    outcome => permit.settle(outcome),
                }
                model.end(call, outcome);
            }
            Step::End(..) => {}
            Step::Wait(millis) => {
                tokio::time::advance(Duration::from_millis(millis)).await;
                model.now += millis;
            }
            Step::Force(mode) => {
                force(&breaker, mode);
                model.enter(mode);
            }
            Step::ForceFor(mode, millis) => {
                let time = Duration::from_millis(millis);
                match mode {
                    Mode::ForcedClosed => breaker.force_closed_for(time),
                    _ => breaker.force_open_for(time),
                }
                model.enter(mode);
                model.until = Some(model.now + millis);
            }
        }
        assert_eq!(breaker.state(), model.state(), "step {id}: {step:?}");
    }
}

proptest! {
    #[test]
    fn it_behaves_as_the_model_over_any_interleaving(settings in settings(), steps in steps()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(settings, steps));
    }
}
