//! Whatever is sent, the answer is a problem document with the right status, and nothing is written.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{problem, unreadable};

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
    let mut cases: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("unknown field", json, with("colour", "red".into()), 422),
        ("wrong type", json, with("subject", 7.into()), 422),
        ("bad UUID", json, with("user_id", "7".into()), 422),
        ("two lines", json, with("subject", "a\r\nBcc: x@y.z".into()), 422),
        ("long subject", json, with("subject", "x".repeat(151).into()), 422),
        ("a NUL", json, with("text", "a\0b".into()), 422),
        ("missing field", json, br#"{"subject":"Hello","text":"Text"}"#.to_vec(), 422),
        ("no text", json, with("text", "".into()), 422),
    ];
    cases.extend(unreadable(&good, "text"));
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
    let unknown = "/api/notifications/00000000-0000-7000-8000-000000000000";
    app.assert_needs_token("/api/notifications").await;
    app.assert_needs_token(unknown).await;
    let refused = [
        ("/api/notifications/7", 400),
        ("/api/notifications?limit=0", 400),
        ("/api/notifications?limit=101", 400),
        ("/api/notifications?cursor=7", 400),
        (unknown, 404),
    ];
    app.assert_refused(&person.token, &refused).await;
    assert_eq!(problem(app.request(Method::GET, "/api/nothing")).await.0, 404);
    let deleting = app.request(Method::DELETE, "/api/notifications").bearer_auth(&person.token);
    assert_eq!(problem(deleting).await.0, 405);
}
