//! The access tokens of sessions that have ended, which each replica refuses.

use reqwest::Method;
use serde_json::json;
use testkit::native::{Redis, ServerOptions};
use testkit::{Instance, Proxy, eventually};
use user_service::UserService;

use crate::app::{PASSWORD, Signed, TestApp};

/// Waits until a service refuses the token.
async fn refused(service: &Instance, token: &str) {
    eventually("the token is refused", async || {
        let answer = service.get("/api/users/me", token).await;
        (answer.status() == 401).then_some(())
    })
    .await;
}

async fn is_served(service: &Instance, user: &Signed) -> bool {
    service.get("/api/users/me", &user.token).await.status() == 200
}

#[tokio::test]
async fn the_tokens_of_a_session_are_refused_however_it_ended_and_those_of_others_are_not() {
    let app = TestApp::start().await;
    let bystander = app.new_user().await;
    let post = async |path: &str, token: &str| {
        app.post(path, &json!({"refresh_token": token}))
            .await
            .json::<serde_json::Value>()
            .await
            .ok()
    };
    for way in ["sign-out", "sign-out by token", "all", "deletion", "reuse", "role"] {
        let user = app.new_user().await;
        assert!(is_served(&app, &user).await, "{way}");
        match way {
            "sign-out" => {
                assert_eq!(app.delete("/api/sessions/current", &user.token).await, 204);
            }
            "sign-out by token" => {
                post("/api/sessions/sign-out", &user.refresh_token).await;
            }
            "all" => assert_eq!(app.delete("/api/sessions", &user.token).await, 204),
            "deletion" => {
                let path = format!("/api/users/{}", user.id);
                assert_eq!(app.delete(&path, &user.token).await, 204);
            }
            "reuse" => {
                let next = post("/api/sessions/refresh", &user.refresh_token).await.unwrap();
                post("/api/sessions/refresh", next["refresh_token"].as_str().unwrap()).await;
                post("/api/sessions/refresh", &user.refresh_token).await;
            }
            _ => {
                let path = format!("/api/users/{}/role", user.id);
                let request =
                    app.request(Method::PUT, &path).bearer_auth(app.administrator().await);
                let body = json!({"role": "admin", "current_password": PASSWORD});
                let answer = request.json(&body).send().await.unwrap();
                assert_eq!(answer.status(), 200);
            }
        }
        refused(&app, &user.token).await;
        assert!(is_served(&app, &bystander).await, "{way}");
    }
    let metrics = app.get("/metrics", "").await.text().await.unwrap();
    let value = |name: &str| -> i64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).trim().parse().unwrap()
    };
    assert!(value("auth_ended_session_refusals_total ") >= 6);
    assert!(value("auth_ended_sessions_reads_total{outcome=\"ok\"} ") >= 1);
}

#[tokio::test]
async fn without_redis_tokens_are_let_in_until_it_is_back_and_then_refused_everywhere() {
    let (database, broker) = tokio::join!(testkit::database("ended"), testkit::broker());
    let (mut redis, options) = own_redis().await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", redis.port())).await;
    let vars = || {
        let url = format!("redis://{}", proxy.address());
        testkit::vars(&database, &broker).with("REDIS_URL", url)
    };
    let (one, other) = tokio::join!(
        Instance::start::<UserService>(vars()),
        Instance::start::<UserService>(vars())
    );
    let users = [signed(&one, "a@example.com").await, signed(&one, "b@example.com").await];

    // One replica ends it, the other refuses it.
    sign_out(&one, &users[0]).await;
    refused(&other, &users[0]).await;

    proxy.cut().await;
    sign_out(&one, &users[1]).await;
    eventually("the other one has looked in vain", async || {
        let metrics = other.get("/metrics", "").await.text().await.unwrap();
        let line = "auth_ended_sessions_reads_total{outcome=\"failed\"} ";
        let failed = metrics.lines().find_map(|found| found.strip_prefix(line));
        failed.is_some_and(|count| count != "0").then_some(())
    })
    .await;
    assert_eq!(other.get("/api/users/me", &users[1]).await.status(), 200);
    assert_eq!(other.get("/api/users/me", &users[0]).await.status(), 401, "it is still known");

    // Redis comes back, as after a failover, with a feed that has nothing of what the one before had: a
    // replica that starts then knows both.
    let redis = tokio::task::spawn_blocking(move || {
        redis.kill().unwrap();
        redis.start_again().unwrap();
        redis
    });
    let redis = redis.await.unwrap();
    let vars_of_redis = testkit::vars(&database, &broker)
        .with("REDIS_URL", format!("redis://127.0.0.1:{}", redis.port()));
    let settings = platform::process::load::<UserService>(vars_of_redis).unwrap();
    let lagging = cache::ServiceCache::connect("user-service", &settings.platform.cache).unwrap();
    let stale = [uuid::Uuid::now_v7().to_string()];
    let keep = std::time::Duration::from_secs(600);
    lagging.shared().append("ended_sessions", &stale, keep).await.unwrap();
    proxy.restore().await;
    refused(&other, &users[1]).await;
    let third = Instance::start::<UserService>(vars()).await;
    for token in &users {
        refused(&third, token).await;
    }
    drop(options);
}

