//! The limit on calls, then in front of servers that get slower with each call beyond their capacity.

use tokio::time::advance;

use super::*;

/// Calls of one kind, as many as are let in.
fn fill(limit: &Limit, criticality: Criticality) -> Vec<LimitPermit> {
    std::iter::repeat_with(|| limit.try_acquire(criticality)).map_while(|permit| permit).collect()
}

/// A second of `callers` that call again and again a server which answers up to `capacity` calls
/// within `usual`, and takes longer by as much as there are more.
async fn second(limit: &Limit, callers: usize, capacity: usize, usual: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(1) {
        let calls: Vec<_> =
            (0..callers).map_while(|_| limit.try_acquire(Criticality::Default)).collect();
        let load = u32::try_from(calls.len().max(capacity)).unwrap();
        advance(usual * load / u32::try_from(capacity).unwrap()).await;
        calls.into_iter().for_each(LimitPermit::answered);
    }
}

#[tokio::test(start_paused = true)]
async fn places_are_refused_when_taken_and_come_back_and_the_last_quarter_is_not_for_the_background()
 {
    for limit in [Limit::fixed(8), Limit::adaptive(8)] {
        let background = fill(&limit, Criticality::Background);
        let others = fill(&limit, Criticality::Default);
        assert_eq!((background.len(), others.len(), limit.in_flight()), (6, 2, 8));
        assert!(limit.try_acquire(Criticality::Critical).is_none());
        drop(others);
        assert!(limit.try_acquire(Criticality::Background).is_none());
        assert!(limit.try_acquire(Criticality::Default).is_some());
    }
    assert!(Limit::fixed(0).try_acquire(Criticality::Critical).is_none());
    assert!(Limit::adaptive(1).try_acquire(Criticality::Background).is_some());
}

#[tokio::test(start_paused = true)]
async fn it_shrinks_to_what_a_server_answers_in_the_usual_time_and_grows_again() {
    const USUAL: Duration = Duration::from_millis(10);
    let limit = Limit::adaptive(512);
    for _ in 0..30 {
        second(&limit, 40, 50, USUAL).await;
    }
    assert_eq!(limit.limit(), 512, "few calls say nothing");
    for _ in 0..60 {
        second(&limit, 400, 50, USUAL).await;
    }
    assert!((50..=150).contains(&limit.limit()), "{} where 50 are answered", limit.limit());
    for _ in 0..300 {
        second(&limit, 400, 400, USUAL).await;
    }
    assert!(limit.limit() > 390, "{} where 400 are answered", limit.limit());
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_target_take_a_tenth_each_window_down_to_a_sixteenth() {
    let limit = Limit::adaptive(160);
    let window = async || {
        let calls = fill(&limit, Criticality::Default);
        advance(WINDOW).await;
        calls.into_iter().for_each(LimitPermit::overloaded);
        limit.limit()
    };
    assert_eq!(window().await, 144);
    for _ in 0..100 {
        window().await;
    }
    assert_eq!((limit.limit(), limit.max()), (10, 160));
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_few_calls_bring_the_whole_limit_back() {
    let limit = Limit::adaptive(160);
    for _ in 0..40 {
        let calls = fill(&limit, Criticality::Default);
        advance(WINDOW).await;
        calls.into_iter().for_each(LimitPermit::overloaded);
    }
    assert_eq!(limit.limit(), 10);
    for _ in 0..400 {
        for _ in 0..ENDS_MIN {
            let call = limit.try_acquire(Criticality::Default).unwrap();
            advance(WINDOW / ENDS_MIN).await;
            call.answered();
        }
    }
    assert_eq!(limit.limit(), 160);
}

#[tokio::test(start_paused = true)]
async fn one_refusal_among_many_answers_takes_nothing() {
    let limit = Limit::adaptive(160);
    for _ in 0..20 {
        let mut calls = fill(&limit, Criticality::Default);
        advance(WINDOW).await;
        calls.pop().unwrap().overloaded();
        calls.into_iter().for_each(LimitPermit::answered);
    }
    assert_eq!(limit.limit(), 160);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_tells_nothing_and_a_fixed_limit_stays() {
    let limit = Limit::adaptive(100);
    let fixed = Limit::fixed(100);
    for _ in 0..100 {
        let calls = [fill(&limit, Criticality::Default), fill(&fixed, Criticality::Default)];
        advance(WINDOW).await;
        let [given_up, refused] = calls;
        drop(given_up);
        refused.into_iter().for_each(LimitPermit::overloaded);
    }
    assert_eq!((limit.limit(), fixed.limit()), (100, 100));
    assert_eq!((limit.in_flight(), fixed.in_flight()), (0, 0));
}

#[test]
fn threads_never_exceed_it_and_leave_it_empty() {
    let limit = Limit::adaptive(3);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    if let Some(permit) = limit.try_acquire(Criticality::Default) {
                        assert!(limit.in_flight() <= 3);
                        permit.answered();
                    }
                }
            });
        }
    });
    assert_eq!(limit.in_flight(), 0);
}
