//! Erasures of deleted users: led until every reader of `user.deleted` has confirmed.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::app::{Signed, TestApp};

/// Who has to confirm, by `[subscriptions]` of the committed settings.
const READERS: [&str; 2] = ["notification-service", "payment-service"];

/// An erasure as it is kept: who is missing, whether it has ended, and how many steps it has taken.
type Kept = (Vec<String>, bool, i64);

async fn kept(app: &TestApp, user: &Signed) -> Option<Kept> {
    let kept = "select array(select jsonb_array_elements_text(state->'missing')),
                       ended_at is not null, version
                from messaging_processes where kind = 'erasure' and key = $1";
    let pool = app.database.pool().await;
    sqlx::query_as(kept).bind(&user.id).fetch_optional(&pool).await.unwrap()
}

async fn until(app: &TestApp, user: &Signed, missing: &[&str], steps: i64) {
    let expected =
        (missing.iter().map(|&name| name.to_owned()).collect(), missing.is_empty(), steps);
    eventually(&format!("{missing:?} are missing after {steps} steps"), async || {
        (kept(app, user).await? == expected).then_some(())
    })
    .await;
}

async fn delete(app: &TestApp, user: &Signed) -> u16 {
    app.delete(&format!("/api/users/{}", user.id), &user.token).await.as_u16()
}

/// An event of another service, or of another replica.
async fn say(app: &TestApp, event_type: &str, service: &str, user: &Signed) {
    let envelope = json!({
        "event_type": event_type, "data": {"user_id": user.id}, "service": service,
        "timestamp": "2026-01-01T00:00:00Z", "event_id": Uuid::now_v7(), "version": 1,
    });
    app.plain.publish_bytes(event_type, envelope.to_string().as_bytes()).await;
}

async fn confirm(app: &TestApp, service: &str, user: &Signed) {
    say(app, "erasure.confirmed", service, user).await;
}

async fn until_handled(app: &TestApp, messages: i64) {
    eventually("all messages are handled", async || {
        (app.count("select count(*) from messaging_inbox").await == messages).then_some(())
    })
    .await;
}

/// The id of the next `user.deleted` that goes out.
async fn next_deleted(app: &TestApp) -> Value {
    loop {
        let message = app.plain.next("ear").await;
        let body: Value = serde_json::from_slice(&message.data).unwrap();
        if body["event_type"] == "user.deleted" {
            return body["event_id"].clone();
        }
    }
}

async fn overdue(app: &TestApp) -> Option<i64> {
    let shown = app.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    shown.lines().find_map(|line| line.strip_prefix("user_erasures_overdue ")?.parse().ok())
}

#[tokio::test]
async fn an_erasure_ends_with_the_last_confirmation_and_no_other_message_changes_it() {
    let app = TestApp::start().await;
    app.subscribed().await;
    let user = app.new_user().await;
    let other = app.new_user().await;
    // Before there is one, and of a user who is not deleted.
    confirm(&app, "payment-service", &user).await;
    until_handled(&app, 1).await;
    assert_eq!(delete(&app, &user).await, 204);
    assert_eq!(kept(&app, &user).await, Some((READERS.map(str::to_owned).to_vec(), false, 1)));
    let scheduled = "select count(*) from messaging_scheduled";
    assert_eq!(app.count(scheduled).await, 1);

    confirm(&app, "orders-service", &user).await;
    confirm(&app, "payment-service", &user).await;
    confirm(&app, "payment-service", &other).await;
    until_handled(&app, 4).await;
    until(&app, &user, &READERS[..1], 2).await;
    confirm(&app, "payment-service", &user).await;
    until_handled(&app, 5).await;
    until(&app, &user, &READERS[..1], 2).await;
    assert_eq!(app.count(scheduled).await, 1, "the deadline is as it was");

    confirm(&app, "notification-service", &user).await;
    until(&app, &user, &[], 3).await;
    assert_eq!(app.count(scheduled).await, 0, "the deadline went with the last one");
    confirm(&app, "notification-service", &user).await;
    // It was under way when the last one came.
    say(&app, "user.erasure_timed_out", "user-service", &user).await;
    until_handled(&app, 8).await;
    until(&app, &user, &[], 3).await;
    assert_eq!(kept(&app, &other).await, None);
    assert_eq!(app.plain.waiting("user-service.events.dead-letters").await, 0);
}

#[tokio::test]
async fn who_has_not_confirmed_in_time_is_asked_again_by_another_event_until_it_has() {
    let app = TestApp::start_with(&[("ERASURE_CONFIRM_WITHIN", "1s")]).await;
    app.subscribed().await;
    app.plain.listen("user.events", "ear").await;
    let user = app.new_user().await;
    assert_eq!(delete(&app, &user).await, 204);
    let first = next_deleted(&app).await;
    confirm(&app, "payment-service", &user).await;

    let second = next_deleted(&app).await;
    let third = next_deleted(&app).await;
    assert!(first != second && second != third, "the inbox of a reader would know it again");
    let (missing, has_ended, _) = kept(&app, &user).await.unwrap();
    assert_eq!((missing, has_ended), (vec![READERS[0].to_owned()], false));
    let is_overdue = async |count| {
        eventually("it is counted", async || (overdue(&app).await? == count).then_some(())).await;
    };
    is_overdue(1).await;

    confirm(&app, "notification-service", &user).await;
    eventually("it has ended", async || kept(&app, &user).await?.1.then_some(())).await;
    is_overdue(0).await;
    assert_eq!(app.count("select count(*) from messaging_scheduled").await, 0);
}

#[tokio::test]
async fn a_deletion_that_does_not_commit_leaves_neither_itself_nor_an_erasure() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    app.database.refuse_commits("users").await;
    assert_eq!(delete(&app, &user).await, 500);
    assert!(app.database.has_refused_a_commit().await);
    assert_eq!(kept(&app, &user).await, None);
    for left in [
        "select count(*) from messaging_scheduled",
        "select count(*) from messaging_outbox where routing_key = 'user.deleted'",
        "select count(*) from users where status = 'deleted'",
    ] {
        assert_eq!(app.count(left).await, 0, "{left}");
    }

    app.database.allow_commits().await;
    assert_eq!(delete(&app, &user).await, 204);
    until(&app, &user, &READERS, 1).await;
}

#[tokio::test]
async fn a_step_that_does_not_commit_is_taken_when_its_message_comes_again() {
    let app = TestApp::start().await;
    app.subscribed().await;
    let user = app.new_user().await;
    assert_eq!(delete(&app, &user).await, 204);
    app.database.refuse_commits("messaging_processes").await;
    confirm(&app, "payment-service", &user).await;
    eventually("a commit is refused", async || {
        app.database.has_refused_a_commit().await.then_some(())
    })
    .await;
    until(&app, &user, &READERS, 1).await;
    app.database.allow_commits().await;
    until(&app, &user, &READERS[..1], 2).await;
}