/// Behind so many others that a look at the feed takes a while.
#[tokio::test]
async fn a_replica_that_starts_refuses_what_ended_before_from_its_first_request_on() {
    let (database, broker) = tokio::join!(testkit::database("ended"), testkit::broker());
    let (redis, _place) = own_redis().await;
    let url = format!("redis://127.0.0.1:{}", redis.port());
    let vars = || testkit::vars(&database, &broker).with("REDIS_URL", url.clone());
    let one = Instance::start::<UserService>(vars()).await;
    let token = signed(&one, "a@example.com").await;
    let settings = platform::process::load::<UserService>(vars()).unwrap();
    let feed = cache::ServiceCache::connect("user-service", &settings.platform.cache).unwrap();
    let others: Vec<String> = (0..20_000).map(|_| uuid::Uuid::now_v7().to_string()).collect();
    let keep = std::time::Duration::from_secs(600);
    feed.shared().append("ended_sessions", &others, keep).await.unwrap();
    sign_out(&one, &token).await;
    refused(&one, &token).await;
    for _ in 0..3 {
        let other = Instance::start::<UserService>(vars()).await;
        assert_eq!(other.get("/api/users/me", &token).await.status(), 401);
    }
}

async fn sign_out(service: &Instance, token: &str) {
    let request = service.request(Method::DELETE, "/api/sessions/current");
    assert_eq!(request.bearer_auth(token).send().await.unwrap().status(), 204);
}

/// A Redis that this test alone has, and where it is.
async fn own_redis() -> (Redis, ServerOptions) {
    let options = ServerOptions::temporary().unwrap();
    let start = move || (Redis::start(&options).unwrap(), options);
    tokio::task::spawn_blocking(start).await.unwrap()
}

/// The access token of somebody who has registered and signed in.
async fn signed(service: &Instance, email: &str) -> String {
    let password = PASSWORD;
    let body = json!({"email": email, "name": "Ada", "password": password});
    let request = service.request(Method::POST, "/api/users").json(&body);
    assert_eq!(request.send().await.unwrap().status(), 201);
    let body = json!({"email": email, "password": password});
    let request = service.request(Method::POST, "/api/sessions").json(&body);
    let session: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    session["access_token"].as_str().unwrap().to_owned()
}

/// What a sign-in has read of the user is not so any more when its session begins.
#[tokio::test]
async fn a_sign_in_that_races_a_deletion_or_another_role_opens_no_session() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    for change in ["status = 'deleted', password_hash = null", "admin = true"] {
        let user = app.new_user().await;
        let mut tx = pool.begin().await.unwrap();
        let update = format!("update users set {change} where id = $1::uuid");
        let update = sqlx::query(sqlx::AssertSqlSafe(update)).bind(&user.id);
        update.execute(&mut *tx).await.unwrap();
        let sign_in = app.sign_in(&user.email, PASSWORD);
        let commit = async {
            eventually("the sign-in waits for the row", async || {
                let waits = "select exists (select from pg_locks join pg_stat_activity using (pid)
                             where not granted and datname = current_database())";
                let waits: bool = sqlx::query_scalar(waits).fetch_one(&pool).await.unwrap();
                waits.then_some(())
            })
            .await;
            tx.commit().await.unwrap();
        };
        let (answer, ()) = tokio::join!(sign_in, commit);
        assert_eq!(answer.status(), 401, "{change}");
        let left = "select count(*) from sessions where user_id = $1::uuid";
        let left: i64 = sqlx::query_scalar(left).bind(&user.id).fetch_one(&pool).await.unwrap();
        assert_eq!(left, 1, "{change}");
    }
}
