//! Signing in, staying signed in, signing out.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{PASSWORD, TestApp};

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_get_the_same_answer() {
    let app = TestApp::start().await;
    let user = app.somebody().await;
    let wrong = app.sign_in(&user.email, "correct horse batterx").await;
    let unknown = app.sign_in("nobody@example.com", PASSWORD).await;
    let malformed = app.sign_in("no address", PASSWORD).await;
    let mut bodies = Vec::new();
    for answer in [wrong, unknown, malformed] {
        assert_eq!(answer.status(), 401);
        bodies.push(answer.text().await.unwrap());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_use_even_when_two_use_it_at_once() {
    let app = TestApp::start().await;
    let user = app.somebody().await;
    let body = json!({"refresh_token": user.refresh_token});
    let refresh = || app.post("/api/sessions/refresh", &body);
    let both = tokio::join!(refresh(), refresh());
    let mut answers = [both.0, both.1];
    answers.sort_by_key(reqwest::Response::status);
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(statuses, [200, 401]);
    let [next, _] = answers;
    let next: Value = next.json().await.unwrap();
    let token = next["access_token"].as_str().unwrap();
    assert_eq!(app.get("/api/users/me", token).await.status(), 200);
    let body = json!({"refresh_token": next["refresh_token"]});
    assert_eq!(app.post("/api/sessions/refresh", &body).await.status(), 200);
}

#[tokio::test]
async fn signing_out_ends_the_session_and_no_other() {
    let app = TestApp::start().await;
    let user = app.somebody().await;
    let other: Value = app.sign_in(&user.email, PASSWORD).await.json().await.unwrap();
    let sign_out = app.request(Method::DELETE, "/api/sessions/current").bearer_auth(&user.token);
    assert_eq!(sign_out.send().await.unwrap().status(), 204);
    let refresh = |token: &str| {
        let body = json!({"refresh_token": token});
        let app = &app;
        async move { app.post("/api/sessions/refresh", &body).await.status().as_u16() }
    };
    assert_eq!(refresh(&user.refresh_token).await, 401);
    assert_eq!(refresh(other["refresh_token"].as_str().unwrap()).await, 200);
}

#[tokio::test]
async fn neither_password_nor_refresh_token_is_stored() {
    let app = TestApp::start().await;
    let user = app.somebody().await;
    let pool = app.database.pool().await;
    let dump: String = sqlx::query_scalar(
        "select (select string_agg(users::text, '') from users)
             || (select string_agg(sessions::text, '') from sessions)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(dump.contains("$argon2id$"), "{dump}");
    assert!(!dump.contains(PASSWORD) && !dump.contains(&user.refresh_token), "{dump}");
}
