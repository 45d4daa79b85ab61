//! Whatever is sent, the answer is a problem document with the right status, and nothing is written.

use std::time::Duration;

use chassis::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::problem;

use crate::app::TestApp;

#[tokio::test]
async fn every_bad_notification_has_its_status_and_writes_nothing() {
    let app = TestApp::start().await;
    let token = app.payment_service();
    let good = json!({"user_id": app.welcomed().await.id, "subject": "Hello", "text": "Text"});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string().into_bytes()
    };
    let json = "application/json";
    let cases: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("unknown field", json, with("colour", "red".into()), 422),
        ("wrong type", json, with("subject", 7.into()), 422),
        ("bad UUID", json, with("user_id", "7".into()), 422),
        ("two lines", json, with("subject", "a\r\nBcc: x@y.z".into()), 422),
        ("long subject", json, with("subject", "x".repeat(151).into()), 422),
        ("a NUL", json, with("text", "a\0b".into()), 422),
        ("missing field", json, br#"{"subject":"Hello","text":"Text"}"#.to_vec(), 422),
        ("no text", json, with("text", "".into()), 422),
        ("truncated", json, good.to_string().into_bytes()[..20].to_vec(), 400),
        ("bad UTF-8", json, b"{\"text\":\"\xff\"}".to_vec(), 400),
        ("wrong media type", "text/plain", good.to_string().into_bytes(), 415),
        ("oversized", json, with("text", "x".repeat(70_000).into()), 413),
    ];
    for (case, content_type, body, expected) in cases {
        let request = app.request(Method::POST, "/api/notifications").bearer_auth(&token);
        let request = request.header("content-type", content_type).body(body);
        let (status, document) = problem(request).await;
        assert_eq!(status, expected, "{case}: {document}");
    }
    for key in [String::new(), "x".repeat(256), "\u{e9}".to_owned()] {
        let request = app.request(Method::POST, "/api/notifications").bearer_auth(&token);
        let request = request.header("idempotency-key", key.as_bytes()).json(&good);
        assert_eq!(problem(request).await.0, 400, "{key}");
    }
    let written = "select count(*) from notifications where kind = 'message'";
    assert_eq!(app.count(written).await, 0);
}

#[tokio::test]
async fn every_bad_token_is_a_401_and_bad_paths_have_their_own_status() {
    let app = TestApp::start().await;
    let person = app.person();
    let past = Clock::manual(Clock::system().now() - Duration::from_secs(7_200));
    let expired = app.tokens("user-service", past.clone());
    let expired = expired.for_user(person.id, auth::Role::User, past.new_id()).unwrap();
    let elsewhere = app.tokens("payment-service", Clock::system());
    let elsewhere = elsewhere.for_service("user-service").unwrap();
    let unknown = "/api/notifications/00000000-0000-7000-8000-000000000000";
    let cases = [
        ("missing", "/api/notifications", None, 401),
        ("nonsense", "/api/notifications", Some("nonsense"), 401),
        ("expired", "/api/notifications", Some(expired.value.expose().as_str()), 401),
        ("of another audience", unknown, Some(elsewhere.value.expose().as_str()), 401),
        ("bad UUID", "/api/notifications/7", Some(person.token.as_str()), 400),
        ("empty page", "/api/notifications?limit=0", Some(person.token.as_str()), 400),
        ("long page", "/api/notifications?limit=101", Some(person.token.as_str()), 400),
        ("bad cursor", "/api/notifications?cursor=7", Some(person.token.as_str()), 400),
        ("unknown notification", unknown, Some(person.token.as_str()), 404),
        ("unknown route", "/api/nothing", None, 404),
    ];
    for (case, path, token, expected) in cases {
        let mut request = app.request(Method::GET, path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(problem(request).await.0, expected, "{case}");
    }
    let deleting = app.request(Method::DELETE, "/api/notifications").bearer_auth(&person.token);
    assert_eq!(problem(deleting).await.0, 405);
}
