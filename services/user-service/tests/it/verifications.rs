//! Addresses: proven by what comes there, changed once that is so, and told to whom they concern.

use contracts::user::{UserCreated, UserEmailVerificationRequested, UserUpdated};
use contracts::{Envelope, Event};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{PASSWORD, Signed, TestApp, mail_token};
use crate::guesses::{address, limited};

const PURPOSE: &str = "verification";

async fn change_email(app: &TestApp, user: &Signed, email: &str) -> Value {
    let path = format!("/api/users/{}", user.id);
    let change = json!({"email": email, "current_password": PASSWORD});
    let changed = app.patch(&path, &user.token, "*", &change).await;
    assert_eq!(changed.status(), 200);
    changed.json().await.unwrap()
}

async fn ask_again(app: &TestApp, token: &str) -> StatusCode {
    let request = app.request(Method::POST, "/api/email-verifications").bearer_auth(token);
    request.send().await.unwrap().status()
}

/// The event of this type that comes next, whatever comes before it.
async fn heard<E: Event>(app: &TestApp) -> E {
    loop {
        let message = app.plain.next("ear").await;
        if message.routing_key.as_str() == E::TYPE {
            return serde_json::from_slice::<Envelope<E>>(&message.data).unwrap().data;
        }
    }
}

#[tokio::test]
async fn whoever_registers_signs_in_at_once_and_proves_the_address_by_the_token_of_the_event() {
    let app = TestApp::start().await;
    app.plain.listen("user.events", "ear").await;
    let user = app.new_user().await;
    assert_eq!(app.me(&user.token).await["email_verified"], false);
    let created: UserCreated = heard(&app).await;
    let token = mail_token(created.token_id.unwrap().as_uuid());
    assert_eq!(app.mail_tokens(&user.id, PURPOSE).await, std::slice::from_ref(&token));

    assert_eq!(app.verify(&token).await.status(), 204);

    let me = app.me(&user.token).await;
    assert_eq!((&me["email_verified"], &me["version"]), (&json!(true), &json!(2)));
    assert_eq!(app.verify(&token).await.status(), 422, "a second time");
}

#[tokio::test]
async fn a_token_that_is_unknown_used_late_or_for_something_else_gets_the_same_answer() {
    let app = TestApp::start().await;
    let one = app.new_user().await;
    let other = app.new_user().await;
    let used = app.mail_token(&one.id, PURPOSE).await;
    assert_eq!(app.verify(&used).await.status(), 204);
    let late = app.mail_token(&other.id, PURPOSE).await;
    let pool = app.database.pool().await;
    let expire = "update mail_tokens set expires_at = now() where user_id = $1::uuid";
    sqlx::query(expire).bind(&other.id).execute(&pool).await.unwrap();
    app.post("/api/password-resets", &json!({"email": one.email})).await;
    let reset = app.mail_token(&one.id, "password_reset").await;
    let mut bodies = Vec::new();
    for token in [used.as_str(), &late, &reset, "", "nonsense", &mail_token(Uuid::nil())] {
        let answer = app.verify(token).await;
        assert_eq!(answer.status(), 422);
        bodies.push(answer.text().await.unwrap());
    }
    assert!(bodies[0].contains("/token"), "{bodies:?}");
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(app.me(&other.token).await["email_verified"], false);
}

#[tokio::test]
async fn of_two_who_show_one_token_at_the_same_moment_one_is_told_that_it_was_used() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let token = app.mail_token(&user.id, PURPOSE).await;
    let both = tokio::join!(app.verify(&token), app.verify(&token));
    let mut statuses = [both.0.status().as_u16(), both.1.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 422]);
}

#[tokio::test]
async fn a_new_address_is_pending_until_it_is_proven_and_the_one_before_goes_on_until_then() {
    let app = TestApp::start().await;
    app.plain.listen("user.events", "ear").await;
    let user = app.new_user().await;
    let new = format!("new-{}", user.email);

    let changed = change_email(&app, &user, &new).await;

    assert_eq!(changed["email"], json!(user.email));
    assert_eq!(changed["pending_email"], json!(new));
    assert_eq!(app.sign_in(&new, PASSWORD).await.status(), 401);
    let asked: UserEmailVerificationRequested = heard(&app).await;
    assert_eq!((asked.email.as_str(), asked.is_change), (new.as_str(), true));

    let token = mail_token(asked.token_id.as_uuid());
    assert_eq!(app.verify(&token).await.status(), 204);

    assert!(!app.refreshes(&user.refresh_token).await, "the sessions of before have ended");
    let session = app.sign_in(&new, PASSWORD).await;
    assert_eq!(session.status(), 201);
    let session: Value = session.json().await.unwrap();
    let me = app.me(session["access_token"].as_str().unwrap()).await;
    assert_eq!((&me["email"], &me["email_verified"]), (&json!(new), &json!(true)));
    assert!(me.get("pending_email").is_none(), "{me}");
    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 401);
    let updated: UserUpdated = heard(&app).await;
    assert_eq!((updated.email, updated.previous_email), (new, Some(user.email)));
    // What went to the address before is good for nothing.
    assert_eq!(app.count("select count(*) from mail_tokens").await, 0);
}

