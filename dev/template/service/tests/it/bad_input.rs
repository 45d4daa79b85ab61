//! Whatever is sent, the answer is a problem document with the right status, and nothing is written.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{problem, unreadable};

use crate::app::TestApp;

#[tokio::test]
async fn every_bad_request_has_its_status_and_writes_nothing() {
    let app = TestApp::start().await;
    let person = app.person();
    let good = json!({"title": "First"});
    let with = |title: Value| json!({"title": title}).to_string().into_bytes();
    let json = "application/json";
    let mut cases: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("unknown field", json, br#"{"title":"First","colour":"red"}"#.to_vec(), 422),
        ("missing field", json, b"{}".to_vec(), 422),
        ("wrong type", json, with(7.into()), 422),
        ("empty title", json, with("  ".into()), 422),
        ("long title", json, with("x".repeat(101).into()), 422),
        ("two lines", json, with("a\nb".into()), 422),
        ("a NUL", json, with("a\0b".into()), 422),
    ];
    cases.extend(unreadable(&good, "title"));
    for (case, content_type, body, expected) in cases {
        let request = app.request(Method::POST, "/api/samples");
        let request = request.bearer_auth(&person.token).header("idempotency-key", case);
        let request = request.header("content-type", content_type).body(body);
        let (status, document) = problem(request).await;
        assert_eq!(status, expected, "{case}: {document}");
    }
    let keyless = app.request(Method::POST, "/api/samples").bearer_auth(&person.token);
    assert_eq!(problem(keyless.json(&good)).await.0, 400);
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
    let unknown = "/api/samples/00000000-0000-7000-8000-000000000000";
    app.assert_needs_token(unknown).await;
    app.assert_refused(&person.token, &[("/api/samples/7", 400), (unknown, 404)]).await;
    assert_eq!(problem(app.request(Method::GET, "/api/nothing")).await.0, 404);
    let reading = app.request(Method::GET, "/api/samples").bearer_auth(&person.token);
    assert_eq!(problem(reading).await.0, 405);
}

#[tokio::test]
async fn no_service_comes_in() {
    let app = TestApp::start().await;
    let token = app.service_token("payment-service", "sample-service");
    let service = crate::app::Person { id: uuid::Uuid::nil(), token };
    assert_eq!(problem(app.making(&service, "key-1", "First")).await.0, 403);
    assert_eq!(app.rows().await, 0);
}
