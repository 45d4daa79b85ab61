//! Erasures of deleted users: led until every reader of `user.deleted` has confirmed.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::app::{Signed, TestApp};

/// One of those that have to confirm, by `[subscriptions]`; there may be more than the workspace began with.
const LAST: &str = "notification-service";

/// An erasure as it is kept: who is missing, whether it has ended, and how many steps it has taken.
type Kept = (Vec<String>, bool, i64);

async fn kept(app: &TestApp, user: &Signed) -> Option<Kept> {
    let kept = "select array(select jsonb_array_elements_text(state->'missing')),
                       ended_at is not null, version
                from messaging_processes where kind = 'erasure' and key = $1";
    let pool = app.database.pool().await;
    sqlx::query_as(kept).bind(&user.id).fetch_optional(&pool).await.unwrap()
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

/// All that have to confirm do, but for the last one.
async fn confirm_all_but_last(app: &TestApp, user: &Signed) {
    let (missing, ..) = kept(app, user).await.unwrap();
    for service in missing.iter().filter(|service| *service != LAST) {
        say(app, "erasure.confirmed", service, user).await;
    }
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
    let mut handled = 0;
    let mut say_and_wait = async |event_type: &str, service: &str, user: &Signed| {
        say(&app, event_type, service, user).await;
        handled += 1;
        until_handled(&app, handled).await;
    };
    // Before there is one.
    say_and_wait("erasure.confirmed", LAST, &user).await;
    assert_eq!(delete(&app, &user).await, 204);
    let (missing, has_ended, mut steps) = kept(&app, &user).await.unwrap();
    assert!(missing.contains(&LAST.to_owned()) && missing.len() > 1, "{missing:?}");
    assert_eq!((has_ended, steps), (false, 1));
    let scheduled = "select count(*) from messaging_scheduled";
    assert_eq!(app.count(scheduled).await, 1);

    say_and_wait("erasure.confirmed", "stranger-service", &user).await;
    // One who is not deleted.
    say_and_wait("erasure.confirmed", LAST, &other).await;
    for service in missing.iter().filter(|service| *service != LAST) {
        say_and_wait("erasure.confirmed", service, &user).await;
        say_and_wait("erasure.confirmed", service, &user).await;
        steps += 1;
    }
    assert_eq!(kept(&app, &user).await, Some((vec![LAST.to_owned()], false, steps)));
    assert_eq!(app.count(scheduled).await, 1, "the deadline is as it was");

    say_and_wait("erasure.confirmed", LAST, &user).await;
    let ended = Some((Vec::new(), true, steps + 1));
    assert_eq!(kept(&app, &user).await, ended);
    assert_eq!(app.count(scheduled).await, 0, "the deadline went with the last one");
    say_and_wait("erasure.confirmed", LAST, &user).await;
    // It was under way when the last one came.
    say_and_wait("user.erasure_timed_out", "user-service", &user).await;
    assert_eq!(kept(&app, &user).await, ended);
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
    confirm_all_but_last(&app, &user).await;

    let second = next_deleted(&app).await;
    let third = next_deleted(&app).await;
    assert!(first != second && second != third, "the inbox of a reader would know it again");
    let (missing, has_ended, _) = kept(&app, &user).await.unwrap();
    assert_eq!((missing, has_ended), (vec![LAST.to_owned()], false));
    let is_overdue = async |count| {
        eventually("it is counted", async || (overdue(&app).await? == count).then_some(())).await;
    };
    is_overdue(1).await;

    say(&app, "erasure.confirmed", LAST, &user).await;
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
    let (missing, has_ended, steps) = kept(&app, &user).await.unwrap();
    assert_eq!((missing.contains(&LAST.to_owned()), has_ended, steps), (true, false, 1));
}

#[tokio::test]
async fn a_step_that_does_not_commit_is_taken_when_its_message_comes_again() {
    let app = TestApp::start().await;
    app.subscribed().await;
    let user = app.new_user().await;
    assert_eq!(delete(&app, &user).await, 204);
    let before = kept(&app, &user).await;
    app.database.refuse_commits("messaging_processes").await;
    say(&app, "erasure.confirmed", LAST, &user).await;
    eventually("a commit is refused", async || {
        app.database.has_refused_a_commit().await.then_some(())
    })
    .await;
    assert_eq!(kept(&app, &user).await, before);
    assert_eq!(app.count("select count(*) from messaging_inbox").await, 0);
    app.database.allow_commits().await;
    let is_taken = async || {
        let (missing, ..) = kept(&app, &user).await?;
        (!missing.contains(&LAST.to_owned())).then_some(())
    };
    eventually("the step is taken", is_taken).await;
}
