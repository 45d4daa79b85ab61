//! What protects an account, through all services: the owner is told by mail of each step.

use reqwest::Method;
use serde_json::{Value, json};

use crate::system::{PASSWORD, System, code_of_app};

/// What a sign-in with these credentials gives.
async fn sign_in(system: &System, credentials: &Value) -> (u16, Value) {
    let request = system.request(Method::POST, &system.users.url("/api/sessions"));
    let answer = request.json(credentials).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn the_owner_is_notified_that_a_used_refresh_token_came_again() {
    let system = System::start().await;
    let user = system.new_user().await;
    system.until_sent(&user.token, "welcome").await;
    let credentials = json!({"email": user.email, "password": PASSWORD});
    let (_, stolen) = sign_in(&system, &credentials).await;
    let mut token = stolen["refresh_token"].clone();
    let refresh = async |token: &Value| {
        let request = system.request(Method::POST, &system.users.url("/api/sessions/refresh"));
        let answer = request.json(&json!({"refresh_token": token})).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    for _ in 0..2 {
        let (status, next) = refresh(&token).await;
        assert_eq!(status, 200);
        token = next["refresh_token"].clone();
    }
    // The thief is late, and so is whoever of both comes next.
    assert_eq!(refresh(&stolen["refresh_token"]).await.0, 401);
    assert_eq!(refresh(&token).await.0, 401);

    system.until_sent(&user.token, "session_reused").await;
    let mails = system.mails_to(&user.email);
    let told = mails.iter().filter(|mail| mail.contains("A device was signed out to protect"));
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn a_second_factor_is_switched_on_asked_for_and_switched_off_and_each_is_told_by_mail() {
    let system = System::start().await;
    let user = system.new_user().await;
    system.until_sent(&user.token, "welcome").await;
    let post = async |path: &str, body: Value| {
        let path = format!("/api/second-factor{path}");
        system.ask(Method::POST, &path, &user.token, &body).await
    };
    let enrolled = post("", json!({"password": PASSWORD})).await;
    let secret = enrolled["secret"].as_str().unwrap();
    let uri = enrolled["otpauth_uri"].as_str().unwrap();
    assert!(uri.starts_with("otpauth://totp/") && uri.contains(secret), "{uri}");
    let codes = post("/complete", json!({"code": code_of_app(secret, 0)})).await;
    system.until_sent(&user.token, "second_factor_enabled").await;

    let mut credentials = json!({"email": user.email, "password": PASSWORD});
    let (status, asked) = sign_in(&system, &credentials).await;
    assert_eq!((status, &asked["type"]), (401, &json!("/problems/second-factor")));
    credentials["code"] = json!(code_of_app(secret, 1));
    assert_eq!(sign_in(&system, &credentials).await.0, 201);
    assert_eq!(sign_in(&system, &credentials).await.0, 401, "the same code once more");
    credentials["code"] = codes["recovery_codes"][0].clone();
    assert_eq!(sign_in(&system, &credentials).await.0, 201);
    system.until_sent(&user.token, "recovery_code_used").await;

    post("/disable", json!({"password": PASSWORD, "code": codes["recovery_codes"][1]})).await;
    system.until_sent(&user.token, "second_factor_disabled").await;
    let credentials = json!({"email": user.email, "password": PASSWORD});
    assert_eq!(sign_in(&system, &credentials).await.0, 201);
    let mails = system.mails_to(&user.email).concat();
    assert!(!mails.contains(secret), "{mails}");
}
