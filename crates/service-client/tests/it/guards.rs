//! Breaker, retries, budget, deadline: what is called again, and what no more.

use std::time::Duration;

use discovery::{Algorithm, LoadBalancingSettings, Registry};
use service_client::{Call, ClientSettings, Kind, ServiceClient};

use crate::{Answer, Server, client, counted, get, nobody, settings};

#[tokio::test]
async fn a_get_that_fails_is_repeated_on_the_next_instance() {
    let (bad, first) = Server::start([Answer::Status(500)]).await;
    let (good, second) = Server::start([]).await;
    let client = client(&settings(), &[&first, &second]);
    // Whichever of the two is first: one of the calls meets the fault.
    for _ in 0..2 {
        assert_eq!(get(&client).await.unwrap()["ok"], true);
    }
    assert!(good.calls() >= 1, "the repeated one went elsewhere");
    assert_eq!(bad.calls() + good.calls(), 3);
}

#[tokio::test]
async fn a_post_is_repeated_only_with_an_idempotency_key() {
    let (server, instance) = Server::start([Answer::Status(500), Answer::Status(500)]).await;
    let client = client(&settings(), &[&instance]);
    let plain = client.post::<_, serde_json::Value>("/x", &1, Call::new("make")).await;
    assert!(matches!(plain.unwrap_err().kind, Kind::Server { status: 500, .. }));
    assert_eq!(server.calls(), 1);
    let keyed = Call::new("make").idempotency_key("order-7");
    client.post::<_, serde_json::Value>("/x", &1, keyed).await.unwrap();
    assert_eq!(server.calls(), 3);
    let seen = server.seen.lock().unwrap();
    assert_eq!(
        (&seen[1]["idempotency-key"], &seen[2]["idempotency-key"]),
        (&"order-7".parse().unwrap(), &"order-7".parse().unwrap(),)
    );
}

