//! Passwords that are guessed at, and what strangers can cause.

use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::json;
use uuid::Uuid;

use crate::app::{PASSWORD, TestApp};

/// A service that limits, and believes what a client on this machine says of its address.
pub(crate) async fn limited() -> TestApp {
    limited_with(&[]).await
}

/// The same, with other variables.
pub(crate) async fn limited_with(variables: &[(&'static str, &str)]) -> TestApp {
    let limited = [
        ("RATE_LIMIT_ENABLED", "true"),
        // Long enough for a machine that is busy with other tests.
        ("RATE_LIMIT_REDIS_TIMEOUT", "500ms"),
        // Longer than a test takes, so that no delay is over within one.
        ("SIGN_IN_INITIAL_DELAY", "10m"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("PASSWORD_WAIT", "10s"),
    ];
    let app = TestApp::start_with(&[&limited[..], variables].concat()).await;
    // The first request to need Redis does not wait for the connection.
    testkit::eventually("redis is connected", async || {
        let health = app.get("/health", "").await.json::<serde_json::Value>().await.ok()?;
        (health["checks"]["redis"] == true).then_some(())
    })
    .await;
    app
}

/// An address that no other test has.
pub(crate) fn address() -> String {
    let random = Uuid::now_v7().as_u128();
    format!("2001:db8:{:x}:{:x}::1", (random >> 16) & 0xffff, random & 0xffff)
}

async fn sign_in(app: &TestApp, from: &str, email: &str, password: &str) -> Response {
    let request = app.request(Method::POST, "/api/sessions").header("x-forwarded-for", from);
    request.json(&json!({"email": email, "password": password})).send().await.unwrap()
}

async fn register(app: &TestApp, from: &str, email: &str) -> Response {
    let request = app.request(Method::POST, "/api/users").header("x-forwarded-for", from);
    let body = json!({"email": email, "name": "Ada", "password": PASSWORD});
    request.json(&body).send().await.unwrap()
}

fn somewhere() -> String {
    format!("{}@example.com", Uuid::now_v7().simple())
}

/// How many of a thousand guesses were compared with a hash, each from the next of these addresses.
async fn hashed(app: &TestApp, email: &str, addresses: &[String]) -> usize {
    let guesses = (0..1_000).zip(addresses.iter().cycle());
    let mut hashed = 0;
    for batch in guesses.collect::<Vec<_>>().chunks(50) {
        let answers = batch.iter().map(|(number, from)| async move {
            sign_in(app, from, email, &format!("guess number {number}")).await.status().as_u16()
        });
        for status in join_all(answers).await {
            assert!(status == 401 || status == 429, "{status}");
            hashed += usize::from(status == 401);
        }
    }
    hashed
}

#[tokio::test]
async fn a_thousand_guesses_from_one_address_cost_five_hashes_whether_or_not_there_is_the_account()
{
    let app = limited().await;
    let user = app.new_user().await;
    for email in [user.email, somewhere()] {
        assert_eq!(hashed(&app, &email, &[address()]).await, 5);
    }
}

#[tokio::test]
async fn a_thousand_guesses_from_as_many_addresses_cost_a_hundred_hashes_and_shut_nobody_out() {
    let app = limited().await;
    let user = app.new_user().await;
    let home = address();
    assert_eq!(sign_in(&app, &home, &user.email, PASSWORD).await.status(), 201);
    let addresses: Vec<String> = (0..1_000).map(|_| address()).collect();
    let hashed = hashed(&app, &user.email, &addresses).await;
    assert!((95..=105).contains(&hashed), "{hashed}");
    assert_eq!(sign_in(&app, &home, &user.email, PASSWORD).await.status(), 201);
}

#[tokio::test]
async fn a_refused_guess_is_told_when_to_come_again_in_words_that_tell_no_account_from_none() {
    let app = limited().await;
    let user = app.new_user().await;
    let mut bodies = Vec::new();
    for email in [user.email.clone(), somewhere(), "no address".to_owned()] {
        let from = address();
        for _ in 0..5 {
            assert_eq!(sign_in(&app, &from, &email, "wrong password").await.status(), 401);
        }
        let refused = sign_in(&app, &from, &email, PASSWORD).await;
        assert_eq!(refused.status(), 429);
        let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=600).contains(&after), "{after}");
        bodies.push(refused.text().await.unwrap());
    }
    assert!(bodies[0].contains("/problems/rate-limited"), "{bodies:?}");
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

#[tokio::test]
async fn failures_of_one_account_shut_out_no_other_behind_the_same_address() {
    let app = limited().await;
    let one = app.new_user().await;
    let other = app.new_user().await;
    let shared = address();
    for _ in 0..9 {
        sign_in(&app, &shared, &one.email, "wrong password").await;
    }
    assert_eq!(sign_in(&app, &shared, &one.email, PASSWORD).await.status(), 429);
    assert_eq!(sign_in(&app, &shared, &other.email, PASSWORD).await.status(), 201);
    assert_eq!(sign_in(&app, &address(), &one.email, PASSWORD).await.status(), 201);
}

#[tokio::test]
async fn spellings_of_one_address_are_one_account() {
    let app = limited().await;
    let user = app.new_user().await;
    let from = address();
    let shouted = user.email.to_uppercase();
    let mut hashed = 0;
    for email in [&user.email, &shouted].into_iter().cycle().take(20) {
        hashed += usize::from(sign_in(&app, &from, email, "wrong password").await.status() == 401);
    }
    assert_eq!(hashed, 5);
}

#[tokio::test]
async fn one_client_address_registers_thirty_users_and_no_more() {
    let app = limited().await;
    let from = address();
    let mut registered = 0;
    for _ in 0..35 {
        let answer = register(&app, &from, &somewhere()).await;
        assert!(answer.headers().contains_key("ratelimit"), "{:?}", answer.headers());
        registered += usize::from(answer.status() == 201);
    }
    // One more comes back every two minutes.
    assert!((30..=31).contains(&registered), "{registered}");
}

#[tokio::test]
async fn an_address_is_registered_or_changed_to_so_often_that_little_mail_goes_to_it() {
    let app = limited().await;
    let victim = somewhere();
    let mut caused = 0;
    for _ in 0..8 {
        let answer = register(&app, &address(), &victim).await;
        if answer.status() != 201 {
            assert_eq!(answer.status(), 429);
            continue;
        }
        caused += 1;
        let user: serde_json::Value = answer.json().await.unwrap();
        let id: Uuid = user["user_id"].as_str().unwrap().parse().unwrap();
        let token = app.signed_in(id, auth::Role::User).await;
        let delete = app.request(Method::DELETE, &format!("/api/users/{id}"));
        assert_eq!(delete.bearer_auth(token).send().await.unwrap().status(), 204);
    }
    assert_eq!(caused, 5);
    let user = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    let own = somewhere();
    let mut changed = 0;
    for version in 1.. {
        let email = if version % 2 == 1 { &victim } else { &own };
        let etag = format!("\"{version}\"");
        let change = json!({"email": email, "current_password": PASSWORD});
        let answer = app.patch(&path, &user.token, &etag, &change).await;
        if answer.status() == 429 {
            break;
        }
        assert_eq!(answer.status(), 200);
        changed += 1;
    }
    assert!(changed <= 10, "{changed}");
}

#[tokio::test]
async fn sign_ins_and_refusals_are_counted_by_outcome() {
    let app = limited().await;
    let user = app.new_user().await;
    let from = address();
    assert_eq!(sign_in(&app, &from, &user.email, PASSWORD).await.status(), 201);
    for _ in 0..7 {
        sign_in(&app, &from, &user.email, "wrong password").await;
    }
    let metrics = app.get("/metrics", "").await.text().await.unwrap();
    let value = |series: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series} in {metrics}")).trim().parse().unwrap()
    };
    assert!(value("user_sign_ins_total{outcome=\"succeeded\"}") >= 1);
    assert!(value("user_sign_ins_total{outcome=\"failed\"}") >= 5);
    assert!(value("user_sign_ins_total{outcome=\"refused\"}") >= 2);
    let limited = "rate_limited_total{limit=\"backoff\",route=\"POST /api/sessions\",\
                   service=\"user-service\"}";
    assert!(value(limited) >= 2);
}
