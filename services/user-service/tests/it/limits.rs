//! Limits of routes: whom they count, and what becomes of them without Redis.

use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::{Instance, Proxy};
use user_service::UserService;
use uuid::Uuid;

use crate::app::{PASSWORD, TestApp};
use crate::guesses::address;

const ENABLED: (&str, &str) = ("RATE_LIMIT_ENABLED", "true");
/// Long enough for a machine that is busy with other tests.
const TIMEOUT: (&str, &str) = ("RATE_LIMIT_REDIS_TIMEOUT", "500ms");

/// The shipped settings with these limits of routes besides.
fn settings(routes: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(testkit::config_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "tsk") {
            let mut text = std::fs::read_to_string(&path).unwrap();
            if path.file_name().is_some_and(|name| name == "user-service.tsk") {
                text = text
                    .replace("[rate_limit.routes]\n", &format!("[rate_limit.routes]\n{routes}\n"));
            }
            std::fs::write(folder.path().join(path.file_name().unwrap()), text).unwrap();
        }
    }
    folder
}

#[tokio::test]
async fn users_are_counted_each_on_their_own_and_calls_of_services_not_at_all() {
    let limits = "[{by: address, requests: 6, per: 1h}, {by: user, requests: 2, per: 1h}]";
    let folder = settings(&format!("\"GET /api/users/{{id}}\": {limits}"));
    let folder = folder.path().to_str().unwrap();
    let trusted = ("TRUSTED_PROXIES", "127.0.0.1");
    let app = TestApp::start_with(&[ENABLED, TIMEOUT, trusted, ("CONFIG_DIR", folder)]).await;
    let proxied = async |user: &str, token: &str, from: &str| {
        let request = app.request(Method::GET, &format!("/api/users/{user}"));
        let answer = request.bearer_auth(token).header("x-forwarded-for", from).send().await;
        answer.unwrap().status()
    };
    let from = &address();
    let id = Uuid::now_v7();
    let service = app.service_token("payment-service", "user-service");
    for _ in 0..9 {
        assert_eq!(proxied(&id.to_string(), &service, from).await, 404);
    }
    let mut answers = Vec::new();
    for (user, calls) in [(Uuid::now_v7(), 3), (Uuid::now_v7(), 3)] {
        let token = app.user_token(user, auth::Role::User);
        for _ in 0..calls {
            answers.push(proxied(&user.to_string(), &token, from).await.as_u16());
        }
    }
    assert_eq!(answers, [404, 404, 429, 404, 404, 429]);
}

#[tokio::test]
async fn where_anybody_may_come_a_service_is_counted_as_anybody() {
    let limits = "[{by: address, requests: 2, per: 1h}]";
    let folder = settings(&format!("\"GET /.well-known/jwks.json\": {limits}"));
    let folder = folder.path().to_str().unwrap();
    let trusted = ("TRUSTED_PROXIES", "127.0.0.1");
    let app = TestApp::start_with(&[ENABLED, TIMEOUT, trusted, ("CONFIG_DIR", folder)]).await;
    let service = app.service_token("notification-service", "user-service");
    let from = &address();
    let mut answers = Vec::new();
    for _ in 0..3 {
        let request = app.request(Method::GET, "/.well-known/jwks.json").bearer_auth(&service);
        let answer = request.header("x-forwarded-for", from).send().await.unwrap();
        answers.push(answer.status().as_u16());
    }
    assert_eq!(answers, [200, 200, 429]);
}