#[tokio::test]
async fn failures_in_a_row_open_the_breaker_and_it_closes_again_by_itself() {
    let (server, instance) = Server::start(vec![Answer::Status(500); 5]).await;
    let mut once = settings();
    once.retry.max_attempts = 1;
    let client = client(&once, &[&instance]);
    for _ in 0..5 {
        assert!(matches!(get(&client).await.unwrap_err().kind, Kind::Server { .. }));
    }
    let rejected = get(&client).await.unwrap_err();
    assert!(matches!(rejected.kind, Kind::Open { .. }), "{rejected}");
    assert_eq!((rejected.attempts, server.calls()), (0, 5));
    assert_eq!(counted("circuit_breaker_state", ""), 2);
    let closed = async {
        while get(&client).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap();
    assert_eq!(counted("circuit_breaker_state", ""), 0);
    for (name, label, count) in [
        ("circuit_breaker_transitions_total", "to=\"open\"", 1),
        ("circuit_breaker_transitions_total", "to=\"half_open\"", 1),
        ("circuit_breaker_transitions_total", "to=\"closed\"", 1),
    ] {
        assert_eq!(counted(name, label), count, "{name} {label}");
    }
}

#[tokio::test]
async fn a_4xx_never_opens_the_breaker_and_is_not_repeated() {
    let (server, instance) = Server::start(vec![Answer::Problem; 20]).await;
    let client = client(&settings(), &[&instance]);
    for _ in 0..20 {
        let Kind::Client { status: 422, problem: Some(problem) } =
            get(&client).await.unwrap_err().kind
        else {
            panic!("another kind")
        };
        assert_eq!(
            (problem.kind.as_str(), problem.detail.as_deref()),
            ("/problems/payer", Some("deleted"),)
        );
    }
    assert_eq!(server.calls(), 20);
    get(&client).await.unwrap();
}

#[tokio::test]
async fn being_told_to_slow_down_no_instance_and_a_hurried_caller_do_not_open_the_breaker() {
    let mut once = settings();
    once.retry.max_attempts = 1;
    let (_, busy) = Server::start(vec![Answer::Status(429); 20]).await;
    let (_, slow) = Server::start(vec![Answer::Hang; 20]).await;
    let told = client(&once, &[&busy]);
    let nobody = client(&once, &[]);
    let hurried = client(&once, &[&slow]);
    for _ in 0..20 {
        assert!(matches!(get(&told).await.unwrap_err().kind, Kind::Server { status: 429, .. }));
        assert!(matches!(get(&nobody).await.unwrap_err().kind, Kind::NoInstance));
        let call = Call::new("get_user").within(Duration::from_millis(5));
        let error = hurried.get::<serde_json::Value>("/", call).await.unwrap_err();
        assert!(matches!(error.kind, Kind::DeadlineExceeded), "{error}");
    }
}

#[tokio::test]
async fn retry_after_that_reaches_past_the_deadline_ends_the_call_at_once() {
    let (server, instance) = Server::start([Answer::Busy { retry_after: "30" }]).await;
    let mut patient = settings();
    patient.retry.max_backoff = Duration::from_secs(60);
    let client = client(&patient, &[&instance]);
    let call = Call::new("get_user").within(Duration::from_secs(10));
    let error = client.get::<serde_json::Value>("/", call).await.unwrap_err();
    assert_eq!(error.kind.retry_after(), Some(Duration::from_secs(30)));
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_however_many_attempts_are_left() {
    let (_server, instance) = Server::start(vec![Answer::Hang; 9]).await;
    let client = client(&settings(), &[&instance]);
    let call = Call::new("get_user").within(Duration::from_millis(50));
    let error = client.get::<serde_json::Value>("/", call).await.unwrap_err();
    assert!(matches!(error.kind, Kind::DeadlineExceeded), "{error}");
    // None, where the machine is so busy that the time is up before the first.
    assert!(error.attempts <= 1, "{error}");
}

/// The breaker of the instance ends the attempts that go there; the service's own counts calls, and
/// these succeed.
#[tokio::test]
async fn an_instance_that_is_gone_costs_no_call_and_is_soon_left_alone() {
    let (good, here) = Server::start([]).await;
    let client = client(&settings(), &[&nobody(), &here]);
    for _ in 0..50 {
        get(&client).await.unwrap();
    }
    assert_eq!(good.calls(), 50);
    // As many as the failures in a row that eject an instance.
    assert_eq!(counted("service_call_retries_total", ""), 5);
    assert_eq!(counted("service_calls_total", "outcome=\"ok\""), 50);
    assert_eq!(counted("circuit_breaker_state", ""), 0);
    assert_eq!(counted("service_call_retries_refused_total", ""), 0);
    assert!(counted("service_call_retry_budget", "") > 0);
}

#[tokio::test]
async fn when_all_fail_the_budget_keeps_retries_to_a_part_of_the_calls() {
    let (server, instance) = Server::start(vec![Answer::Status(500); 2_000]).await;
    let mut patient = settings();
    patient.circuit_breaker.failure_threshold = u32::MAX;
    patient.circuit_breaker.failure_ratio = 0.0;
    patient.retry.budget_ratio = 0.1;
    patient.retry.budget_per_second = 0.0;
    let client = client(&patient, &[&instance]);
    for _ in 0..200 {
        assert!(get(&client).await.is_err());
    }
    assert!((200..=220).contains(&server.calls()), "{}", server.calls());
    assert!(counted("service_call_retries_refused_total", "") >= 180);
    assert_eq!(counted("service_call_retry_budget", ""), 0);
}

#[tokio::test]
async fn past_the_concurrency_limit_calls_fail_at_once_and_open_nothing() {
    let (server, instance) = Server::start([Answer::Hang]).await;
    let mut narrow = settings();
    narrow.client.concurrency_limit = 1;
    let client = client(&narrow, &[&instance]);
    let hanging = tokio::spawn({
        let client = client.clone();
        async move { get(&client).await }
    });
    while server.calls() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        let error = get(&client).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Overloaded) && error.attempts == 0, "{error}");
    }
    assert_eq!(counted("service_calls_in_flight", ""), 1);
    assert_eq!(counted("service_calls_in_flight_max", ""), 1);
    // Given up, the call leaves its place.
    hanging.abort();
    let _ = hanging.await;
    get(&client).await.unwrap();
}

