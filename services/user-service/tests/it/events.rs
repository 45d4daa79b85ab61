//! What other services hear, and what they say: over a real broker.

use contracts::user::{UserCreated, UserUpdated};
use contracts::{Envelope, Event};
use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn a_plain_client_reads_user_created_and_user_updated_in_order() {
    let app = TestApp::start().await;
    app.plain.listen("user.events", "ear").await;
    let user = app.somebody().await;
    let path = format!("/api/users/{}", user.id);
    let change = json!({"email": "new@example.com"});
    assert_eq!(app.patch(&path, &user.token, "\"1\"", &change).await.status(), 200);

    let created = app.plain.next("ear").await;
    assert_eq!(created.routing_key.as_str(), UserCreated::TYPE);
    let body: Value = serde_json::from_slice(&created.data).unwrap();
    assert_eq!(
        (&body["event_type"], &body["service"]),
        (&json!("user.created"), &json!("user-service"),)
    );
    assert_eq!(body["data"]["user_id"], json!(user.id));
    let updated = app.plain.next("ear").await;
    let updated: Envelope<UserUpdated> = serde_json::from_slice(&updated.data).unwrap();
    assert_eq!(updated.data.previous_email, Some(user.email));
    assert_eq!(
        (updated.data.email.as_str(), updated.data.changed.as_slice()),
        ("new@example.com", &["email".to_owned()][..],)
    );
}

#[tokio::test]
async fn a_permanent_failure_to_notify_marks_the_address_undeliverable() {
    let app = TestApp::start().await;
    let user = app.somebody().await;
    app.subscribed().await;
    for permanent in [false, true] {
        let failed = json!({
            "notification_id": "01890000-0000-7000-8000-000000000001",
            "user_id": user.id, "kind": "welcome", "channel": "email",
            "reason": "mailbox unknown", "permanent": permanent,
        });
        app.plain.publish("notification.failed", &failed).await;
    }
    testkit::eventually("the address is marked", async || {
        let me: Value = app.get("/api/users/me", &user.token).await.json().await.unwrap();
        (me["email_deliverable"] == false).then_some(())
    })
    .await;
    // The first, passing failure changed nothing: one change, so version 2.
    let me: Value = app.get("/api/users/me", &user.token).await.json().await.unwrap();
    assert_eq!(me["version"], 2);
}
