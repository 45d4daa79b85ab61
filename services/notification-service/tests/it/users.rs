//! What users' events lead to.

use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::app::{Person, TestApp, header};
use crate::mail_server::{MailServer, Says};

async fn updated(app: &TestApp, person: &Person, email: &str, previous: Option<&str>, second: u32) {
    let data = json!({
        "user_id": person.id, "email": email, "name": "Ada", "previous_email": previous,
    });
    app.happened("user.updated", &data, second).await;
}

#[tokio::test]
async fn a_new_address_is_notified_to_the_previous_one_and_used_from_then_on() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let new = format!("new-{}", person.email);
    updated(&app, &person, &new, Some(&person.email), 10).await;
    app.until(&person, "email_changed", "sent").await;
    assert_eq!((app.mails_to(&person.email).len(), app.mails_to(&new).len()), (2, 0));
    app.paid(person.id, Uuid::now_v7()).await;
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
    app.paid(person.id, Uuid::now_v7()).await;
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
            app.user_created(person.id, &person.email, "Ada"),
            updated(&app, person, &new, None, 10),
        );
    }
    app.until_handled(40).await;
    assert_eq!(app.count("select count(*) from contacts where email like 'new-%'").await, 20);
}

/// The address that a receipt goes to once so many messages are handled.
async fn written_to(app: &TestApp, person: &Person, handled: i64) -> String {
    app.until_handled(handled).await;
    app.paid(person.id, Uuid::now_v7()).await;
    app.until(person, "payment_receipt", "sent").await;
    let mails = app.mails();
    let receipt = mails.iter().find(|mail| mail.contains("Subject: Receipt")).unwrap();
    header(receipt, "To").to_owned()
}

#[tokio::test]
async fn of_a_registration_and_a_change_with_one_timestamp_the_change_counts() {
    for change_first in [false, true] {
        let app = TestApp::start().await;
        let person = app.person();
        let new = format!("new-{}", person.email);
        if change_first {
            updated(&app, &person, &new, Some(&person.email), 1).await;
            app.until_handled(1).await;
        }
        app.user_created(person.id, &person.email, "Ada").await;
        if !change_first {
            app.until_handled(1).await;
            updated(&app, &person, &new, Some(&person.email), 1).await;
        }
        assert_eq!(written_to(&app, &person, 2).await, new, "{change_first}");
    }
}

#[tokio::test]
async fn of_two_changes_with_one_timestamp_the_one_that_follows_the_other_counts() {
    for in_order in [true, false] {
        let app = TestApp::start().await;
        let person = app.welcomed().await;
        let (second, third) = ("second@example.com", "third@example.com");
        let mut changes = [(second, person.email.as_str()), (third, second)];
        if !in_order {
            changes.reverse();
        }
        for (handled, (email, previous)) in (2..).zip(changes) {
            updated(&app, &person, email, Some(previous), 10).await;
            app.until_handled(handled).await;
        }
        assert_eq!(written_to(&app, &person, 3).await, third, "{in_order}");
    }
}

#[tokio::test]
async fn of_two_changes_with_versions_the_newer_one_counts_whatever_their_timestamps_say() {
    for seconds in [[10, 10], [10, 9], [10, 11]] {
        for in_order in [true, false] {
            let app = TestApp::start().await;
            let person = app.welcomed().await;
            let mut changes =
                [("second@example.com", 2, seconds[0]), ("third@example.com", 3, seconds[1])];
            if !in_order {
                changes.reverse();
            }
            for (handled, (email, version, second)) in (2..).zip(changes) {
                let data = json!({"user_id": person.id, "email": email, "version": version});
                app.happened("user.updated", &data, second).await;
                app.until_handled(handled).await;
            }
            let written_to = written_to(&app, &person, 3).await;
            assert_eq!(written_to, "third@example.com", "{seconds:?} {in_order}");
        }
    }
}

