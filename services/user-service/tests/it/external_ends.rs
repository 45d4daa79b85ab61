//! Accounts at the external issuer, and what was begun to be linked: what takes them away, and what does not.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{PASSWORD, Signed, TestApp};
use crate::external::{kind, signed, unlinking};
use crate::guesses::limited_with;
use crate::issuer::{Issuer, Person};

/// Whoever has found a session is not to take away a way in.
#[tokio::test]
async fn a_session_alone_unlinks_nothing_and_passwords_are_guessed_at_here_no_oftener_than_elsewhere()
 {
    let issuer = Issuer::start().await;
    let app = limited_with(&issuer.variables()).await;
    let user = app.new_user().await;
    assert_eq!(app.link(&issuer, &user, &Person::new()).await.0, 201);
    let account = &app.accounts(&user.token).await[0];
    let path = unlinking(account);
    let delete = path.trim_end_matches("/unlink");
    for (method, path) in [(Method::DELETE, delete), (Method::POST, &path)] {
        let request = app.request(method.clone(), path).bearer_auth(&user.token);
        let answer = request.json(&json!({})).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{method} {path}: {}", answer.status());
    }
    let mut answers = Vec::new();
    for path in ["/api/external-accounts", &path].repeat(3) {
        answers.push(app.post_as(&user.token, path, &json!({"password": "not it"})).await.0);
    }
    assert_eq!(answers, [422, 422, 422, 422, 422, 429]);
    assert_eq!(app.unlink(&user.token, account).await.0, 429);
    assert_eq!(app.noted("external-unlink", "wrong-password").await, 2);
    assert_eq!(app.noted("external-unlink", "too-many-tries").await, 2);
    assert_eq!(app.accounts(&user.token).await.len(), 1);
}

#[tokio::test]
async fn a_flow_that_links_ends_with_its_session() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let user = app.new_user().await;
    let thief: Value = app.sign_in(&user.email, PASSWORD).await.json().await.unwrap();
    let thief =
        Signed { token: thief["access_token"].as_str().unwrap().to_owned(), ..user.clone() };
    let flow = app.begin_link(&thief).await;
    let body = flow.body(&issuer.agrees(&flow.url, &Person::new()), &issuer.url);
    let path = format!("/api/users/{}/password", user.id);
    let other = json!({"current_password": PASSWORD, "new_password": "battery staple horse"});
    assert_eq!(app.put(&path, &user.token, &other).await.status(), 204);
    let refused = app.post_as(&thief.token, "/api/external-accounts/complete", &body).await;
    assert!([401, 422].contains(&refused.0), "{refused:?}");
    assert_eq!(app.count("select count(*) from external_accounts").await, 0);
}

#[tokio::test]
async fn a_user_who_is_deleted_is_let_in_by_nothing_and_nothing_of_it_is_left() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let user = app.new_user().await;
    let person = Person { email: user.email.clone(), ..Person::new() };
    assert_eq!(app.link(&issuer, &user, &person).await.0, 201);
    let pending = app.begin().await;
    let body = pending.body(&issuer.agrees(&pending.url, &person), &issuer.url);
    app.protected(&user).await;
    assert_eq!(app.completed(&body).await.0, 401, "it waits for a code");
    app.pending_link(&user).await;
    assert_eq!(app.count("select count(*) from external_flows").await, 2);
    assert_eq!(app.delete(&format!("/api/users/{}", user.id), &user.token).await, 204);
    for table in ["external_accounts", "external_flows"] {
        let rows = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        let rows: i64 =
            sqlx::query_scalar(rows).fetch_one(&app.database.pool().await).await.unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    assert_eq!(app.completed(&body).await.0, 422);
    // Who comes again is somebody new.
    let (status, session) = app.let_in(&issuer, &person).await;
    assert_eq!(status, 201);
    let me = app.me(&signed(&session, &person).token).await;
    assert_ne!(me["user_id"], user.id);

    // What a newer version has suspended signs in no more.
    let pool = app.database.pool().await;
    let checks = "alter table users drop constraint users_status_check";
    sqlx::query(checks).execute(&pool).await.unwrap();
    sqlx::query("update users set status = 'frozen' where status = 'active'")
        .execute(&pool)
        .await
        .unwrap();
    let refused = app.let_in(&issuer, &person).await;
    assert_eq!((refused.0, kind(&refused.1)), (401, "unauthorized"));
}

#[tokio::test]
async fn a_reset_by_mail_removes_what_was_linked_before_and_the_owner_is_told() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    // Somebody registers with an address of another, and links an account.
    let squatter = app.new_user().await;
    let person = Person::new();
    assert_eq!(app.link(&issuer, &squatter, &person).await.0, 201);
    // The owner has the address proven by a link in a mail; that alone takes nothing away.
    let proof = app.mail_token(&squatter.id, "verification").await;
    assert_eq!(app.verify(&proof).await.status(), 204);
    assert_eq!(app.accounts(&squatter.token).await.len(), 1);
    app.plain.listen("user.events", "ear").await;
    app.post("/api/password-resets", &json!({"email": squatter.email})).await;
    let reset = app.mail_token(&squatter.id, "password_reset").await;
    let body = json!({"token": reset, "password": "battery staple horse"});
    assert_eq!(app.post("/api/password-resets/complete", &body).await.status(), 204);
    assert_eq!(app.count("select count(*) from external_accounts").await, 0);
    let (status, session) = app.let_in(&issuer, &person).await;
    assert_eq!(status, 201);
    let me = app.me(&signed(&session, &person).token).await;
    assert_ne!(me["user_id"], squatter.id, "it is somebody else's now");
    assert_eq!(app.next_event("user.external_account_unlinked").await["user_id"], squatter.id);
    assert_eq!(app.noted("external-unlink", "reset").await, 1);
}

#[tokio::test]
async fn another_password_ends_what_was_begun_to_be_linked_in_the_session_that_goes_on() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let user = app.new_user().await;
    let flow = app.begin_link(&user).await;
    let back = issuer.agrees(&flow.url, &Person::new());
    let path = format!("/api/users/{}/password", user.id);
    let body = json!({"current_password": PASSWORD, "new_password": "battery staple horse"});
    assert_eq!(app.put(&path, &user.token, &body).await.status(), 204);
    let body = flow.body(&back, &issuer.url);
    let (status, _) = app.post_as(&user.token, "/api/external-accounts/complete", &body).await;
    assert_eq!(status, 422);
    assert_eq!(app.noted("external-link", "external-unknown").await, 1);
}
