//! The breaker's lock-free parts with two threads, as loom interleaves them.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use loom::thread;

use super::*;
use crate::Outcome;
use crate::sync::number_thread;

const HOUR: Duration = Duration::from_secs(3600);

fn settings(
    failure_threshold: u32,
    timeout: Duration,
    half_open_max_calls: u32,
) -> CircuitBreakerSettings {
    CircuitBreakerSettings {
        failure_threshold,
        timeout,
        initial_timeout: timeout,
        half_open_max_calls,
        ..Default::default()
    }
}

/// A breaker that outlives the threads, which loom wants of what they borrow.
fn leak(breaker: CircuitBreaker) -> &'static CircuitBreaker {
    Box::leak(Box::new(breaker))
}

fn breaker(settings: &CircuitBreakerSettings) -> &'static CircuitBreaker {
    leak(CircuitBreaker::new("target", settings))
}

/// Runs both at the same time, in every order.
fn together<A: Send + 'static>(
    one: impl FnOnce() -> A + Send + 'static,
    two: impl FnOnce() -> A,
) -> (A, A) {
    let one = thread::spawn(move || {
        number_thread(1);
        one()
    });
    let two = two();
    (one.join().unwrap(), two)
}

#[test]
fn half_open_never_lets_two_through_for_one_permit() {
    loom::model(|| {
        let breaker = breaker(&settings(1, Duration::ZERO, 1));
        breaker.try_acquire().unwrap().failure();
        let (one, two) = together(|| breaker.try_acquire(), || breaker.try_acquire());
        assert!(one.is_ok() != two.is_ok());
    });
}

#[test]
fn a_permit_given_back_is_there_for_another() {
    loom::model(|| {
        let breaker = breaker(&settings(1, Duration::ZERO, 2));
        breaker.try_acquire().unwrap().failure();
        let permits = [breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap()];
        let [first, second] = permits;
        together(move || drop(first), || drop(second));
        let _permits = [breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap()];
        assert!(breaker.try_acquire().is_err());
    });
}

#[test]
fn the_last_of_two_trials_closes_it() {
    loom::model(|| {
        let breaker = breaker(&settings(1, Duration::ZERO, 2));
        breaker.try_acquire().unwrap().failure();
        let first = breaker.try_acquire().unwrap();
        let second = breaker.try_acquire().unwrap();
        together(move || first.success(), || second.success());
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn no_failure_in_a_row_is_lost_and_it_opens_once() {
    loom::model(|| {
        let changes = Arc::new(AtomicUsize::new(0));
        let counter = changes.clone();
        let breaker =
            leak(CircuitBreaker::with_observer("target", &settings(2, HOUR, 1), move |_| {
                counter.fetch_add(1, SeqCst);
            }));
        let first = breaker.try_acquire().unwrap();
        let second = breaker.try_acquire().unwrap();
        together(move || first.failure(), || second.failure());
        assert_eq!((breaker.state(), changes.load(SeqCst)), (State::Open, 1));
    });
}

#[test]
fn who_sees_it_open_sees_until_when() {
    loom::model(|| {
        let breaker = breaker(&settings(1, HOUR, 1));
        let permit = breaker.try_acquire().unwrap();
        // The reader is the thread that loom starts: it looks for earlier stores at each load, but
        // not for earlier loads at a store that the writer's own loads precede.
        let reads = move || {
            let Status { state, until, .. } = breaker.status();
            let is_ahead = until.is_some_and(|until| until > Instant::now());
            assert!(state != State::Open || is_ahead);
        };
        together(reads, move || permit.failure());
    });
}

#[test]
fn a_success_begun_before_the_trip_counts_nowhere() {
    loom::model(|| {
        let breaker = breaker(&settings(1, Duration::ZERO, 1));
        let early = breaker.try_acquire().unwrap();
        let failing = breaker.try_acquire().unwrap();
        let early = move || {
            early.success();
            None
        };
        let (_, trial) = together(early, move || {
            failing.failure();
            breaker.try_acquire().ok()
        });
        assert_eq!(breaker.state(), State::HalfOpen);
        drop(trial);
        assert!(breaker.try_acquire().is_ok());
    });
}

#[test]
fn a_force_whose_time_is_over_ends_once_and_refuses_nobody() {
    loom::model(|| {
        let changes = Arc::new(AtomicUsize::new(0));
        let counter = changes.clone();
        let breaker =
            leak(CircuitBreaker::with_observer("target", &settings(1, HOUR, 1), move |_| {
                counter.fetch_add(1, SeqCst);
            }));
        breaker.force_open_for(Duration::ZERO);
        let asks = || breaker.try_acquire().is_ok();
        let (one, two) = together(asks, || breaker.status().state == State::Closed);
        assert!(one && two);
        assert_eq!(changes.load(SeqCst), 2, "it was forced, and that ended");
    });
}

#[test]
fn a_failure_at_the_end_of_a_force_takes_no_other_force_back() {
    loom::model(|| {
        let breaker = breaker(&settings(1, HOUR, 1));
        breaker.force_closed_for(Duration::ZERO);
        let permit = breaker.try_acquire().unwrap();
        together(move || permit.failure(), move || breaker.force_open_for(HOUR));
        assert_eq!((breaker.state(), breaker.status().is_forced), (State::Open, true));
    });
}

#[test]
fn the_windows_counts_are_whole_and_of_one_phase() {
    loom::model(|| {
        let settings = CircuitBreakerSettings {
            failure_ratio: 0.5,
            window: HOUR,
            minimum_calls: 100,
            ..settings(u32::MAX, HOUR, 1)
        };
        let breaker = breaker(&settings);
        let first = breaker.try_acquire().unwrap();
        let second = breaker.try_acquire().unwrap();
        together(move || first.success(), || second.settle(Outcome::Throttled));
        assert_eq!(breaker.counts(), Counts { calls: 2, failures: 1, slow: 0 });

        let early = breaker.try_acquire().unwrap();
        together(
            move || early.success(),
            move || {
                breaker.force_closed_for(HOUR);
                breaker.release();
            },
        );
        assert_eq!(breaker.counts(), Counts::default());
    });
}

#[test]
fn successes_of_two_threads_are_counted_once_and_seen_by_both() {
    loom::model(|| {
        let settings = CircuitBreakerSettings {
            failure_ratio: 0.5,
            window: HOUR,
            ..settings(u32::MAX, HOUR, 1)
        };
        let breaker = breaker(&settings);
        let succeeds = || {
            breaker.try_acquire().unwrap().success();
            breaker.counts().calls
        };
        let (one, other) = together(succeeds, succeeds);
        assert!((1..=2).contains(&one) && (1..=2).contains(&other));
        assert_eq!(breaker.counts().calls, 2);
    });
}