#[tokio::test]
async fn the_owner_of_a_session_whose_used_token_came_again_is_notified_by_mail_once() {
    let server = MailServer::start(Says::No("RCPT", "550 5.1.1 no such mailbox")).await;
    let app = TestApp::start_with(&[("SMTP_URL", &server.url())]).await;
    let person = app.person();
    let bystander = app.person();
    for person in [&person, &bystander] {
        app.user_created(person.id, &person.email, "Ada").await;
        app.until(person, "welcome", "failed").await;
    }
    server.say(Says::Yes);

    // It is about the account itself: it goes to an address too that refused mail before.
    let data = json!({"user_id": person.id, "session_id": Uuid::now_v7()});
    for _ in 0..2 {
        app.happened("user.session_reused", &data, 20).await;
    }
    app.until(&person, "session_reused", "sent").await;
    app.until_handled(3).await;

    let mails = server.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(header(&mails[0], "To"), person.email);
    assert_eq!(header(&mails[0], "Subject"), "A device was signed out to protect your account");
    assert!(mails[0].contains("change your password now"), "{}", mails[0]);
}

#[tokio::test]
async fn the_owner_is_notified_by_mail_of_what_protects_the_account_and_of_each_recovery_code() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let subject_of = |kind: &str| match kind {
        "second_factor_enabled" => "A second factor protects your account",
        "recovery_code_used" => "A recovery code of your account was used",
        "external_account_linked" => "Another way to sign in to your account",
        "external_account_unlinked" => "A way to sign in to your account was removed",
        _ => "Your account has no second factor any more",
    };
    let kinds = [
        "second_factor_enabled",
        "recovery_code_used",
        "external_account_linked",
        "external_account_unlinked",
        "second_factor_disabled",
    ];
    for (second, kind) in (20..).zip(kinds) {
        let data = json!({"user_id": person.id, "left": 7});
        app.happened(&format!("user.{kind}"), &data, second).await;
        app.until(&person, kind, "sent").await;
        let mails = app.mails_to(&person.email);
        let told = mails.iter().find(|mail| header(mail, "Subject") == subject_of(kind)).unwrap();
        assert_eq!(told.contains("left: 7."), kind == "recovery_code_used", "{told}");
    }
    assert_eq!(app.mails_to(&person.email).len(), 6);
}

