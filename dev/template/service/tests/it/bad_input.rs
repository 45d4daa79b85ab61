//! Whatever is sent, the answer is a problem document with the right status, and nothing is written.

use std::time::Duration;

use auth::Role;
use chassis::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::problem;

use crate::app::TestApp;

#[tokio::test]
async fn every_bad_request_has_its_status_and_writes_nothing() {
    let app = TestApp::start().await;
    let person = app.person();
    let good = json!({"title": "First"}).to_string().into_bytes();
    let with = |title: Value| json!({"title": title}).to_string().into_bytes();
    let json = "application/json";
    let cases: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("unknown field", json, br#"{"title":"First","colour":"red"}"#.to_vec(), 422),
        ("missing field", json, b"{}".to_vec(), 422),
        ("wrong type", json, with(7.into()), 422),
        ("empty title", json, with("  ".into()), 422),
        ("long title", json, with("x".repeat(101).into()), 422),
        ("two lines", json, with("a\nb".into()), 422),
        ("a NUL", json, with("a\0b".into()), 422),
        ("no body", json, Vec::new(), 400),
        ("truncated", json, good[..10].to_vec(), 400),
        ("bad UTF-8", json, b"{\"title\":\"\xff\"}".to_vec(), 400),
        ("wrong media type", "text/plain", good.clone(), 415),
        ("oversized", json, with("x".repeat(70_000).into()), 413),
    ];
    for (case, content_type, body, expected) in cases {
        let request = app.request(Method::POST, "/api/samples");
        let request = request.bearer_auth(&person.token).header("idempotency-key", case);
        let request = request.header("content-type", content_type).body(body);
        let (status, document) = problem(request).await;
        assert_eq!(status, expected, "{case}: {document}");
    }
    let keyless = app.request(Method::POST, "/api/samples").bearer_auth(&person.token);
    assert_eq!(problem(keyless.header("content-type", json).body(good)).await.0, 400);
    assert_eq!(app.rows().await, 0);
}

#[tokio::test]
async fn a_refused_field_is_named_by_its_pointer() {
    let app = TestApp::start().await;
    let (_, document) = problem(app.making(&app.person(), "key-1", "")).await;
    assert_eq!(document["errors"][0], json!({"pointer": "/title", "detail": "is empty"}));
}

#[tokio::test]
async fn every_bad_token_is_a_401_and_bad_paths_have_their_own_status() {
    let app = TestApp::start().await;
    let person = app.person();
    let past = Clock::manual(Clock::system().now() - Duration::from_secs(7_200));
    let expired = app.tokens("user-service", past.clone());
    let expired = expired.for_user(person.id, Role::User, past.new_id()).unwrap();
    let elsewhere = app.service_token("payment-service", "notification-service");
    let unknown = "/api/samples/00000000-0000-7000-8000-000000000000";
    let cases = [
        ("missing", unknown, None, 401),
        ("nonsense", unknown, Some("nonsense"), 401),
        ("expired", unknown, Some(expired.value.expose().as_str()), 401),
        ("of another audience", unknown, Some(elsewhere.as_str()), 401),
        ("bad UUID", "/api/samples/7", Some(person.token.as_str()), 400),
        ("unknown id", unknown, Some(person.token.as_str()), 404),
        ("unknown route", "/api/nothing", None, 404),
        ("unknown method", "/api/samples", Some(person.token.as_str()), 405),
    ];
    for (case, path, token, expected) in cases {
        let mut request = app.request(Method::GET, path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(problem(request).await.0, expected, "{case}");
    }
}

#[tokio::test]
async fn no_service_comes_in() {
    let app = TestApp::start().await;
    let token = app.service_token("payment-service", "sample-service");
    let service = crate::app::Person { id: uuid::Uuid::nil(), token };
    assert_eq!(problem(app.making(&service, "key-1", "First")).await.0, 403);
    assert_eq!(app.rows().await, 0);
}