#[tokio::test]
async fn without_redis_replicas_go_on_limiting_and_answer_nothing_with_a_fault_of_ours() {
    let (database, broker) = tokio::join!(testkit::database("limits"), testkit::broker());
    let redis = testkit::redis_url();
    let redis = redis.trim_start_matches("redis://").split('/').next().unwrap().to_owned();
    let redis = Proxy::start(redis).await;
    let vars = testkit::vars(&database, &broker)
        .with("REDIS_URL", format!("redis://{}", redis.address()))
        .with("TRUSTED_PROXIES", "127.0.0.1")
        .with_all([ENABLED, TIMEOUT, ("SIGN_IN_INITIAL_DELAY", "10m")]);
    let replicas = [
        Instance::start::<UserService>(vars.clone()).await,
        Instance::start::<UserService>(vars).await,
    ];
    let email = format!("{}@example.com", Uuid::now_v7().simple());
    let register = json!({"email": email, "name": "Ada", "password": PASSWORD});
    let request = replicas[0].request(Method::POST, "/api/users").json(&register);
    assert_eq!(request.send().await.unwrap().status(), 201);
    let guess = async |replica: &Instance, password: &str| {
        let body = json!({"email": email, "password": password});
        let request = replica.request(Method::POST, "/api/sessions").json(&body);
        request.header("x-forwarded-for", "192.0.2.9").send().await.unwrap().status()
    };
    for shut in [false, true] {
        if shut {
            redis.freeze().await;
        }
        let mut tried = [0, 0];
        for (replica, tried) in replicas.iter().zip(&mut tried) {
            for _ in 0..8 {
                match guess(replica, "wrong password").await {
                    StatusCode::UNAUTHORIZED => *tried += 1,
                    status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
                }
            }
        }
        // Without Redis each knows what it has tried itself.
        assert_eq!(tried, if shut { [0, 5] } else { [5, 0] });
    }
    redis.thaw().await;
    testkit::eventually("replicas count together again", async || {
        let metrics = replicas[0].get("/metrics", "").await.text().await.ok()?;
        guess(&replicas[0], "wrong password").await;
        metrics.contains("rate_limits_shared{service=\"user-service\"} 1").then_some(())
    })
    .await;
    for replica in &replicas {
        assert_eq!(guess(replica, PASSWORD).await, StatusCode::TOO_MANY_REQUESTS);
    }
}

#[tokio::test]
async fn a_right_secret_gets_a_token_however_many_wrong_requests_come_from_its_address() {
    let app = TestApp::start_with(&[ENABLED, TIMEOUT]).await;
    let form = |body: String| {
        let request = app.request(Method::POST, "/oauth/token");
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    for _ in 0..200 {
        let status = form("x=y".to_owned()).send().await.unwrap().status();
        assert!(status.is_client_error(), "{status}");
    }
    let own = "client_id=payment-service&client_secret=test-only-payment-service-token";
    let right = format!("grant_type=client_credentials&audience=user-service&{own}");
    assert_eq!(form(right).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_database_that_hangs_leaves_no_right_password_behind_as_a_failure() {
    let (database, broker) = tokio::join!(testkit::database("hanging"), testkit::broker());
    let proxy = Proxy::start(database.server()).await;
    let vars = testkit::vars(&database, &broker)
        .with("DATABASE_URL", database.url_through(proxy.address()));
    let vars = vars.with_all([
        ENABLED,
        TIMEOUT,
        ("SIGN_IN_INITIAL_DELAY", "10m"),
        ("SIGN_IN_FREE_FAILURES", "1"),
        ("REQUEST_TIMEOUT", "2s"),
    ]);
    let service = Instance::start::<UserService>(vars).await;
    let email = format!("{}@example.com", Uuid::now_v7().simple());
    let register = json!({"email": email, "name": "Ada", "password": PASSWORD});
    let request = service.request(Method::POST, "/api/users").json(&register);
    assert_eq!(request.send().await.unwrap().status(), 201);
    let sign_in = async || {
        let body = json!({"email": email, "password": PASSWORD});
        let request = service.request(Method::POST, "/api/sessions").json(&body);
        request.send().await.unwrap().status()
    };
    proxy.freeze().await;
    for _ in 0..2 {
        assert_eq!(sign_in().await, StatusCode::SERVICE_UNAVAILABLE);
    }
    proxy.thaw().await;
    testkit::eventually("the owner signs in", async || {
        let status = sign_in().await;
        assert_ne!(status, StatusCode::TOO_MANY_REQUESTS, "it counts as a failure");
        (status == StatusCode::CREATED).then_some(())
    })
    .await;
}