#[tokio::test]
async fn an_instance_that_is_registered_later_is_called_and_one_that_is_gone_is_not() {
    let (first, one) = Server::start([]).await;
    let (second, other) = Server::start([]).await;
    let registry = Registry::empty();
    registry.register(one.clone());
    let client = ServiceClient::new("user-service", &registry, &settings()).unwrap();
    get(&client).await.unwrap();
    registry.register(other);
    registry.deregister(&one);
    get(&client).await.unwrap();
    assert_eq!((first.calls(), second.calls()), (1, 1));
}

#[tokio::test]
async fn calls_for_one_client_go_to_one_instance_by_ip_hash() {
    let balancing =
        LoadBalancingSettings { algorithm: Algorithm::IpHash, ..LoadBalancingSettings::default() };
    let registry = Registry::new(&balancing);
    let servers = [Server::start([]).await, Server::start([]).await, Server::start([]).await];
    for (_, instance) in &servers {
        registry.register(instance.clone());
    }
    let client = ServiceClient::new("user-service", &registry, &settings()).unwrap();
    for _ in 0..30 {
        let call = Call::new("get_user").client_address("198.51.100.7".parse().unwrap());
        client.get::<serde_json::Value>("/", call).await.unwrap();
    }
    let mut calls = servers.map(|(server, _)| server.calls());
    calls.sort_unstable();
    assert_eq!(calls, [0, 0, 30]);
}

/// How a service of this workspace says that its database is away.
fn busy(retry_after: &'static str) -> Vec<Answer> {
    vec![Answer::Busy { retry_after }; 1_000]
}

#[tokio::test]
async fn an_instance_that_answers_503_is_left_alone_and_nobody_waits_for_it_while_another_is_well()
{
    let (sick, first) = Server::start(busy("1")).await;
    let (_well, second) = Server::start([]).await;
    let client = client(&settings(), &[&first, &second]);
    let all = async {
        for _ in 0..50 {
            get(&client).await.unwrap();
        }
    };
    // Each wait for the one that asked for it would take a second.
    tokio::time::timeout(Duration::from_secs(3), all).await.expect("nobody waits");
    assert!(sick.calls() <= 6, "{} calls", sick.calls());
}

#[tokio::test]
async fn a_retry_after_beyond_the_deadline_does_not_end_a_call_that_another_instance_can_answer() {
    let mut patient = settings();
    patient.retry.max_backoff = Duration::from_secs(60);
    let (sick, first) = Server::start(busy("30")).await;
    let (well, second) = Server::start([]).await;
    let client = client(&patient, &[&first, &second]);
    for _ in 0..4 {
        get(&client).await.unwrap();
    }
    assert_eq!((sick.calls(), well.calls()), (2, 4), "a retry takes nobody's turn");
}

