//! Whether the user may pay: user-service says so, or nobody is charged.

use std::time::Duration;

use base64::Engine;
use serde_json::Value;

use crate::app::TestApp;

#[tokio::test]
async fn a_deleted_and_an_unknown_user_are_refused_and_nothing_is_stored() {
    let app = TestApp::start().await;
    for word in ["deleted", "none"] {
        let payer = app.payer();
        app.fixture.users.say(&payer.id.to_string(), word);
        let refused = app.pay(&payer, "order-1", "pm_card_visa").await;
        assert_eq!(refused.status(), 422);
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/payer-not-active");
    }
    let rows = (app.rows("payments").await, app.rows("idempotency_keys").await);
    assert_eq!((rows, app.charges()), ((0, 0), 0));
}

#[tokio::test]
async fn the_question_carries_a_service_token_for_user_service_a_deadline_and_the_request_id() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let answer = app.paying(&payer, "order-1", "pm_card_visa").send().await.unwrap();
    let seen = app.fixture.users.seen().remove(0);
    let token = seen["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let user_service = app.tokens("user-service", chassis::Clock::system());
    let auth::Caller::Service(caller) = user_service.verify(token).unwrap() else {
        panic!("a user")
    };
    assert_eq!(caller.name, "payment-service");
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["scope"], "user:read");
    assert_eq!(seen["x-request-id"], answer.headers()["x-request-id"]);
    let left: u64 = seen["x-deadline-ms"].to_str().unwrap().parse().unwrap();
    assert!((1..=3_000).contains(&left), "{left}");
}

#[tokio::test]
async fn an_unreachable_user_service_is_a_503_the_breaker_opens_and_closes_by_itself() {
    let mut app = TestApp::start_with(&[
        ("CIRCUIT_BREAKER_TIMEOUT", "300ms"),
        ("CIRCUIT_BREAKER_HALF_OPEN_MAX", "1"),
        ("RETRY_INITIAL_BACKOFF", "1ms"),
    ])
    .await;
    let payer = app.payer();
    let before = app.pay(&payer, "before", "pm_card_visa").await.text().await.unwrap();
    app.fixture.users.go_away().await;

    let state = async || {
        let metrics = app.request(reqwest::Method::GET, "/metrics").send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let gauge = "circuit_breaker_state{service=\"user-service\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(gauge));
        line.unwrap().to_owned()
    };
    assert_eq!(state().await, "0");
    // The threshold: five calls that failed, whatever the attempts of each.
    for number in 0..5 {
        let refused = app.pay(&payer, &format!("during-{number}"), "pm_card_visa").await;
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
    }
    assert_eq!(state().await, "2");
    let replayed = app.pay(&payer, "before", "pm_card_visa").await;
    assert_eq!(replayed.status(), 201, "what is answered already needs nobody");
    assert_eq!(replayed.headers()["idempotent-replayed"], "true");
    assert_eq!(replayed.text().await.unwrap(), before);
    assert_eq!((app.charges(), app.rows("payments").await), (1, 1));

    app.fixture.users.come_back().await;
    let paid = testkit::eventually("the breaker has closed", async || {
        let paid = app.pay(&payer, "after", "pm_card_visa").await;
        (paid.status() == 201).then_some(paid)
    });
    let body: Value = paid.await.json().await.unwrap();
    assert_eq!(body["status"], "succeeded");
    assert_eq!((app.charges(), app.rows("payments").await), (2, 2));
}

#[tokio::test]
async fn the_requests_time_bounds_the_question() {
    let settings = [("RETRY_INITIAL_BACKOFF", "1s"), ("REQUEST_TIMEOUT", "400ms")];
    let mut app = TestApp::start_with(&settings).await;
    app.fixture.users.go_away().await;
    let payer = app.payer();
    let request = app.paying(&payer, "order-1", "pm_card_visa");
    let answer = tokio::time::timeout(Duration::from_secs(10), request.send()).await.unwrap();
    assert_eq!(answer.unwrap().status(), 503);
    assert_eq!(app.rows("payments").await, 0);
}

#[tokio::test]
async fn a_user_service_that_is_broken_or_silent_is_a_503_and_one_that_refuses_us_is_our_fault() {
    let app = TestApp::start_with(&[
        ("RETRY_INITIAL_BACKOFF", "1ms"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "100"),
        ("REQUEST_TIMEOUT", "2s"),
    ])
    .await;
    for (word, expected) in [("broken", 503), ("silent", 503), ("forbidden", 500)] {
        let payer = app.payer();
        app.fixture.users.say(&payer.id.to_string(), word);
        let request = app.paying(&payer, "order-1", "pm_card_visa");
        let answer = tokio::time::timeout(Duration::from_secs(10), request.send()).await.unwrap();
        let answer = answer.unwrap();
        assert_eq!(answer.status(), expected, "{word}");
        assert_eq!(answer.headers().contains_key("retry-after"), expected == 503, "{word}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{word}");
    }
    let rows = (app.rows("payments").await, app.rows("idempotency_keys").await);
    assert_eq!((rows, app.charges()), ((0, 0), 0));
}
