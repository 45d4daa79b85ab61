//! Another password for whoever knows the one before.

use contracts::{Event, user::UserPasswordChanged};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::problem;

use crate::app::{CHEAP, PASSWORD, Signed, TestApp};
use crate::guesses::{address, limited};

const NEW: &str = "battery staple horse";

async fn change(app: &TestApp, user: &Signed, current: &str, new: &str) -> (u16, Value) {
    let body = json!({"current_password": current, "new_password": new});
    let answer = app.put(&format!("/api/users/{}/password", user.id), &user.token, &body).await;
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_password_is_replaced_by_whoever_knows_it_and_all_other_sessions_end() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let bystander = app.new_user().await;
    let other: Value = app.sign_in(&user.email, PASSWORD).await.json().await.unwrap();
    app.plain.listen("user.events", "ear").await;
    app.post("/api/password-resets", &json!({"email": user.email})).await;
    let reset = app.mail_token(&user.id, "password_reset").await;

    assert_eq!(change(&app, &user, PASSWORD, NEW).await.0, 204);

    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 401);
    assert_eq!(app.sign_in(&user.email, NEW).await.status(), 201);
    assert!(!app.refreshes(other["refresh_token"].as_str().unwrap()).await);
    assert!(app.refreshes(&user.refresh_token).await, "the own session goes on");
    assert!(app.refreshes(&bystander.refresh_token).await, "nobody else's ends");
    // Whoever had asked for a mail before gets nothing by it.
    let body = json!({"token": reset, "password": "another horse battery"});
    assert_eq!(app.post("/api/password-resets/complete", &body).await.status(), 422);
    let told = async || {
        let message = app.plain.next("ear").await;
        (message.routing_key.as_str() == UserPasswordChanged::TYPE).then_some(message)
    };
    let told = testkit::eventually("the user is told", told).await;
    let told: Value = serde_json::from_slice(&told.data).unwrap();
    assert_eq!(told["data"], json!({"user_id": user.id}));
}

#[tokio::test]
async fn a_wrong_current_password_or_a_bad_new_one_changes_nothing() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    for (current, new, pointer, detail) in [
        ("not the password", NEW, "/current_password", "is not the password"),
        (PASSWORD, "short", "/new_password", "needs 10 to 128 characters"),
        (PASSWORD, "Password123", "/new_password", "is one of the commonest passwords"),
    ] {
        let (status, answer) = change(&app, &user, current, new).await;
        assert_eq!(status, 422);
        assert_eq!(answer["errors"], json!([{"pointer": pointer, "detail": detail}]));
    }
    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 201);
}

#[tokio::test]
async fn nobody_sets_the_password_of_somebody_else_administrators_neither() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let other = app.new_user().await;
    for token in [other.token.clone(), app.admin_token()] {
        let somebody_else = Signed { token, ..Signed::clone(&user) };
        assert_eq!(change(&app, &somebody_else, PASSWORD, NEW).await.0, 404);
    }
}

#[tokio::test]
async fn of_two_changes_at_the_same_moment_one_is_made() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let (one, other) = ("the first of two", "the second of two");
    let both =
        tokio::join!(change(&app, &user, PASSWORD, one), change(&app, &user, PASSWORD, other),);
    let mut statuses = [both.0.0, both.1.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 422]);
    let made = if both.0.0 == 204 { one } else { other };
    assert_eq!(app.sign_in(&user.email, made).await.status(), 201);
}

/// A sign-in hashes for a while; the password is replaced meanwhile.
#[tokio::test]
async fn no_session_opens_for_a_password_that_was_replaced_while_it_was_hashed() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    let user = app.new_user().await;
    // Whoever replaces it holds the row; the sign-in has read the hash before and waits for it.
    let mut replacing = pool.begin().await.unwrap();
    let lock = "update users set password_version = password_version + 1 where id = $1::uuid";
    sqlx::query(lock).bind(&user.id).execute(&mut *replacing).await.unwrap();
    let sign_in = app.sign_in(&user.email, PASSWORD);
    let replace = async {
        testkit::eventually("the sign-in waits for the row", async || {
            let waiting = "select count(*) from pg_stat_activity
                           where wait_event_type = 'Lock' and datname = current_database()";
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&pool).await.unwrap();
            (waiting > 0).then_some(())
        })
        .await;
        let end = "delete from sessions where user_id = $1::uuid";
        sqlx::query(end).bind(&user.id).execute(&mut *replacing).await.unwrap();
        replacing.commit().await.unwrap();
    };
    let (signed_in, ()) = tokio::join!(sign_in, replace);
    assert_eq!(signed_in.status(), 401);
    assert_eq!(app.count("select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn whoever_has_found_a_session_guesses_five_times_and_then_waits() {
    let app = limited().await;
    let user = app.new_user().await;
    let path = format!("/api/users/{}/password", user.id);
    let guess = async |from: &str, password: &str| {
        let body = json!({"current_password": password, "new_password": NEW});
        let request = app.request(Method::PUT, &path).bearer_auth(&user.token).json(&body);
        problem(request.header("x-forwarded-for", from)).await.0
    };
    let thief = address();
    let mut answers = Vec::new();
    for number in 0..7 {
        answers.push(guess(&thief, &format!("guess number {number}")).await);
    }
    assert_eq!(answers, [422, 422, 422, 422, 422, 429, 429]);
    assert_eq!(guess(&thief, PASSWORD).await, 429, "the right one too");
    // The owner, who is elsewhere, is shut out neither there nor at sign-in.
    assert_eq!(guess(&address(), "not the password").await, 422);
    let metrics = app.get("/metrics", "").await.text().await.unwrap();
    let value = |outcome: &str| -> u64 {
        let series = format!("user_password_changes_total{{outcome=\"{outcome}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
    };
    assert!(value("failed") >= 6 && value("refused") >= 3);
}

#[tokio::test]
async fn a_common_password_is_refused_at_registration() {
    let app = TestApp::start().await;
    for password in ["password123", "PASSWORD123", "qwertyuiop", "1q2w3e4r5t6y"] {
        let body = json!({"email": "ada@example.com", "name": "Ada", "password": password});
        let (status, answer) = problem(app.request(Method::POST, "/api/users").json(&body)).await;
        assert_eq!(status, 422);
        let detail = "is one of the commonest passwords";
        assert_eq!(answer["errors"], json!([{"pointer": "/password", "detail": detail}]));
    }
}

/// A hash of fewer passes and less memory than those of today.
#[tokio::test]
async fn a_password_whose_hash_is_cheap_to_guess_is_hashed_again_at_the_next_sign_in() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let pool = app.database.pool().await;
    let set = sqlx::query("update users set password_hash = $2 where id = $1::uuid");
    set.bind(&user.id).bind(CHEAP).execute(&pool).await.unwrap();

    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 201);

    let hash = sqlx::query_scalar("select password_hash from users where id = $1::uuid");
    let hash: String = hash.bind(&user.id).fetch_one(&pool).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 201);
}
