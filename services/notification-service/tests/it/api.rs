//! The API: who sees what, and other services' own messages.

use auth::Role;
use chassis::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Person, TestApp};

async fn write(app: &TestApp, token: &str, user: Uuid, key: Option<&str>) -> reqwest::Response {
    say(app, token, ["Hello", "Something happened."], user, key).await
}

async fn say(
    app: &TestApp,
    token: &str,
    [subject, text]: [&str; 2],
    user: Uuid,
    key: Option<&str>,
) -> reqwest::Response {
    let body = json!({"user_id": user, "subject": subject, "text": text});
    let mut request = app.request(Method::POST, "/api/notifications").bearer_auth(token);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.json(&body).send().await.unwrap()
}

fn assert_replayed(answer: &reqwest::Response) {
    assert_eq!(answer.status(), 201);
    let replayed = answer.headers().get("idempotent-replayed");
    assert_eq!(replayed.map(|value| value.to_str().unwrap()), Some("true"));
}

#[tokio::test]
async fn everybody_sees_the_own_notifications_an_admin_all_no_service_any_and_nobody_an_address() {
    let app = TestApp::start().await;
    let (id, own) = app.one().await;
    let other = app.welcomed().await;
    let path = format!("/api/notifications/{id}");
    let admin = app.user_token(Uuid::now_v7(), Role::Admin);
    let status = async |token: &str| app.get(&path, token).await.status().as_u16();
    assert_eq!(status(&other.token).await, 404);
    assert_eq!(status(&app.payment_service()).await, 403);
    for token in [&own, &admin] {
        assert_eq!(status(token).await, 200);
        let shown = app.get(&path, token).await.text().await.unwrap();
        assert!(!shown.contains("@example.com"), "{shown}");
    }
    let page: Value = app.get("/api/notifications", &own).await.json().await.unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"][0]["notification_id"], json!(id));
    let all = app.get("/api/notifications?limit=1", &admin).await.text().await.unwrap();
    let page: Value = serde_json::from_str(&all).unwrap();
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = format!("/api/notifications?limit=1&cursor={cursor}");
    let rest: Value = app.get(&next, &admin).await.json().await.unwrap();
    assert_eq!(rest["items"][0]["notification_id"], json!(id));
    assert!(!all.contains("@example.com"), "{all}");
}

#[tokio::test]
async fn a_service_writes_to_a_user_once_per_key() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let service = app.payment_service();
    let first = write(&app, &service, person.id, Some("invoice-7")).await;
    assert_eq!(first.status(), 201);
    assert!(!first.headers().contains_key("idempotent-replayed"));
    let location = first.headers()["location"].to_str().unwrap().to_owned();
    app.until(&person, "message", "sent").await;
    let again = write(&app, &service, person.id, Some("invoice-7")).await;
    assert_replayed(&again);
    assert_eq!(again.headers()["location"], location);
    assert_eq!(app.list(&person).await.len(), 2);
    let other = write(&app, &service, person.id, Some("invoice-8")).await;
    assert_ne!(other.headers()["location"], location);
    let users = app.tokens("user-service", Clock::system());
    let users = users.for_service("notification-service").unwrap().value.expose().clone();
    let theirs = write(&app, &users, person.id, Some("invoice-7")).await;
    assert_ne!(theirs.headers()["location"], location);
}

#[tokio::test]
async fn a_key_with_another_text_or_for_another_user_is_refused_and_nothing_is_written() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let other = app.welcomed().await;
    let service = app.payment_service();
    let key = Some("invoice-7");
    let first = say(&app, &service, ["First", "one"], person.id, key).await;
    assert_eq!(first.status(), 201);
    for (words, user) in [
        (["Second", "one"], person.id),
        (["First", "two"], person.id),
        (["First", "one"], other.id),
        (["First", "one"], Uuid::now_v7()),
    ] {
        let refused = say(&app, &service, words, user, key).await;
        assert_eq!(refused.status(), 422);
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/idempotency-key-reused");
    }
    // What is trimmed away before it is sent makes no other request.
    let again = say(&app, &service, [" First ", "one\n"], person.id, key).await;
    assert_replayed(&again);
    assert_eq!((app.list(&person).await.len(), app.list(&other).await.len()), (2, 1));
}

#[tokio::test]
async fn one_key_for_two_users_at_the_same_moment_writes_to_one_of_them() {
    let app = TestApp::start().await;
    let one = app.welcomed().await;
    let other = app.welcomed().await;
    let service = app.payment_service();
    for key in ["a", "b", "c", "d"] {
        let write = |user| write(&app, &service, user, Some(key));
        let answers = tokio::join!(write(one.id), write(other.id));
        let mut statuses = [answers.0.status().as_u16(), answers.1.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 422]);
    }
    assert_eq!(app.list(&one).await.len() + app.list(&other).await.len(), 2 + 4);
}

#[tokio::test]
async fn a_repeat_after_the_user_is_deleted_is_answered_and_the_words_leave_no_trace() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let service = app.payment_service();
    let words = ["First", "one"];
    let key = Some("invoice-7");
    assert_eq!(say(&app, &service, words, person.id, key).await.status(), 201);
    app.until(&person, "message", "sent").await;
    app.happened("user.deleted", &json!({"user_id": person.id}), 9).await;
    testkit::eventually("the words are erased", async || {
        let kept = "select count(*) from notifications where subject <> ''";
        (app.count(kept).await == 0).then_some(())
    })
    .await;
    let again = say(&app, &service, words, person.id, key).await;
    assert_replayed(&again);
    let kept = "select count(*) from notifications where fingerprint is not null";
    assert_eq!(app.count(kept).await, 0);
}

#[tokio::test]
async fn one_key_at_the_same_moment_makes_one_notification() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let service = app.payment_service();
    let write = || write(&app, &service, person.id, Some("invoice-7"));
    let answers = tokio::join!(write(), write(), write(), write());
    for answer in [&answers.1, &answers.2, &answers.3] {
        assert_eq!(answer.headers()["location"], answers.0.headers()["location"]);
    }
    app.until(&person, "message", "sent").await;
    assert_eq!((app.list(&person).await.len(), app.mails_to(&person.email).len()), (2, 2));
}

#[tokio::test]
async fn pages_hold_every_notification_once_and_end() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let service = app.payment_service();
    for _ in 0..4 {
        write(&app, &service, person.id, None).await;
    }
    let mut path = "/api/notifications?limit=2".to_owned();
    let mut ids = Vec::new();
    loop {
        let page: Value = app.get(&path, &person.token).await.json().await.unwrap();
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["notification_id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        // Newer ones come before the first page and move nothing.
        write(&app, &service, person.id, None).await;
        path = format!("/api/notifications?limit=2&cursor={cursor}");
    }
    assert_eq!(ids.len(), 5);
    assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
}

#[tokio::test]
async fn only_a_service_writes_and_only_to_who_is_known() {
    let app = TestApp::start().await;
    let person: Person = app.welcomed().await;
    let admin = app.user_token(Uuid::now_v7(), Role::Admin);
    for token in [&person.token, &admin] {
        assert_eq!(write(&app, token, person.id, None).await.status(), 403);
    }
    let unknown = write(&app, &app.payment_service(), Uuid::now_v7(), None).await;
    assert_eq!(unknown.status(), 422);
    let problem: Value = unknown.json().await.unwrap();
    assert_eq!(problem["errors"][0]["pointer"], "/user_id");
}
