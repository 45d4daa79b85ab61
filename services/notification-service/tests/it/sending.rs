//! Sending: what is left behind, and what a crash in the middle does.

use crate::app::{TestApp, header};

#[tokio::test]
async fn after_sending_no_notification_holds_the_address() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let query = "select string_agg(notifications::text, '') from notifications";
    let rows: String = sqlx::query_scalar(query).fetch_one(&app.pool).await.unwrap();
    assert!(rows.contains(&person.id.to_string()) && !rows.contains(&person.email), "{rows}");
}

/// The row is put back to what a crash between sending and saving leaves behind.
#[tokio::test]
async fn a_worker_that_dies_between_sending_and_saving_sends_the_same_mail_again() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let before = app.mails_to(&person.email);
    sqlx::query(
        "update notifications set status = 'pending', next_attempt_at = now(), sent_at = null,
                recipient = $1",
    )
    .bind(&person.email)
    .execute(&app.pool)
    .await
    .unwrap();
    let again = app.until(&person, "welcome", "sent").await;
    assert_eq!(again["attempts"], 2);
    let after = app.mails_to(&person.email);
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_eq!(header(&before[0], "Message-ID"), header(&after[0], "Message-ID"));
}

#[tokio::test]
async fn a_folder_that_goes_away_puts_mails_off_until_it_is_back() {
    let app = TestApp::start().await;
    let folder = app.fixture.mails.path();
    let person = app.person();
    std::fs::remove_dir(folder).unwrap();
    app.user_created(person.id, &person.email, "Ada").await;
    app.until_put_off(&person).await;
    std::fs::create_dir(folder).unwrap();
    app.make_due().await;
    app.until(&person, "welcome", "sent").await;
    assert_eq!(app.mails_to(&person.email).len(), 1);
}
