//! The breaker's rules one by one; among them each fault of the breaker in the Ruby document.

mod model;

use std::sync::Mutex;
use tokio::time::advance;

use super::*;
use crate::Outcome;

const TIMEOUT: Duration = Duration::from_secs(60);

fn breaker(failure_threshold: u32, half_open_max_calls: u32) -> CircuitBreaker {
    let settings = CircuitBreakerSettings {
        failure_threshold,
        timeout: TIMEOUT,
        initial_timeout: TIMEOUT,
        half_open_max_calls,
        ..Default::default()
    };
    CircuitBreaker::new("target", &settings)
}

/// Closes it, with nothing counted.
fn reset(breaker: &CircuitBreaker) {
    breaker.force_closed_for(TIMEOUT);
    breaker.release();
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
        advance(Duration::from_secs(1)).await;
        assert!(breaker.try_acquire().is_err());
    }
    advance(Duration::from_secs(1)).await;
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn half_open_lets_only_so_many_calls_through_and_needs_all_to_succeed() {
    let breaker = breaker(1, 3);
    fail(&breaker, 1);
    advance(TIMEOUT).await;
    let trying: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    assert!(breaker.try_acquire().is_err());
    for (done, permit) in trying.into_iter().enumerate() {
        assert_eq!(breaker.state(), State::HalfOpen, "after {done}");
        permit.success();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_beside_the_calls_that_try_is_told_a_short_time() {
    let breaker = breaker(1, 1);
    fail(&breaker, 1);
    advance(TIMEOUT).await;
    let _trial = breaker.try_acquire().unwrap();
    let refused = breaker.try_acquire().unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(1), "not the minute of the open state");
}

#[tokio::test(start_paused = true)]
async fn one_failure_in_half_open_opens_it_for_the_whole_time_again() {
    let breaker = breaker(5, 3);
    fail(&breaker, 5);
    advance(TIMEOUT).await;
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
    advance(TIMEOUT).await;
    drop(breaker.try_acquire().unwrap());
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_begun_before_the_trip_neither_closes_nor_opens_it() {
    let breaker = breaker(1, 2);
    let early_success = breaker.try_acquire().unwrap();
    let early_failure = breaker.try_acquire().unwrap();
    fail(&breaker, 1);
    advance(TIMEOUT).await;
    let trying = breaker.try_acquire().unwrap();
    early_success.success();
    early_failure.failure();
    assert_eq!(breaker.state(), State::HalfOpen);
    trying.success();
    assert_eq!(breaker.state(), State::HalfOpen);
}

fn open_for(breaker: &CircuitBreaker) -> Duration {
    breaker.try_acquire().unwrap_err().retry_after
}

fn with_ratio() -> CircuitBreaker {
    let settings = CircuitBreakerSettings {
        failure_threshold: u32::MAX,
        failure_ratio: 0.5,
        window: Duration::from_secs(10),
        minimum_calls: 4,
        ..Default::default()
    };
    CircuitBreaker::new("target", &settings)
}

fn settle(breaker: &CircuitBreaker, outcome: Outcome, times: u32) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().settle(outcome);
    }
}