async fn deleted(app: &TestApp, person: &Person) {
    app.happened("user.deleted", &json!({"user_id": person.id}), 30).await;
    eventually("the contact is erased", async || {
        let query = "select count(*) from contacts where email is null and name is null";
        (app.count(query).await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_deletion_is_confirmed_in_the_transaction_that_forgets_the_contact() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    app.plain.listen("erasure.events", "ear").await;
    let confirmed = async || {
        let body: Value = serde_json::from_slice(&app.plain.next("ear").await.data).unwrap();
        assert_eq!(body["event_type"], "erasure.confirmed");
        assert_eq!(body["service"], "notification-service");
        assert_eq!(body["data"], json!({"user_id": person.id}), "and nothing else");
    };
    let gone = "select count(*) from contacts where email is null";
    let confirmations =
        "select count(*) from messaging_outbox where routing_key = 'erasure.confirmed'";
    let database = &app.fixture.database;
    database.refuse_commits("contacts").await;
    app.happened("user.deleted", &json!({"user_id": person.id}), 30).await;
    eventually("a commit is refused", async || database.has_refused_a_commit().await.then_some(()))
        .await;
    assert_eq!((app.count(gone).await, app.count(confirmations).await), (0, 0));
    database.allow_commits().await;
    confirmed().await;
    assert_eq!(app.count(gone).await, 1);

    // Asked again, it erases again, and says so; what comes late says nothing.
    app.happened("user.deleted", &json!({"user_id": person.id}), 31).await;
    confirmed().await;
    app.paid(person.id, Uuid::now_v7()).await;
    app.until_handled(4).await;
    assert_eq!(app.plain.waiting("ear").await, 0);
    assert_eq!(app.count(confirmations).await, 0);
}

#[tokio::test]
async fn a_deleted_user_is_told_nothing_more_whatever_comes_late() {
    let mut app = TestApp::start().await;
    let person = app.welcomed().await;
    deleted(&app, &person).await;
    app.paid(person.id, Uuid::now_v7()).await;
    app.user_created(person.id, "back@example.com", "Ada").await;
    updated(&app, &person, "back@example.com", Some(&person.email), 40).await;
    app.until_handled(5).await;
    app.stop().await;
    app.assert_nothing_waits().await;
    assert_eq!(app.count("select count(*) from notifications").await, 1);
    assert_eq!(app.mails().len(), 1);
}

#[tokio::test]
async fn of_a_deleted_user_neither_address_nor_name_is_left() {
    let app = TestApp::start().await;
    let person = app.person();
    app.user_created(person.id, &person.email, "Lovelace").await;
    app.until(&person, "welcome", "sent").await;
    deleted(&app, &person).await;
    let query = "select string_agg(row, '') from
                     (select contacts::text from contacts
                      union all select notifications::text from notifications
                      union all select messaging_outbox::text from messaging_outbox) as rows (row)";
    let rows: String = sqlx::query_scalar(query).fetch_one(&app.pool).await.unwrap();
    assert!(rows.contains(&person.id.to_string()), "{rows}");
    assert!(!rows.contains(&person.email) && !rows.contains("Lovelace"), "{rows}");
}

#[tokio::test]
async fn what_waits_for_a_user_or_is_on_its_way_ends_with_the_user() {
    for says in [Says::No("RCPT", "451 later"), Says::Nothing("RCPT")] {
        let server = MailServer::start(says).await;
        let variables = [("SMTP_URL", server.url()), ("MAIL_SEND_TIMEOUT", "1s".to_owned())];
        let mut app = TestApp::start_with(&variables.each_ref().map(|(k, v)| (*k, &**v))).await;
        let person = app.person();
        app.user_created(person.id, &person.email, "Ada").await;
        eventually("an attempt is under way", async || {
            let query = "select count(*) from notifications where attempts = 1";
            (app.count(query).await == 1).then_some(())
        })
        .await;
        deleted(&app, &person).await;
        let failed = app.until(&person, "welcome", "failed").await;
        assert_eq!(failed["failure_reason"], "the user is gone");
        server.say(Says::Yes);
        // What is on its way ends before the instance does.
        app.stop().await;
        let query = "select count(*) from notifications
                     where failure_reason = 'the user is gone' and recipient is null";
        assert_eq!(app.count(query).await, 1, "{says:?}");
        assert!(server.mails().is_empty(), "{says:?}");
    }
}

#[tokio::test]
async fn a_reason_can_add_no_markup() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let data = json!({
        "payment_id": Uuid::now_v7(), "user_id": person.id, "amount": 500, "currency": "JPY",
        "reason": "<b>Zoë</b>",
    });
    app.happened("payment.failed", &data, 3).await;
    app.until(&person, "payment_failure", "sent").await;
    let mails = app.mails_to(&person.email);
    let mail = mails.iter().find(|mail| mail.contains("declined")).unwrap();
    let html = mail.split("text/html").nth(1).unwrap();
    assert!(html.contains("&lt;b&gt;Zo=C3=AB") && !html.contains("<b>"), "{html}");
}

#[tokio::test]
async fn a_line_end_in_a_name_an_address_or_a_currency_makes_a_dead_letter_and_no_mail() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let eve = app.person();
    let two_lines = format!("{}\r\nBcc: {}", eve.email, person.email);
    app.user_created(eve.id, &two_lines, "Eve").await;
    app.user_created(eve.id, &eve.email, "Eve\r\nBcc: eve@example.com").await;
    let data = json!({
        "payment_id": Uuid::now_v7(), "user_id": person.id, "amount": 1999,
        "currency": "EUR\r\nBcc: eve@example.com",
    });
    app.happened("payment.completed", &data, 2).await;
    eventually("all three are dead-lettered", async || {
        (app.plain.waiting("notification-service.events.dead-letters").await == 3).then_some(())
    })
    .await;
    assert_eq!(app.mails().len(), 1, "the welcome of before");
    assert_eq!(app.count("select count(*) from notifications").await, 1);
}

#[tokio::test]
async fn fifty_users_and_two_instances_make_fifty_welcomes() {
    let mut app = TestApp::start().await;
    let mut other = app.fixture.start().await;
    let people: Vec<Person> = (0..50).map(|_| app.person()).collect();
    for person in &people {
        app.user_created(person.id, &person.email, "Ada").await;
    }
    for person in &people {
        app.until(person, "welcome", "sent").await;
        assert_eq!(app.mails_to(&person.email).len(), 1);
    }
    other.stop().await;
    app.stop().await;
    app.assert_nothing_waits().await;
    let query = "select count(distinct user_id) from notifications where attempts = 1";
    assert_eq!(app.count(query).await, 50);
    assert_eq!(
        (app.count("select count(*) from notifications").await, app.mails().len()),
        (50, 50)
    );
}
