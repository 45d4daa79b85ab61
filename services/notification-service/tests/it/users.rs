//! What users' events lead to.

use serde_json::json;
use testkit::eventually;
use uuid::Uuid;

use crate::app::{Person, TestApp};

async fn updated(app: &TestApp, person: &Person, email: &str, previous: Option<&str>, second: u32) {
    let data = json!({
        "user_id": person.id, "email": email, "name": "Ada", "previous_email": previous,
    });
    app.plain.publish("user.updated", &data, second).await;
}

#[tokio::test]
async fn a_new_address_is_told_to_the_address_before_and_used_from_then_on() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let new = format!("new-{}", person.email);
    updated(&app, &person, &new, Some(&person.email), 10).await;
    app.until(&person, "email_changed", "sent").await;
    assert_eq!((app.mails_to(&person.email).len(), app.mails_to(&new).len()), (2, 0));
    app.plain.paid(person.id, Uuid::now_v7()).await;
    app.until(&person, "payment_receipt", "sent").await;
    assert_eq!(app.mails_to(&new).len(), 1);
}

#[tokio::test]
async fn a_change_that_comes_late_does_not_bring_an_old_address_back() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let new = format!("new-{}", person.email);
    updated(&app, &person, &new, None, 20).await;
    updated(&app, &person, "old@example.com", None, 10).await;
    // Messages are handled side by side: the payment is told once both changes are in.
    app.until_handled(3).await;
    app.plain.paid(person.id, Uuid::now_v7()).await;
    app.until(&person, "payment_receipt", "sent").await;
    assert_eq!((app.mails_to(&new).len(), app.mails_to("old@example.com").len()), (1, 0));
}

#[tokio::test]
async fn of_a_registration_and_a_change_that_come_at_the_same_moment_the_change_counts() {
    let app = TestApp::start().await;
    let people: Vec<Person> = (0..20).map(|_| app.person()).collect();
    for person in &people {
        let new = format!("new-{}", person.email);
        tokio::join!(
            app.plain.user_created(person.id, &person.email, "Ada"),
            updated(&app, person, &new, None, 10),
        );
    }
    app.until_handled(40).await;
    let query = "select count(*) from contacts where email like 'new-%'";
    let kept: i64 = sqlx::query_scalar(query).fetch_one(&app.pool).await.unwrap();
    assert_eq!(kept, 20);
}

#[tokio::test]
async fn a_deleted_user_is_forgotten_and_told_nothing_more() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    app.plain.publish("user.deleted", &json!({"user_id": person.id}), 30).await;
    eventually("the contact is erased", async || {
        let query = "select count(*) from contacts where email is null and name is null";
        let erased: i64 = sqlx::query_scalar(query).fetch_one(&app.pool).await.unwrap();
        (erased == 1).then_some(())
    })
    .await;
    app.plain.paid(person.id, Uuid::now_v7()).await;
    let later = app.welcomed().await;
    assert_eq!(app.list(&later).await.len(), 1);
    assert_eq!((app.list(&person).await.len(), app.mails_to(&person.email).len()), (1, 1));
}

#[tokio::test]
async fn names_can_neither_add_a_header_nor_markup() {
    let app = TestApp::start().await;
    let person = app.person();
    let name = "<b>Ada</b>\r\nBcc: eve@example.com";
    app.plain.user_created(person.id, &person.email, name).await;
    app.until(&person, "welcome", "sent").await;
    let mail = app.mails_to(&person.email).remove(0);
    let (headers, body) = mail.split_once("\r\n\r\n").unwrap();
    assert!(!headers.contains("Bcc"), "{headers}");
    let html = body.split("text/html").nth(1).unwrap();
    assert!(html.contains("&lt;b&gt;Ada") && !html.contains("<b>"), "{html}");
}

#[tokio::test]
async fn fifty_users_and_two_instances_make_fifty_welcomes() {
    let app = TestApp::start().await;
    let _other = app.ground.start().await;
    let people: Vec<Person> = (0..50).map(|_| app.person()).collect();
    for person in &people {
        app.plain.user_created(person.id, &person.email, "Ada").await;
    }
    for person in &people {
        app.until(person, "welcome", "sent").await;
        assert_eq!(app.mails_to(&person.email).len(), 1);
    }
    assert_eq!(app.mails().len(), 50);
}
