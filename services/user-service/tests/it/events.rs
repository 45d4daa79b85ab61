//! What other services hear, and what they say: over a real broker.

use contracts::user::{UserCreated, UserUpdated};
use contracts::{Envelope, Event};
use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn a_plain_client_reads_user_created_and_user_updated_in_order() {
    let app = TestApp::start().await;
    app.plain.listen("user.events", "ear").await;
    let user = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    let change = json!({"name": "Ada L."});
    assert_eq!(app.patch(&path, &user.token, "\"1\"", &change).await.status(), 200);

    let created = app.plain.next("ear").await;
    assert_eq!(created.routing_key.as_str(), UserCreated::TYPE);
    let body: Value = serde_json::from_slice(&created.data).unwrap();
    assert_eq!(
        (&body["event_type"], &body["service"]),
        (&json!("user.created"), &json!("user-service"),)
    );
    assert_eq!(body["data"]["user_id"], json!(user.id));
    assert_eq!(body["data"]["version"], 1);
    let updated = app.plain.next("ear").await;
    let body: Value = serde_json::from_slice(&updated.data).unwrap();
    assert_eq!(body["data"]["version"], 2);
    let updated: Envelope<UserUpdated> = serde_json::from_slice(&updated.data).unwrap();
    assert_eq!(updated.data.previous_email, None);
    assert_eq!(
        (updated.data.name.as_str(), updated.data.changed.as_slice()),
        ("Ada L.", &["name".to_owned()][..],)
    );
}

#[tokio::test]
async fn a_permanent_failure_to_notify_marks_the_address_undeliverable() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
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

#[tokio::test]
async fn only_the_address_that_failed_is_marked_undeliverable() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    app.subscribed().await;
    let path = format!("/api/users/{}", user.id);
    let id = user.id.parse().unwrap();
    let reader = app.user_token(id, auth::Role::User);
    // Another one each time: a proven address ends the sessions of before.
    let change = async |change: Value| {
        let token = app.signed_in(id, auth::Role::User).await;
        assert_eq!(app.patch(&path, &token, "*", &change).await.status(), 200);
    };
    // Each is asked for, which is a version, and proven, which is another.
    for email in ["typo@example.com", "good@example.com"] {
        change(json!({"email": email, "current_password": crate::app::PASSWORD})).await;
        let mailed = app.mail_token(&user.id, "verification").await;
        assert_eq!(app.verify(&mailed).await.status(), 204);
    }
    change(json!({"name": "Ada L."})).await;
    let mut published = 0;
    let mut deliverable_after = async |version: Option<i64>| {
        let mut failed = json!({
            "notification_id": "01890000-0000-7000-8000-000000000001",
            "user_id": user.id, "kind": "payment_receipt", "channel": "email",
            "reason": "mailbox unknown", "permanent": true,
        });
        if let Some(version) = version {
            failed["user_version"] = version.into();
        }
        app.plain.publish("notification.failed", &failed).await;
        published += 1;
        testkit::eventually("the failure is handled", async || {
            let handled = app.count("select count(*) from messaging_inbox").await;
            (handled == published).then_some(())
        })
        .await;
        let me: Value = app.get("/api/users/me", &reader).await.json().await.unwrap();
        me["email_deliverable"].as_bool().unwrap()
    };
    // The addresses before; one that is not known; versions that there have not been.
    for version in [Some(1), Some(3), None, Some(4), Some(7), Some(i64::MAX)] {
        assert!(deliverable_after(version).await, "{version:?}");
    }
    // The name changed after the address: the address of version 6 is the one of version 5.
    assert!(!deliverable_after(Some(6)).await);
}

#[tokio::test]
async fn an_address_that_the_version_before_has_changed_is_not_taken_for_the_one_that_failed() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let pool = app.database.pool().await;
    // As a replica of the version before does it: it knows no email_version.
    let change = "update users set email = 'new@example.com', version = version + 1
                  where id = $1::uuid returning email_version = version";
    let kept: bool = sqlx::query_scalar(change).bind(&user.id).fetch_one(&pool).await.unwrap();
    assert!(kept);
}

#[tokio::test]
async fn a_deleted_user_leaves_nothing_in_the_archive_but_that_they_are_gone() {
    let app = TestApp::start_with(&[("OUTBOX_ARCHIVE", "24h")]).await;
    app.plain.listen("user.events", "ear").await;
    let gone = app.new_user().await;
    let stays = app.new_user().await;
    let pool = app.database.pool().await;
    let until_archived = async |expected: &[(&str, &str)]| {
        let mut expected: Vec<_> =
            expected.iter().map(|(id, event)| ((*id).to_owned(), (*event).to_owned())).collect();
        expected.sort();
        testkit::eventually("the archive holds what is expected", async || {
            let query = "select aggregate_id::text, routing_key from messaging_archive";
            let mut rows: Vec<(String, String)> =
                sqlx::query_as(query).fetch_all(&pool).await.unwrap();
            rows.sort();
            (rows == expected).then_some(())
        })
        .await;
    };
    until_archived(&[(&gone.id, "user.created"), (&stays.id, "user.created")]).await;

    let path = format!("/api/users/{}", gone.id);
    let delete = app.request(reqwest::Method::DELETE, &path).bearer_auth(&gone.token);
    let deleted = delete.header("if-match", "\"1\"").send().await.unwrap();
    assert!(deleted.status().is_success(), "{}", deleted.status());

    until_archived(&[(&gone.id, "user.deleted"), (&stays.id, "user.created")]).await;
    let listed: Value = app.get("/admin/events", &app.admin_token()).await.json().await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(app.get("/admin/events", &stays.token).await.status(), 403);
}