#[tokio::test]
async fn the_only_instance_is_asked_again_after_the_time_that_it_named() {
    let mut patient = settings();
    patient.retry.max_backoff = Duration::from_secs(60);
    let (server, instance) = Server::start([Answer::Busy { retry_after: "1" }]).await;
    let began = std::time::Instant::now();
    get(&client(&patient, &[&instance])).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn what_an_instance_says_last_of_the_time_it_needs_counts() {
    let mut patient = settings();
    patient.retry.max_backoff = Duration::from_secs(60);
    let (server, instance) = Server::start(vec![Answer::Busy { retry_after: "1" }; 2]).await;
    let began = std::time::Instant::now();
    get(&client(&patient, &[&instance])).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn a_full_instance_is_waited_for_where_the_only_other_one_is_down() {
    let mut patient = settings();
    patient.retry.max_backoff = Duration::from_secs(60);
    let (server, full) = Server::start([Answer::Busy { retry_after: "1" }]).await;
    let down = nobody().readiness(discovery::Readiness::NotReady);
    // The one that is down is tried, and then the call waits for the one that is full.
    let answered = get(&client(&patient, &[&full, &down])).await;
    assert!(answered.is_ok(), "{answered:?}");
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_post_that_was_never_sent_goes_to_another_instance_without_a_key() {
    let (server, here) = Server::start([]).await;
    let client = client(&settings(), &[&nobody(), &here]);
    for _ in 0..4 {
        client.post::<_, serde_json::Value>("/x", &1, Call::new("make")).await.unwrap();
    }
    assert_eq!(server.calls(), 4);
}

#[tokio::test]
async fn a_post_whose_connection_was_lost_is_not_sent_again() {
    let (server, there) = Server::start(vec![Answer::Cut; 9]).await;
    let client = client(&settings(), &[&there]);
    let error = client.post::<_, serde_json::Value>("/x", &1, Call::new("make")).await;
    let error = error.unwrap_err();
    assert!(matches!(error.kind, Kind::ConnectionLost), "{error}");
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn calls_that_may_not_be_repeated_earn_retries_for_those_that_may() {
    let mut earning = settings();
    (earning.retry.budget_per_second, earning.retry.budget_ratio) = (0.0, 0.1);
    let (server, instance) = Server::start([]).await;
    let client = client(&earning, &[&instance]);
    for _ in 0..30 {
        client.post::<_, serde_json::Value>("/x", &1, Call::new("make")).await.unwrap();
    }
    server.answers.lock().unwrap().push_back(Answer::Status(500));
    get(&client).await.unwrap();
}

/// Attempts of 200 ms, and a breaker that stays open for longer than a test takes.
fn open_for_a_minute() -> ClientSettings {
    let mut fast = settings();
    fast.client.attempt_timeout = Duration::from_millis(200);
    fast.circuit_breaker.initial_timeout = Duration::from_secs(60);
    fast.circuit_breaker.timeout = Duration::from_secs(60);
    fast
}

#[tokio::test]
async fn a_target_that_hangs_opens_the_breaker_of_callers_whose_deadline_ends_the_last_attempt() {
    let fast = open_for_a_minute();
    let (_server, instance) = Server::start(vec![Answer::Hang; 100]).await;
    for time in [500, 150] {
        let client = client(&fast, &[&instance]);
        let mut last = None;
        for _ in 0..20 {
            let call = Call::new("get_user").within(Duration::from_millis(time));
            last = client.get::<serde_json::Value>("/", call).await.err().map(|error| error.kind);
            if matches!(last, Some(Kind::Open { .. })) {
                break;
            }
        }
        assert!(matches!(last, Some(Kind::Open { .. })), "{time} ms: {last:?}");
    }
}

#[tokio::test]
async fn a_target_that_hangs_opens_the_breaker_of_callers_that_leave() {
    let fast = open_for_a_minute();
    let (_server, instance) = Server::start(vec![Answer::Hang; 100]).await;
    let client = client(&fast, &[&instance]);
    let leave_after = async |time| {
        for _ in 0..10 {
            let _left = tokio::time::timeout(Duration::from_millis(time), get(&client)).await;
        }
        counted("circuit_breaker_transitions_total", "to=\"open\"")
    };
    assert_eq!(leave_after(10).await, 0, "who is in a hurry proves nothing");
    assert_eq!(leave_after(150).await, 1);
}

#[tokio::test]
async fn a_target_that_says_too_much_gets_fewer_calls_at_a_time_where_the_limit_is_adaptive() {
    let mut narrow = settings();
    (narrow.client.concurrency_limit, narrow.retry.max_attempts) = (32, 1);
    let (_server, instance) = Server::start(vec![Answer::Status(429); 100_000]).await;
    let mut fixed = narrow.clone();
    fixed.client.adaptive_concurrency = false;
    for (settings, shrinks) in [(&fixed, false), (&narrow, true)] {
        let client = client(settings, &[&instance]);
        let until_it_shrinks = async {
            while counted("service_calls_in_flight_max", "") == 32 {
                futures_util::future::join_all((0..32).map(|_| get(&client))).await;
            }
        };
        // Some windows of half a second.
        let time = Duration::from_secs(if shrinks { 20 } else { 2 });
        assert_eq!(tokio::time::timeout(time, until_it_shrinks).await.is_ok(), shrinks);
    }
}
