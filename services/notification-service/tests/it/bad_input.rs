//! Whatever is sent, the answer is a problem document with the right status, and nothing is written.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{assert_refuses_bodies, problem};

use crate::app::TestApp;

#[tokio::test]
async fn every_bad_notification_has_its_status_and_writes_nothing() {
    let app = TestApp::start().await;
    let token = app.payment_service();
    let good = json!({"user_id": app.welcomed().await.id, "subject": "Hello", "text": "Text"});
    let fields = [
        ("unknown field", "colour", "red".into()),
        ("wrong type", "subject", 7.into()),
        ("bad UUID", "user_id", "7".into()),
        ("two lines", "subject", "a\r\nBcc: x@y.z".into()),
        ("long subject", "subject", "x".repeat(151).into()),
        ("a NUL", "text", "a\0b".into()),
        ("missing user", "user_id", Value::Null),
        ("no text", "text", "".into()),
    ];
    let request = |_: &str| app.request(Method::POST, "/api/notifications").bearer_auth(&token);
    assert_refuses_bodies(request, &good, "text", &fields, &[]).await;
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
