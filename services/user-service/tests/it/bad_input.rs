//! Whatever is sent, the answer is a problem document with the right status, and nothing is written.

use std::time::Duration;

use chassis::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::problem;

use crate::app::{PASSWORD, TestApp};

#[tokio::test]
async fn every_bad_registration_has_its_status_and_writes_nothing() {
    let app = TestApp::start().await;
    let good = json!({"email": "ada@example.com", "name": "Ada", "password": PASSWORD});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string().into_bytes()
    };
    let json = "application/json";
    let cases: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("unknown field", json, with("colour", "red".into()), 422),
        ("wrong type", json, with("name", 7.into()), 422),
        ("missing field", json, br#"{"email":"ada@example.com"}"#.to_vec(), 422),
        ("no address", json, with("email", "ada".into()), 422),
        ("empty name", json, with("name", "  ".into()), 422),
        ("short password", json, with("password", "short".into()), 422),
        ("truncated", json, good.to_string().into_bytes()[..20].to_vec(), 400),
        ("bad UTF-8", json, b"{\"email\":\"\xff\"}".to_vec(), 400),
        ("wrong media type", "text/plain", good.to_string().into_bytes(), 415),
        ("oversized", json, with("name", "x".repeat(70_000).into()), 413),
    ];
    for (case, content_type, body, expected) in cases {
        let request = app.request(Method::POST, "/api/users").header("content-type", content_type);
        let (status, document) = problem(request.body(body)).await;
        assert_eq!(status, expected, "{case}: {document}");
        assert!(!document.to_string().contains("ada@"), "{case} echoes: {document}");
    }
    let pool = app.database.pool().await;
    let rows: i64 =
        sqlx::query_scalar("select count(*) from users").fetch_one(&pool).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_refused_field_is_named_by_its_pointer() {
    let app = TestApp::start().await;
    let body = json!({"email": "ada", "name": "Ada", "password": PASSWORD});
    let (_, document) = problem(app.request(Method::POST, "/api/users").json(&body)).await;
    assert_eq!(document["errors"][0], json!({"pointer": "/email", "detail": "has no @"}));
}

#[tokio::test]
async fn all_that_is_wrong_with_a_body_is_told_in_one_answer() {
    let app = TestApp::start().await;
    let user = app.somebody().await;
    let me = format!("/api/users/{}", user.id);
    let pointers = async |method: Method, path: &str, body: Value| {
        let request = app.request(method, path).bearer_auth(&user.token).header("if-match", "*");
        let (status, document) = problem(request.json(&body)).await;
        assert_eq!(status, 422, "{document}");
        let errors = document["errors"].as_array().unwrap().iter();
        errors.map(|error| error["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let refused = json!({"email": "ada", "name": " ", "password": "short"});
    let wrong = json!({"email": 7, "colour": "red", "size": 1});
    assert_eq!(
        pointers(Method::POST, "/api/users", refused.clone()).await,
        ["/email", "/name", "/password"]
    );
    let mut told = pointers(Method::POST, "/api/users", wrong.clone()).await;
    told.sort();
    assert_eq!(told, ["/colour", "/email", "/name", "/password", "/size"]);
    let change = json!({"email": "ada", "name": " "});
    assert_eq!(pointers(Method::PATCH, &me, change).await, ["/email", "/name"]);
    let mut told = pointers(Method::PATCH, &me, wrong).await;
    told.sort();
    assert_eq!(told, ["/colour", "/email", "/size"]);
}

#[tokio::test]
async fn every_bad_token_is_a_401_and_bad_paths_have_their_own_status() {
    let app = TestApp::start().await;
    let user = app.somebody().await;
    let past = Clock::manual(Clock::system().now() - Duration::from_secs(7_200));
    let expired = app.tokens("user-service", past.clone());
    let expired = expired.for_user(user.id.parse().unwrap(), auth::Role::User, past.new_id());
    let expired = expired.unwrap().value.expose().clone();
    let elsewhere = app.tokens("payment-service", Clock::system());
    let elsewhere = elsewhere.for_service("notification-service").unwrap().value.expose().clone();
    let own = format!("/api/users/{}", user.id);
    let me = "/api/users/me";
    let cases = [
        ("missing", me, None, 401),
        ("nonsense", me, Some("nonsense"), 401),
        ("expired", me, Some(expired.as_str()), 401),
        ("of another audience", own.as_str(), Some(elsewhere.as_str()), 401),
        ("bad UUID", "/api/users/7", Some(user.token.as_str()), 400),
        (
            "unknown user",
            "/api/users/00000000-0000-7000-8000-000000000000",
            Some(user.token.as_str()),
            404,
        ),
        ("unknown route", "/api/nothing", None, 404),
        ("unknown method", "/api/sessions/refresh", None, 405),
    ];
    for (case, path, token, expected) in cases {
        let mut request = app.request(Method::GET, path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(problem(request).await.0, expected, "{case}");
    }
}
