//! The breaker's rules one by one, then against a plain model over random interleavings.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(60);

fn breaker(failure_threshold: u32, half_open_max_calls: u32) -> CircuitBreaker {
    let settings = CircuitBreakerSettings {
        failure_threshold,
        timeout: TIMEOUT,
        half_open_max_calls,
        ..Default::default()
    };
    CircuitBreaker::new("target", &settings)
}

fn fail(breaker: &CircuitBreaker, times: u32) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().failure();
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_and_a_success_starts_the_count_again() {
    let breaker = breaker(3, 1);
    fail(&breaker, 2);
    breaker.try_acquire().unwrap().success();
    fail(&breaker, 2);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.try_acquire().unwrap_err(), Open { retry_after: TIMEOUT });
}

#[tokio::test(start_paused = true)]
async fn a_rejection_does_not_restart_the_timer() {
    let breaker = breaker(1, 1);
    fail(&breaker, 1);
    for _ in 0..59 {
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(breaker.try_acquire().is_err());
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn half_open_lets_only_so_many_calls_through_and_needs_all_to_succeed() {
    let breaker = breaker(1, 3);
    fail(&breaker, 1);
    tokio::time::advance(TIMEOUT).await;
    let trying: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    assert!(breaker.try_acquire().is_err());
    for (done, permit) in trying.into_iter().enumerate() {
        assert_eq!(breaker.state(), State::HalfOpen, "after {done}");
        permit.success();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn one_failure_in_half_open_opens_it_for_the_whole_time_again() {
    let breaker = breaker(5, 3);
    fail(&breaker, 5);
    tokio::time::advance(TIMEOUT).await;
    let slow = breaker.try_acquire().unwrap();
    breaker.try_acquire().unwrap().failure();
    assert_eq!(breaker.try_acquire().unwrap_err(), Open { retry_after: TIMEOUT });
    slow.success();
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_gives_its_permit_back() {
    let breaker = breaker(1, 1);
    fail(&breaker, 1);
    tokio::time::advance(TIMEOUT).await;
    drop(breaker.try_acquire().unwrap());
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_begun_before_the_trip_neither_closes_nor_opens_it() {
    let breaker = breaker(1, 2);
    let (early_success, early_failure) =
        (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
    fail(&breaker, 1);
    tokio::time::advance(TIMEOUT).await;
    let trying = breaker.try_acquire().unwrap();
    early_success.success();
    early_failure.failure();
    assert_eq!(breaker.state(), State::HalfOpen);
    trying.success();
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// What may happen to a breaker. Numbers pick a call in flight.
#[derive(Debug, Clone, Copy)]
enum Step {
    Begin,
    Succeed(usize),
    Fail(usize),
    GiveUp(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Begin),
        2 => (0_usize..8).prop_map(Step::Succeed),
        3 => (0_usize..8).prop_map(Step::Fail),
        1 => (0_usize..8).prop_map(Step::GiveUp),
        1 => (1_u64..90).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

/// The rules again, told from the history of the current phase instead of by counters.
struct Model {
    threshold: usize,
    max_calls: usize,
    now: u64,
    state: State,
    opened_at: u64,
    /// Calls in flight that this phase admitted, by id.
    admitted: BTreeSet<usize>,
    /// Outcomes of this phase, in order.
    outcomes: Vec<bool>,
}

impl Model {
    fn enter(&mut self, state: State) {
        self.state = state;
        self.opened_at = self.now;
        self.admitted.clear();
        self.outcomes.clear();
    }

    fn begin(&mut self, call: usize) -> bool {
        if self.state == State::Open && self.now - self.opened_at >= TIMEOUT.as_secs() {
            self.enter(State::HalfOpen);
        }
        let admits = match self.state {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => self.admitted.len() + self.outcomes.len() < self.max_calls,
        };
        if admits {
            self.admitted.insert(call);
        }
        admits
    }

    fn end(&mut self, call: usize, outcome: Option<bool>) {
        if !self.admitted.remove(&call) {
            return;
        }
        self.outcomes.extend(outcome);
        let failed_in_a_row = self.outcomes.iter().rev().take_while(|success| !**success).count();
        match self.state {
            State::Closed if failed_in_a_row >= self.threshold => self.enter(State::Open),
            State::HalfOpen if failed_in_a_row > 0 => self.enter(State::Open),
            State::HalfOpen if self.outcomes.len() >= self.max_calls => self.enter(State::Closed),
            _ => {}
        }
    }
}

fn run(threshold: u32, max_calls: u32, steps: Vec<Step>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let breaker = breaker(threshold, max_calls);
        let mut model = Model {
            threshold: threshold as usize,
            max_calls: max_calls as usize,
            now: 0,
            state: State::Closed,
            opened_at: 0,
            admitted: BTreeSet::new(),
            outcomes: Vec::new(),
        };
        let mut calls: Vec<(usize, Permit)> = Vec::new();
        for (id, step) in steps.into_iter().enumerate() {
            let mut end = |pick: usize| {
                let index = pick.checked_rem(calls.len())?;
                Some(calls.remove(index))
            };
            match step {
                Step::Begin => {
                    let permit = breaker.try_acquire();
                    assert_eq!(permit.is_ok(), model.begin(id), "step {id}");
                    calls.extend(permit.map(|permit| (id, permit)));
                }
                Step::Succeed(pick) => {
                    if let Some((call, permit)) = end(pick) {
                        permit.success();
                        model.end(call, Some(true));
                    }
                }
                Step::Fail(pick) => {
                    if let Some((call, permit)) = end(pick) {
                        permit.failure();
                        model.end(call, Some(false));
                    }
                }
                Step::GiveUp(pick) => {
                    if let Some((call, permit)) = end(pick) {
                        drop(permit);
                        model.end(call, None);
                    }
                }
                Step::Wait(seconds) => {
                    tokio::time::advance(Duration::from_secs(seconds)).await;
                    model.now += seconds;
                }
            }
            assert_eq!(breaker.state(), model.state, "step {id}: {step:?}");
        }
    });
}

proptest! {
    #[test]
    fn it_behaves_as_the_model_over_any_interleaving(
        threshold in 1_u32..5, max_calls in 1_u32..4, steps in steps(),
    ) {
        run(threshold, max_calls, steps);
    }
}
