// template: if events=user
//! What a user's deletion leads to.

use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn of_a_deleted_user_nothing_is_left_and_others_keep_what_is_theirs() {
    let app = TestApp::start().await;
    let ada = app.person();
    let bob = app.person();
    let gone = app.made(&ada, "Lovelace").await;
    let kept = app.made(&bob, "First").await;
    app.plain.publish("user.deleted", &json!({"user_id": ada.id})).await;
    app.until_handled(1).await;
    let shown = app.shown(&gone).await;
    assert_eq!((&shown["status"], &shown["title"]), (&json!("closed"), &json!("")));
    assert_eq!(app.shown(&kept).await, kept);
    let left = "select count(*) from samples where samples::text like '%Lovelace%'";
    assert_eq!(app.count(left).await, 0);
}

#[tokio::test]
async fn each_deletion_of_a_user_is_confirmed_also_of_one_who_made_nothing() {
    let app = TestApp::start().await;
    app.plain.listen("erasure.events", "ear").await;
    let ada = app.person();
    for time in ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"] {
        app.plain.publish_at("user.deleted", &json!({"user_id": ada.id}), time).await;
        let confirmed: Value = serde_json::from_slice(&app.plain.next("ear").await.data).unwrap();
        assert_eq!(confirmed["event_type"], "erasure.confirmed");
        assert_eq!(confirmed["service"], "sample-service");
        assert_eq!(confirmed["data"], json!({"user_id": ada.id}));
    }
}

#[tokio::test]
async fn a_deletion_delivered_twice_at_once_changes_all_that_the_user_has_once() {
    let app = TestApp::start().await;
    let ada = app.person();
    let bob = app.person();
    let fill = "insert into samples
                select gen_random_uuid(), $1, 'key-' || n, 'title', 'open', 1, now(), now()
                from generate_series(1, 250) as n";
    sqlx::query(fill).bind(ada.id).execute(&app.pool).await.unwrap();
    let data = json!({"user_id": ada.id});
    tokio::join!(
        app.plain.publish("user.deleted", &data),
        app.plain.publish("user.deleted", &data),
    );
    app.plain.publish("user.deleted", &json!({"user_id": bob.id})).await;
    app.until_handled(2).await;
    let erased = "select count(*) from samples
                  where status = 'closed' and title = '' and version = 2";
    assert_eq!(app.count(erased).await, 250);
    assert_eq!(app.count("select count(*) from messaging_inbox").await, 2);
}
// template: end
