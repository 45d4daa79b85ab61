//! Whatever is sent, the answer is a problem document with the right status, and nothing is written.

use reqwest::Method;
use serde_json::json;
use testkit::{assert_refuses_bodies, problem};

use crate::app::TestApp;

#[tokio::test]
async fn every_bad_request_has_its_status_and_writes_nothing() {
    let app = TestApp::start().await;
    let person = app.person();
    let good = json!({"title": "First"});
    let fields = [
        ("unknown field", "colour", "red".into()),
        ("wrong type", "title", 7.into()),
        ("empty title", "title", "  ".into()),
        ("long title", "title", "x".repeat(101).into()),
        ("two lines", "title", "a\nb".into()),
        ("a NUL", "title", "a\0b".into()),
    ];
    let request = |case: &str| {
        let request = app.request(Method::POST, "/api/samples").bearer_auth(&person.token);
        request.header("idempotency-key", case)
    };
    assert_refuses_bodies(request, &good, "title", &fields, &[]).await;
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
