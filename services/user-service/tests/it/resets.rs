//! Another password for whoever reads the user's mail, and nothing for whoever wants to know who is a
//! user.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::app::{PASSWORD, TestApp};
use crate::guesses::{address, limited};

const NEW: &str = "battery staple horse";
const PURPOSE: &str = "password_reset";

async fn ask(app: &TestApp, email: &str) -> StatusCode {
    app.post("/api/password-resets", &json!({"email": email})).await.status()
}

async fn reset(app: &TestApp, token: &str, password: &str) -> reqwest::Response {
    let body = json!({"token": token, "password": password});
    app.post("/api/password-resets/complete", &body).await
}

/// Waits until no request is left to be answered.
async fn answered(app: &TestApp) {
    eventually("all requests are answered", async || {
        let left = app.count("select count(*) from password_reset_requests").await;
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_reads_the_users_mail_sets_another_password_and_all_sessions_end() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    assert_eq!(ask(&app, &user.email.to_uppercase()).await, 202);
    let token = app.mail_token(&user.id, PURPOSE).await;

    assert_eq!(reset(&app, &token, NEW).await.status(), 204);

    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 401);
    let refresh = json!({"refresh_token": user.refresh_token});
    assert_eq!(app.post("/api/sessions/refresh", &refresh).await.status(), 401);
    let session: Value = app.sign_in(&user.email, NEW).await.json().await.unwrap();
    // The mail has arrived, which proves the address.
    let me = app.me(session["access_token"].as_str().unwrap()).await;
    assert_eq!(me["email_verified"], true);
    assert_eq!(reset(&app, &token, "a third password").await.status(), 422, "a second time");
    let told = "select count(*) from audit where action = 'password-reset'
                and outcome = 'success' and actor = 'user:' || target";
    assert_eq!(app.count(told).await, 0, "the target says what it is");
    let told = "select count(*) from audit where action = 'password-reset' and actor = target";
    assert_eq!(app.count(told).await, 1);
}

#[tokio::test]
async fn a_token_is_good_once_for_a_while_and_where_it_was_sent() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    let late = app.new_user().await;
    let moved = app.new_user().await;
    let twice = app.new_user().await;
    for user in [&late, &moved, &twice, &twice] {
        assert_eq!(ask(&app, &user.email).await, 202);
    }
    answered(&app).await;
    let lifetime = "select count(*) from mail_tokens where purpose = 'password_reset'
                    and expires_at - created_at between interval '29 minutes' and interval '31 minutes'";
    assert_eq!(app.count(lifetime).await, 4);
    let token = app.mail_token(&late.id, PURPOSE).await;
    let expire = "update mail_tokens set expires_at = now() where user_id = $1::uuid";
    sqlx::query(expire).bind(&late.id).execute(&pool).await.unwrap();
    assert_eq!(reset(&app, &token, NEW).await.status(), 422);

    // The address became another one after the mail went out.
    let token = app.mail_token(&moved.id, PURPOSE).await;
    let moving = "update users set email = 'elsewhere@example.com' where id = $1::uuid";
    sqlx::query(moving).bind(&moved.id).execute(&pool).await.unwrap();
    assert_eq!(reset(&app, &token, NEW).await.status(), 422);

    // The use of one ends the others; a password that is refused uses none.
    let tokens = app.mail_tokens(&twice.id, PURPOSE).await;
    assert_eq!(reset(&app, &tokens[1], "password123").await.status(), 422);
    assert_eq!(reset(&app, &tokens[1], NEW).await.status(), 204);
    assert_eq!(reset(&app, &tokens[0], NEW).await.status(), 422);
}

#[tokio::test]
async fn the_token_of_a_mail_is_in_no_table() {
    let app = TestApp::start_with(&[("OUTBOX_ARCHIVE", "24h")]).await;
    let user = app.new_user().await;
    assert_eq!(ask(&app, &user.email).await, 202);
    let tokens =
        [app.mail_token(&user.id, PURPOSE).await, app.mail_token(&user.id, "verification").await];
    eventually("the events are sent", async || {
        let sent = app.count("select count(*) from messaging_archive").await;
        (sent == 2).then_some(())
    })
    .await;
    let pool = app.database.pool().await;
    let tables = "select table_name::text from information_schema.tables
                  where table_schema = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&pool).await.unwrap();
    assert!(tables.len() > 12, "{tables:?}");
    for table in tables {
        // Bytes are written as hexadecimal digits, so texts within them are made readable too.
        let rows = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        let rows: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_one(&pool).await.unwrap();
        for token in &tokens {
            let hexadecimal =
                token.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
            assert!(!rows.contains(token) && !rows.contains(&hexadecimal), "{table}");
        }
    }
}

