//! What payments' events lead to, in whatever order and however often they come.

use lapin::types::AMQPValue;
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::app::TestApp;

const DEAD_LETTERS: &str = "notification-service.events.dead-letters";

#[tokio::test]
async fn a_plain_client_that_knows_only_the_seeds_envelope_gets_a_receipt_sent_and_hears_of_it() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    app.plain.listen("notification.events", "ear").await;
    let payment = Uuid::now_v7();
    app.paid(person.id, payment).await;

    let receipt = app.until(&person, "payment_receipt", "sent").await;
    assert_eq!(receipt["subject"], "Receipt: 19.99 EUR");
    let mails = app.mails_to(&person.email);
    let mail = mails.iter().find(|mail| mail.contains("Subject: Receipt: 19.99 EUR")).unwrap();
    let (text, html) = mail.split_once("text/html").unwrap();
    for part in [text, html] {
        assert!(part.contains("we have received your payment of 19.99 EUR."), "{part}");
        assert!(part.contains(&payment.to_string()), "{part}");
    }

    let of_receipt = async || {
        let received = app.plain.next("ear").await;
        let body: Value = serde_json::from_slice(&received.data).unwrap();
        (body["data"]["kind"] == "payment_receipt").then_some((received, body))
    };
    let (received, body) = eventually("the receipt is published", of_receipt).await;
    assert_eq!(received.routing_key.as_str(), "notification.sent");
    assert_eq!(
        (&body["event_type"], &body["service"]),
        (&json!("notification.sent"), &json!("notification-service"),)
    );
    assert_eq!(body["data"]["notification_id"], receipt["notification_id"]);
    assert!(!body.to_string().contains(&person.email), "{body}");
}

#[tokio::test]
async fn of_payments_that_fail_in_one_day_ten_are_notified_by_mail_and_receipts_are_sent_all_the_same()
 {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    for _ in 0..14 {
        let data = json!({
            "payment_id": Uuid::now_v7(), "user_id": person.id, "amount": 500, "currency": "JPY",
            "reason": "Your card was declined.",
        });
        app.happened("payment.failed", &data, 3).await;
    }
    app.until_handled(15).await;
    app.paid(person.id, Uuid::now_v7()).await;
    app.until(&person, "payment_receipt", "sent").await;
    let listed = app.list(&person).await;
    let failures = listed.iter().filter(|notification| notification["kind"] == "payment_failure");
    assert_eq!(failures.count(), 10);
}

/// Whoever registers somebody else's address makes them happen as often as there are requests.
#[tokio::test]
async fn of_a_notice_that_a_user_makes_happen_twenty_are_sent_in_a_day_and_none_uses_up_another() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let kinds = [
        "email_change_requested",
        "password_changed",
        "session_reused",
        "second_factor_enabled",
        "second_factor_disabled",
        "recovery_code_used",
        "external_account_linked",
        "external_account_unlinked",
    ];
    let mut handled = 1;
    for kind in kinds {
        for _ in 0..23 {
            let data = json!({"user_id": person.id, "session_id": Uuid::now_v7(), "left": 7});
            app.happened(&format!("user.{kind}"), &data, 3).await;
        }
        handled += 23;
        app.until_handled(handled).await;
    }
    let made = "select count(*) from notifications group by kind order by 1 desc";
    let made: Vec<i64> = sqlx::query_scalar(made).fetch_all(&app.pool).await.unwrap();
    assert_eq!(made, [[20; 8].as_slice(), &[1]].concat());

    // Tomorrow there are more.
    let yesterday = "update notifications set created_at = created_at - interval '1 day'";
    sqlx::query(yesterday).execute(&app.pool).await.unwrap();
    let data = json!({"user_id": person.id, "session_id": Uuid::now_v7()});
    app.happened("user.session_reused", &data, 4).await;
    app.until_handled(handled + 1).await;
    let reused = "select count(*) from notifications where kind = 'session_reused'";
    assert_eq!(app.count(reused).await, 21);
}

#[tokio::test]
async fn no_mail_carries_the_name_which_anybody_may_have_written() {
    let app = TestApp::start().await;
    let person = app.person();
    app.user_created(person.id, &person.email, "Visit http://spam.example now").await;
    app.until(&person, "welcome", "sent").await;
    app.paid(person.id, Uuid::now_v7()).await;
    app.until(&person, "payment_receipt", "sent").await;
    let mails = app.mails_to(&person.email);
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|mail| !mail.contains("spam.example")), "{mails:?}");
}

#[tokio::test]
async fn a_failed_payment_is_notified_with_its_reason() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let data = json!({
        "payment_id": Uuid::now_v7(), "user_id": person.id, "amount": 500, "currency": "JPY",
        "reason": "Your card has insufficient funds.",
    });
    app.happened("payment.failed", &data, 3).await;
    let failure = app.until(&person, "payment_failure", "sent").await;
    assert_eq!(failure["subject"], "Your payment of 500 JPY was declined");
    assert!(app.mails().iter().any(|mail| mail.contains("insufficient funds")));
}

#[tokio::test]
async fn the_same_message_delivered_twice_at_once_to_two_instances_makes_one_mail() {
    let mut app = TestApp::start().await;
    let mut other = app.fixture.start().await;
    let people = [app.welcomed().await, app.welcomed().await, app.welcomed().await];
    for person in &people {
        let payment = Uuid::now_v7();
        tokio::join!(app.paid(person.id, payment), app.paid(person.id, payment));
    }
    for person in &people {
        app.until(person, "payment_receipt", "sent").await;
    }
    other.stop().await;
    app.stop().await;
    app.assert_nothing_waits().await;
    assert_eq!(app.count("select count(*) from notifications").await, 6);
    for person in &people {
        assert_eq!(app.mails_to(&person.email).len(), 2);
    }
}

#[tokio::test]
async fn a_receipt_that_comes_before_the_contact_waits_for_it() {
    let app = TestApp::start().await;
    let person = app.person();
    app.paid(person.id, Uuid::now_v7()).await;
    eventually("the receipt waits", async || {
        let queue = "notification-service.events.retry.1000";
        (app.plain.waiting(queue).await == 1).then_some(())
    })
    .await;
    assert!(app.list(&person).await.is_empty());
    app.user_created(person.id, &person.email, "Ada").await;
    app.until(&person, "payment_receipt", "sent").await;
}

#[tokio::test]
async fn a_payment_of_nobody_is_dead_lettered_with_its_cause() {
    let app = TestApp::start().await;
    let data = json!({"payment_id": Uuid::now_v7(), "amount": 1, "currency": "EUR"});
    app.happened("payment.completed", &data, 1).await;
    let dead_letters = app.plain.next(DEAD_LETTERS).await;
    let headers = dead_letters.properties.headers().clone().unwrap();
    let Some(AMQPValue::LongString(cause)) = headers.inner().get("x-cause") else {
        panic!("no cause: {headers:?}")
    };
    assert!(cause.to_string().contains("`user_id`"), "{cause}");
    let body: Value = serde_json::from_slice(&dead_letters.data).unwrap();
    assert_eq!(body["data"], data);
}

/// PostgreSQL keeps no NUL: no repetition would change that.
#[tokio::test]
async fn text_that_cannot_be_stored_is_dead_lettered_at_once() {
    let app = TestApp::start().await;
    let person = app.person();
    app.user_created(person.id, &person.email, "A\0da").await;
    let dead_letters = app.plain.next(DEAD_LETTERS).await;
    assert_eq!(dead_letters.routing_key.as_str(), DEAD_LETTERS);
    assert!(app.list(&person).await.is_empty());
}