#[tokio::test]
async fn the_old_address_is_told_that_another_one_was_asked_for_and_not_which() {
    let app = TestApp::start().await;
    app.plain.listen("user.events", "ear").await;
    let user = app.new_user().await;
    change_email(&app, &user, "elsewhere@example.com").await;
    heard::<UserCreated>(&app).await;
    let told = app.plain.next("ear").await;
    assert_eq!(told.routing_key.as_str(), "user.email_change_requested");
    let told: Value = serde_json::from_slice(&told.data).unwrap();
    assert_eq!(told["data"], json!({"user_id": user.id}));
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_when_it_is_asked_for_and_when_it_is_proven() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let other = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    let taken = json!({"email": other.email.to_uppercase(), "current_password": PASSWORD});
    assert_eq!(app.patch(&path, &user.token, "*", &taken).await.status(), 409);

    change_email(&app, &user, "raced@example.com").await;
    let token = app.mail_token(&user.id, PURPOSE).await;
    assert_eq!(app.register("raced@example.com").await.status(), 201);
    assert_eq!(app.verify(&token).await.status(), 409);
    assert_eq!(app.me(&user.token).await["email"], json!(user.email));
}

#[tokio::test]
async fn the_own_address_ends_a_change_that_is_pending_and_its_token() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    change_email(&app, &user, "typo@example.com").await;
    let token = app.mail_token(&user.id, PURPOSE).await;
    let changed = change_email(&app, &user, &user.email.to_uppercase()).await;
    assert!(changed.get("pending_email").is_none(), "{changed}");
    assert_eq!(app.verify(&token).await.status(), 422);
    assert_eq!(app.me(&user.token).await["email"], json!(user.email));
}

#[tokio::test]
async fn the_mail_is_sent_again_when_it_is_asked_for_and_each_token_is_good_until_one_is_used() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    assert_eq!(ask_again(&app, &user.token).await, 202);
    let tokens = app.mail_tokens(&user.id, PURPOSE).await;
    assert_eq!(tokens.len(), 2);
    // The older one: a stranger who asks for another makes none worthless.
    assert_eq!(app.verify(&tokens[1]).await.status(), 204);
    assert_eq!(app.verify(&tokens[0]).await.status(), 422);
    // There is nothing left to prove.
    assert_eq!(ask_again(&app, &user.token).await, 202);
    assert_eq!(app.count("select count(*) from mail_tokens").await, 0);
    assert_eq!(ask_again(&app, "").await, 401);
}

#[tokio::test]
async fn a_user_asks_for_five_mails_an_hour_and_no_more() {
    let app = limited().await;
    let user = app.new_user().await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(ask_again(&app, &user.token).await.as_u16());
    }
    assert_eq!(statuses, [202, 202, 202, 202, 202, 429, 429, 429]);
    // Whoever has the mail is not kept from proving the address.
    let token = app.mail_token(&user.id, PURPOSE).await;
    let complete = app.request(Method::POST, "/api/email-verifications/complete");
    let complete = complete.header("x-forwarded-for", address()).json(&json!({"token": token}));
    assert_eq!(complete.send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_refused_address_is_shown_and_counts_again_once_a_mail_arrives_there() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    app.subscribed().await;
    assert_eq!(app.verify(&app.mail_token(&user.id, PURPOSE).await).await.status(), 204);
    let failed = json!({
        "notification_id": Uuid::now_v7(), "user_id": user.id, "kind": "welcome",
        "channel": "email", "permanent": true, "user_version": 1,
    });
    app.plain.publish("notification.failed", &failed).await;
    testkit::eventually("the address is marked", async || {
        (app.me(&user.token).await["email_deliverable"] == false).then_some(())
    })
    .await;
    app.plain.listen("user.events", "ear").await;
    assert_eq!(ask_again(&app, &user.token).await, 202);
    assert_eq!(app.verify(&app.mail_token(&user.id, PURPOSE).await).await.status(), 204);
    assert_eq!(app.me(&user.token).await["email_deliverable"], true);
    // Whoever sends mails hears of it.
    assert_eq!(heard::<UserUpdated>(&app).await.changed, ["email_deliverable"]);
}

#[tokio::test]
async fn a_deleted_user_leaves_no_address_and_no_token_also_when_the_version_before_deletes() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    for by_the_version_before in [false, true] {
        let user = app.new_user().await;
        change_email(&app, &user, &format!("new-{}", user.email)).await;
        if by_the_version_before {
            let delete = "update users set status = 'deleted', email = id || '@deleted.invalid',
                                 password_hash = null where id = $1::uuid";
            sqlx::query(delete).bind(&user.id).execute(&pool).await.unwrap();
        } else {
            let delete = app.request(Method::DELETE, &format!("/api/users/{}", user.id));
            assert_eq!(delete.bearer_auth(&user.token).send().await.unwrap().status(), 204);
        }
        let rows = "select (select string_agg(users::text, '') from users)
                        || coalesce((select string_agg(mail_tokens::text, '') from mail_tokens), '')";
        let rows: String = sqlx::query_scalar(rows).fetch_one(&pool).await.unwrap();
        assert!(!rows.contains(&user.email), "{by_the_version_before}: {rows}");
    }
}

#[tokio::test]
async fn a_user_in_a_status_of_a_newer_version_is_shown_and_breaks_no_list() {
    let app = TestApp::start().await;
    let frozen = app.new_user().await;
    let other = app.new_user().await;
    let pool = app.database.pool().await;
    let newer = "alter table users drop constraint users_status_check;
                 update users set status = 'frozen' where email = ";
    let newer = format!("{newer}'{}'", frozen.email);
    sqlx::raw_sql(sqlx::AssertSqlSafe(newer)).execute(&pool).await.unwrap();
    let list: Value = app.get("/api/users", &app.admin_token()).await.json().await.unwrap();
    let statuses = |list: &Value| {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&list), ["active", "frozen"], "{list}");
    let name = json!({"name": "Another"});
    let path = format!("/api/users/{}", frozen.id);
    assert_eq!(app.patch(&path, &frozen.token, "*", &name).await.status(), 503);
    let kept: String = sqlx::query_scalar("select status from users where id <> $1::uuid")
        .bind(&other.id)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(kept, "frozen");
}