/// Users, tokens and events are locked by somebody else: whatever looks at one of them waits. So the
/// answer cannot depend on whether there is a user, nor can its time.
#[tokio::test]
async fn a_request_is_answered_without_a_look_at_who_is_a_user() {
    let app = TestApp::start_with(&[("DB_CHECKOUT_TIMEOUT", "30")]).await;
    let pool = app.database.pool().await;
    let user = app.new_user().await;
    let nobody = format!("{}@example.com", Uuid::now_v7().simple());
    let mut locked = pool.begin().await.unwrap();
    let lock = "lock table users, mail_tokens, messaging_outbox in access exclusive mode";
    sqlx::query(lock).execute(&mut *locked).await.unwrap();

    let mut answers = Vec::new();
    for email in [&user.email, &nobody] {
        let answer = app.post("/api/password-resets", &json!({"email": email})).await;
        let head = format!("{:?}", answer.headers().keys().collect::<Vec<_>>());
        answers.push((answer.status().as_u16(), head, answer.text().await.unwrap()));
    }

    assert_eq!(answers[0].0, 202);
    assert_eq!(answers[0], answers[1]);
    locked.commit().await.unwrap();
    // What each left behind was one row; only afterwards it makes a difference.
    answered(&app).await;
    app.mail_token(&user.id, PURPOSE).await;
    let sent = "select count(*) from mail_tokens where purpose = 'password_reset'";
    assert_eq!(app.count(sent).await, 1);
}

#[tokio::test]
async fn what_is_no_address_is_told_so() {
    let app = TestApp::start().await;
    for text in ["", "ada", "a b@example.com"] {
        assert_eq!(ask(&app, text).await, 422, "{text}");
    }
}

#[tokio::test]
async fn an_address_gets_ten_mails_a_day_and_a_client_asks_thirty_times_an_hour() {
    let app = limited().await;
    let user = app.new_user().await;
    let ask = async |from: &str, email: &str| {
        let request = app.request(Method::POST, "/api/password-resets");
        let request = request.header("x-forwarded-for", from).json(&json!({"email": email}));
        request.send().await.unwrap().status().as_u16()
    };
    let answers = (0..14).map(async |_| ask(&address(), &user.email).await);
    let answers = join_all(answers).await;
    assert_eq!(answers.iter().filter(|status| **status == 202).count(), 10, "{answers:?}");
    assert!(answers.iter().all(|status| [202, 429].contains(status)), "{answers:?}");
    let from = address();
    let strangers = (0..35).map(async |number| ask(&from, &format!("{number}@a.example")).await);
    let answers = join_all(strangers).await;
    let asked = answers.iter().filter(|status| **status == 202).count();
    assert!((30..=31).contains(&asked), "{answers:?}");
}

#[tokio::test]
async fn whoever_tried_too_many_passwords_signs_in_after_a_reset() {
    let app = limited().await;
    let user = app.new_user().await;
    let from = address();
    let post = async |path: &str, body: Value| {
        let request = app.request(Method::POST, path).header("x-forwarded-for", &from);
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    let sign_in = async |password: &str| {
        post("/api/sessions", json!({"email": user.email, "password": password})).await
    };
    let mut last = 0;
    for number in 0..6 {
        last = sign_in(&format!("guess number {number}")).await;
    }
    assert_eq!(last, 429);
    assert_eq!(post("/api/password-resets", json!({"email": user.email})).await, 202);
    let token = app.mail_token(&user.id, PURPOSE).await;
    let body = json!({"token": token, "password": NEW});
    assert_eq!(post("/api/password-resets/complete", body).await, 204);
    assert_eq!(sign_in(NEW).await, 201);
}

#[tokio::test]
async fn tokens_and_requests_that_are_late_are_removed() {
    let app = TestApp::start_with(&[("SESSION_SWEEP_INTERVAL", "100ms")]).await;
    let pool = app.database.pool().await;
    let user = app.new_user().await;
    let late = "insert into password_reset_requests (id, email, created_at)
                values (gen_random_uuid(), $1, now() - interval '61 minutes')";
    sqlx::query(late).bind(&user.email).execute(&pool).await.unwrap();
    sqlx::query("update mail_tokens set expires_at = now()").execute(&pool).await.unwrap();
    // It takes up the late one too, which is older.
    assert_eq!(ask(&app, "nobody@example.com").await, 202);
    answered(&app).await;
    eventually("no token is left", async || {
        (app.count("select count(*) from mail_tokens").await == 0).then_some(())
    })
    .await;
}
