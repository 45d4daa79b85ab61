//! Mails with links: the token of a link is in the mail, and nowhere else.

use auth::{MailTokens, ServiceSecret};
use chassis::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Person, TestApp, header};
use crate::mail_server::{MailServer, Says};

/// The token of an id, as user-service makes it.
fn token_of(id: Uuid) -> String {
    let secret = ServiceSecret::try_from("test-only-notification-service-token".to_owned());
    MailTokens::new(&secret.unwrap()).token(id).expose().to_owned()
}

/// Publishes an event of now, with a token that is good for so long.
async fn publish(app: &TestApp, event: &str, mut data: Value, valid_for: TimeDelta) -> String {
    let now = Clock::system().now();
    let id = Uuid::now_v7();
    let expires_at: DateTime<Utc> = now + valid_for;
    data["token_id"] = json!(id);
    data["expires_at"] = json!(expires_at);
    app.plain.publish_at(event, &data, &now.to_rfc3339()).await;
    token_of(id)
}

async fn registered(app: &TestApp, person: &Person) -> String {
    let data = json!({"user_id": person.id, "email": person.email, "name": "Zephyrine"});
    let token = publish(app, "user.created", data, TimeDelta::hours(24)).await;
    app.until(person, "welcome", "sent").await;
    token
}

/// The one mail to an address with this subject.
fn mail(app: &TestApp, to: &str, subject: &str) -> String {
    let mails = app.mails_to(to).into_iter();
    let mut found: Vec<String> = mails.filter(|mail| header(mail, "Subject") == subject).collect();
    assert_eq!(found.len(), 1, "{subject}");
    found.remove(0)
}

#[tokio::test]
async fn the_welcome_has_the_link_that_proves_the_address_and_no_words_of_whoever_registered_it() {
    let app = TestApp::start_with(&[("FRONT_END_URL", "https://app.example.com")]).await;
    let person = app.person();
    let token = registered(&app, &person).await;
    let mail = mail(&app, &person.email, "Welcome");
    let link = format!("https://app.example.com/verify-email#token={token}");
    assert_eq!(mail.matches(&link).count(), 3, "as text, and as address and text of HTML: {mail}");
    assert!(mail.contains("within 24 hours.") && !mail.contains("Zephyrine"), "{mail}");
}

#[tokio::test]
async fn what_proves_a_new_address_goes_there_alone_and_its_refusal_says_nothing_of_the_old_one() {
    let server = MailServer::start(Says::Yes).await;
    let app = TestApp::start_with(&[("SMTP_URL", &server.url())]).await;
    let person = app.welcomed().await;
    server.say(Says::No("RCPT", "550 5.1.1 no such mailbox"));
    let data = json!({
        "user_id": person.id, "email": "new@example.com", "is_change": true, "version": 2,
    });
    let requested = "user.email_verification_requested";
    publish(&app, requested, data.clone(), TimeDelta::hours(24)).await;
    app.until(&person, "email_change", "failed").await;
    server.say(Says::Yes);
    app.happened("user.email_change_requested", &json!({"user_id": person.id}), 20).await;
    app.until(&person, "email_change_requested", "sent").await;
    // The old address gets ordinary mail as before.
    app.paid(person.id, Uuid::now_v7()).await;
    app.until(&person, "payment_receipt", "sent").await;
    let token = publish(&app, requested, data, TimeDelta::hours(24)).await;
    app.until(&person, "email_change", "sent").await;

    let mails = server.mails();
    let to = |address: &str| {
        let to = mails.iter().filter(|mail| header(mail, "To") == address);
        to.map(|mail| header(mail, "Subject").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(to("new@example.com"), ["Confirm your new e-mail address"]);
    let old = to(&person.email);
    assert_eq!(old, ["Welcome", "Another e-mail address was asked for", "Receipt: 19.99 EUR"]);
    let links = mails.iter().filter(|mail| mail.contains(&token));
    assert!(links.map(|mail| header(mail, "To")).eq(["new@example.com"]));
}

#[tokio::test]
async fn a_reset_and_a_changed_password_are_mailed_and_a_link_whose_time_is_up_is_not() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let data = json!({"user_id": person.id, "email": person.email, "version": 1});
    let requested = "user.password_reset_requested";
    let token = publish(&app, requested, data.clone(), TimeDelta::minutes(30)).await;
    app.until(&person, "password_reset", "sent").await;
    let reset = mail(&app, &person.email, "Choose a new password");
    assert!(reset.contains(&format!("/reset-password#token={token}")), "{reset}");
    assert!(reset.contains("within 30 minutes."), "{reset}");

    let late = publish(&app, requested, data, TimeDelta::seconds(-1)).await;
    let failed = app.until(&person, "password_reset", "failed").await;
    assert_eq!(failed["failure_reason"], "the time of its link is up");
    assert!(!app.mails().iter().any(|mail| mail.contains(&late)));

    app.happened("user.password_changed", &json!({"user_id": person.id}), 30).await;
    app.until(&person, "password_changed", "sent").await;
    mail(&app, &person.email, "Your password was changed");
}

#[tokio::test]
async fn no_table_has_the_token_of_a_link_before_or_after_its_mail_is_sent() {
    let server = MailServer::start(Says::No("RCPT", "451 later")).await;
    let app = TestApp::start_with(&[("SMTP_URL", &server.url()), ("OUTBOX_ARCHIVE", "24h")]).await;
    let person = app.person();
    let data = json!({"user_id": person.id, "email": person.email, "name": "Ada"});
    let token = publish(&app, "user.created", data, TimeDelta::hours(24)).await;
    app.until_put_off(&person).await;
    assert_no_table_has(&app, &token).await;
    server.say(Says::Yes);
    app.make_due().await;
    app.until(&person, "welcome", "sent").await;
    assert!(server.mails().iter().any(|mail| mail.contains(&token)), "it went the whole way");
    assert_no_table_has(&app, &token).await;
    // Nor does the API tell it.
    let shown = app.get("/api/notifications", &person.token).await.text().await.unwrap();
    assert!(!shown.contains(&token) && shown.contains("welcome"), "{shown}");
}

async fn assert_no_table_has(app: &TestApp, token: &str) {
    let hexadecimal = token.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let tables = "select table_name::text from information_schema.tables
                  where table_schema = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&app.pool).await.unwrap();
    assert!(tables.len() > 8, "{tables:?}");
    for table in tables {
        let rows = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        let rows: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_one(&app.pool).await.unwrap();
        assert!(!rows.contains(token) && !rows.contains(&hexadecimal), "{table}: {rows}");
    }
}

