//! Whatever is sent, the answer is a problem document with the right status, and nothing is written.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{assert_refuses_bodies, problem};

use crate::app::{PASSWORD, TestApp};

#[tokio::test]
async fn every_bad_registration_has_its_status_and_writes_nothing() {
    let app = TestApp::start().await;
    let good = json!({"email": "ada@example.com", "name": "Ada", "password": PASSWORD});
    let fields = [
        ("unknown field", "colour", "red".into()),
        ("wrong type", "name", 7.into()),
        ("no address", "email", "ada".into()),
        ("empty name", "name", "  ".into()),
        ("short password", "password", "short".into()),
    ];
    let request = |_: &str| app.request(Method::POST, "/api/users");
    assert_refuses_bodies(request, &good, "name", &fields, &["ada@"]).await;
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
async fn all_that_is_wrong_with_a_body_is_reported_in_one_answer() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
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
    let mut reported = pointers(Method::POST, "/api/users", wrong.clone()).await;
    reported.sort();
    assert_eq!(reported, ["/colour", "/email", "/name", "/password", "/size"]);
    let change = json!({"email": "ada", "name": " "});
    assert_eq!(pointers(Method::PATCH, &me, change).await, ["/email", "/name"]);
    let mut reported = pointers(Method::PATCH, &me, wrong).await;
    reported.sort();
    assert_eq!(reported, ["/colour", "/email", "/size"]);
}

#[tokio::test]
async fn every_bad_token_is_a_401_and_bad_paths_have_their_own_status() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let own = format!("/api/users/{}", user.id);
    app.assert_needs_token("/api/users/me").await;
    app.assert_needs_token(&own).await;
    let refused = [("/api/users/7", 400), ("/api/users/00000000-0000-7000-8000-000000000000", 404)];
    app.assert_refused(&user.token, &refused).await;
    assert_eq!(problem(app.request(Method::GET, "/api/nothing")).await.0, 404);
    assert_eq!(problem(app.request(Method::GET, "/api/sessions/refresh")).await.0, 405);
}