#[test]
fn settings_are_numbers_and_durations_or_an_error_before_any_call() {
    let read = |text: &str| serde_json::from_str::<CircuitBreakerSettings>(text);
    let minute = r#"{"secs": 60, "nanos": 0}"#;
    let good =
        format!(r#"{{"failure_threshold": 5, "timeout": {minute}, "half_open_max_calls": 3}}"#);
    assert_eq!(read(&good).unwrap(), CircuitBreakerSettings::default());
    assert!(read(&good.replace('5', "\"5\"")).is_err());
}

#[tokio::test(start_paused = true)]
async fn zeros_count_as_one() {
    let breaker = breaker(0, 0);
    fail(&breaker, 1);
    advance(TIMEOUT).await;
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_an_earlier_closed_phase_counts_nowhere() {
    let breaker = breaker(2, 1);
    let early = breaker.try_acquire().unwrap();
    reset(&breaker);
    fail(&breaker, 1);
    early.failure();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_is_no_outcome_while_closed() {
    let breaker = breaker(1, 1);
    drop(breaker.try_acquire().unwrap());
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_while_trying_makes_room_for_another() {
    let breaker = breaker(1, 1);
    fail(&breaker, 1);
    advance(TIMEOUT).await;
    drop(breaker.try_acquire().unwrap());
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn throttling_is_no_failure_in_a_row_but_fails_a_trial() {
    let breaker = breaker(1, 1);
    settle(&breaker, Outcome::Throttled, 100);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    advance(TIMEOUT).await;
    settle(&breaker, Outcome::Throttled, 1);
    assert_eq!(open_for(&breaker), TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn the_ratio_needs_its_minimum_of_calls_and_throttling_counts_for_it() {
    let breaker = with_ratio();
    settle(&breaker, Outcome::Failure, 1);
    settle(&breaker, Outcome::Success, 1);
    settle(&breaker, Outcome::Throttled, 1);
    settle(&breaker, Outcome::Neutral, 5);
    assert_eq!(breaker.state(), State::Closed);
    settle(&breaker, Outcome::Throttled, 1);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn the_ratio_forgets_what_is_older_than_its_window() {
    let breaker = with_ratio();
    settle(&breaker, Outcome::Success, 100);
    advance(Duration::from_secs(9)).await;
    settle(&breaker, Outcome::Failure, 50);
    assert_eq!(breaker.state(), State::Closed, "the successes are nine seconds old");
    advance(Duration::from_secs(1)).await;
    settle(&breaker, Outcome::Failure, 1);
    assert_eq!(breaker.state(), State::Open, "and now ten");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_successes_an_hour_ago_do_not_hide_an_outage() {
    let breaker = with_ratio();
    settle(&breaker, Outcome::Success, 10_000);
    advance(Duration::from_secs(3600)).await;
    settle(&breaker, Outcome::Failure, 4);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn at_most_a_sixteenth_of_a_busy_buckets_successes_is_put_too_early() {
    let breaker = with_ratio();
    for successes in [32, 33, 100, 1_000, 5_000] {
        reset(&breaker);
        settle(&breaker, Outcome::Success, successes);
        advance(Duration::from_secs(9)).await;
        settle(&breaker, Outcome::Success, successes);
        advance(Duration::from_secs(1)).await;
        // Of the second half, all but a sixteenth of the first must be in sight.
        let seen = breaker.counts().calls;
        let least = u64::from(successes - successes / 16);
        assert!((least..=u64::from(successes)).contains(&seen), "{seen} of {successes}");
    }
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_and_a_slow_trial_fails() {
    let settings = CircuitBreakerSettings {
        minimum_calls: 2,
        slow_call_duration: Duration::from_secs(2),
        slow_call_ratio: 0.5,
        half_open_max_calls: 1,
        ..Default::default()
    };
    let breaker = CircuitBreaker::new("target", &settings);
    let call = async |seconds| {
        let permit = breaker.try_acquire().unwrap();
        advance(Duration::from_secs(seconds)).await;
        permit.success();
    };
    call(1).await;
    assert_eq!(breaker.state(), State::Closed);
    call(2).await;
    assert_eq!(breaker.state(), State::Open);
    advance(settings.timeout).await;
    call(2).await;
    assert_eq!(breaker.state(), State::Open);
    advance(settings.timeout).await;
    call(1).await;
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_open_time_grows_with_jitter_up_to_its_maximum_and_starts_again() {
    let initial_timeout = Duration::from_secs(1);
    let settings = CircuitBreakerSettings {
        failure_threshold: 1,
        half_open_max_calls: 1,
        timeout: TIMEOUT,
        initial_timeout,
        ..Default::default()
    };
    let breaker = CircuitBreaker::new("target", &settings);
    fail(&breaker, 1);
    assert_eq!(open_for(&breaker), initial_timeout, "the first time is exact");
    for relapse in 1..12 {
        advance(TIMEOUT).await;
        fail(&breaker, 1);
        let ceiling = (initial_timeout * 2_u32.pow(relapse)).min(TIMEOUT);
        let time = open_for(&breaker);
        assert!((ceiling / 2..=ceiling).contains(&time), "{time:?} after {relapse} relapses");
    }
    advance(TIMEOUT).await;
    breaker.try_acquire().unwrap().success();
    fail(&breaker, 1);
    assert_eq!(open_for(&breaker), initial_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_found_well_is_tried_before_its_time() {
    let breaker = breaker(1, 1);
    breaker.half_open();
    assert_eq!(breaker.state(), State::Closed, "it was not open");
    fail(&breaker, 1);
    breaker.try_acquire().unwrap_err();
    breaker.half_open();
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open, "the call that tried it failed");
    breaker.half_open();
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
    breaker.force_open_for(Duration::MAX);
    breaker.half_open();
    breaker.try_acquire().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn forced_states_hold_until_released() {
    let breaker = breaker(1, 1);
    breaker.force_open_for(Duration::MAX);
    advance(TIMEOUT * 10).await;
    assert_eq!(breaker.state(), State::Open);
    breaker.try_acquire().unwrap_err();
    breaker.force_closed_for(Duration::MAX);
    fail(&breaker, 10);
    assert_eq!(breaker.state(), State::Closed);
    breaker.release();
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_forced_open_for_a_while_refuses_for_that_long_and_is_closed_then() {
    let breaker = breaker(3, 1);
    fail(&breaker, 2);
    breaker.force_open_for(TIMEOUT * 2);
    let forced = breaker.status();
    let told = (forced.state, forced.is_forced, forced.cause, forced.until);
    let until = forced.since + TIMEOUT * 2;
    let second = Duration::from_secs(1);
    assert_eq!(told, (State::Open, true, Some(Cause::Forced), Some(until)));
    breaker.half_open();
    // Nobody is told to come back later than a breaker that opened by itself would say.
    assert_eq!(breaker.try_acquire().unwrap_err(), Open { retry_after: TIMEOUT });
    advance(TIMEOUT + Duration::from_secs(59)).await;
    assert_eq!(breaker.try_acquire().unwrap_err(), Open { retry_after: second });
    advance(second).await;
    breaker.try_acquire().unwrap().success();
    let after = breaker.status();
    assert_eq!((after.state, after.is_forced), (State::Closed, false));
    assert_eq!((after.cause, after.until), (Some(Cause::ForceEnded), None));
    fail(&breaker, 2);
    assert_eq!(breaker.state(), State::Closed, "what failed before it was forced is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_forced_closed_for_a_while_passes_all_calls_and_opens_by_itself_then() {
    let breaker = breaker(2, 1);
    fail(&breaker, 2);
    breaker.force_closed_for(TIMEOUT);
    fail(&breaker, 100);
    assert_eq!((breaker.status().state, breaker.status().is_forced), (State::Closed, true));
    advance(TIMEOUT).await;
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed, "the call began before anybody saw it was over");
    fail(&breaker, 2);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_force_whose_time_is_over_is_ended_by_whoever_asks_how_the_breaker_fares() {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let seen = changes.clone();
    let settings = CircuitBreakerSettings::default();
    let breaker = CircuitBreaker::with_observer("target", &settings, move |change| {
        seen.lock().unwrap().push((change.to, change.cause));
    });
    assert_eq!((breaker.status().cause, breaker.status().until), (None, None));
    breaker.force_open_for(Duration::MAX);
    assert_eq!(breaker.status().until, None, "nobody said for how long");
    breaker.force_open_for(TIMEOUT);
    breaker.force_closed_for(TIMEOUT * 3);
    advance(TIMEOUT * 2).await;
    assert!(breaker.status().is_forced, "the later of the two holds");
    breaker.force_open_for(TIMEOUT);
    advance(TIMEOUT).await;
    assert_eq!((breaker.status().state, breaker.status().is_forced), (State::Closed, false));
    let last = changes.lock().unwrap().last().copied();
    assert_eq!(last, Some((State::Closed, Cause::ForceEnded)));
}

#[tokio::test(start_paused = true)]
async fn forced_closed_goes_on_counting() {
    let breaker = with_ratio();
    breaker.force_closed_for(Duration::MAX);
    settle(&breaker, Outcome::Failure, 9);
    assert_eq!(breaker.counts(), Counts { calls: 9, failures: 9, slow: 0 });
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_notified_of_each_change() {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let settings = CircuitBreakerSettings {
        failure_threshold: 1,
        timeout: TIMEOUT,
        initial_timeout: TIMEOUT,
        half_open_max_calls: 1,
        ..Default::default()
    };
    let seen = changes.clone();
    let breaker = CircuitBreaker::with_observer("user-service", &settings, move |transition| {
        let Transition { name, from, to, cause, .. } = transition.clone();
        assert_eq!(&*name, "user-service");
        seen.lock().unwrap().push((from, to as i64, cause));
    });
    fail(&breaker, 1);
    advance(TIMEOUT).await;
    breaker.try_acquire().unwrap().success();
    breaker.force_open_for(TIMEOUT);
    let expected = [
        (State::Closed, 2, Cause::FailuresInARow),
        (State::Open, 1, Cause::TimeUp),
        (State::HalfOpen, 0, Cause::TrialsSucceeded),
        (State::Closed, 2, Cause::Forced),
    ];
    assert_eq!(*changes.lock().unwrap(), expected);
}

#[test]
fn threads_that_share_it_lose_no_count() {
    let settings = CircuitBreakerSettings {
        failure_threshold: u32::MAX,
        failure_ratio: 1.0,
        window: Duration::from_secs(3600),
        ..Default::default()
    };
    let breaker = CircuitBreaker::new("target", &settings);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                settle(&breaker, Outcome::Success, 1_000);
                settle(&breaker, Outcome::Throttled, 100);
            });
        }
    });
    assert_eq!(breaker.counts(), Counts { calls: 8_800, failures: 800, slow: 0 });
}