#[tokio::test]
async fn an_address_that_refused_mail_gets_what_the_account_needs_and_nothing_else_until_it_is_reached()
 {
    let server = MailServer::start(Says::No("RCPT", "550 5.1.1 no such mailbox")).await;
    let app = TestApp::start_with(&[("SMTP_URL", &server.url())]).await;
    let person = app.person();
    app.user_created(person.id, &person.email, "Ada").await;
    app.until(&person, "welcome", "failed").await;
    server.say(Says::Yes);
    let write = async || {
        let body = json!({"user_id": person.id, "subject": "News", "text": "There are some."});
        let request = app.request(Method::POST, "/api/notifications").json(&body);
        let token = app.payment_service();
        request.bearer_auth(token).send().await.unwrap().status().as_u16()
    };

    app.paid(person.id, Uuid::now_v7()).await;
    app.until_handled(2).await;
    assert_eq!(write().await, 422);
    let data = json!({"user_id": person.id, "email": person.email, "version": 1});
    publish(&app, "user.password_reset_requested", data, TimeDelta::minutes(30)).await;
    app.until(&person, "password_reset", "sent").await;
    assert_eq!(server.mails().len(), 1);

    // A change of the name does not bring it back; that mail arrived does.
    let changed = |fields: &[&str], second| {
        let data = json!({"user_id": person.id, "email": person.email, "changed": fields});
        let app = &app;
        async move { app.happened("user.updated", &data, second).await }
    };
    changed(&["name"], 20).await;
    app.until_handled(4).await;
    assert_eq!(write().await, 422);
    changed(&["email_deliverable"], 21).await;
    app.until_handled(5).await;
    assert_eq!(write().await, 201);
    app.until(&person, "message", "sent").await;
}

#[tokio::test]
async fn a_notification_of_a_newer_version_is_shown_and_breaks_no_list_and_is_not_sent() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let newer = "alter table notifications drop constraint notifications_status_check;
                 alter table notifications drop constraint notifications_check;
                 alter table notifications drop constraint notifications_check1;
                 insert into notifications
                     select (jsonb_populate_record(n, jsonb_build_object('id', gen_random_uuid(),
                             'kind', 'postcard', 'status', word, 'source', word,
                             'recipient', 'ada@example.com', 'next_attempt_at', now()))).*
                     from notifications n, unnest(array['pending', 'paused']) word;";
    sqlx::raw_sql(newer).execute(&app.pool).await.unwrap();
    let mut shown: Vec<(Value, Value)> = app
        .list(&person)
        .await
        .into_iter()
        .map(|item| (item["kind"].clone(), item["status"].clone()))
        .collect();
    shown.sort_by_key(|(kind, status)| format!("{kind}{status}"));
    let expected = [("postcard", "paused"), ("postcard", "pending"), ("welcome", "sent")];
    assert_eq!(shown, expected.map(|(kind, status)| (json!(kind), json!(status))));
    // What comes later is sent, past the one that this version cannot send.
    app.paid(person.id, Uuid::now_v7()).await;
    app.until(&person, "payment_receipt", "sent").await;
    let untouched = "select count(*) from notifications where kind = 'postcard' and attempts = 1";
    assert_eq!(app.count(untouched).await, 2, "as it was copied");
}
