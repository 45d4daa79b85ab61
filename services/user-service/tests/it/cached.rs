//! Profiles come from a cache: no change that is committed may leave the one before in it, whatever
//! becomes of the request, of the process, and of Redis.

use std::time::Duration;

use cache::{CacheSettings, ServiceCache};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::{Instance, Proxy, TestBroker, TestDatabase, eventually};
use user_service::UserService;

use crate::app::{PASSWORD, Signed, TestApp};

/// The service's own cache, to look into and to age.
fn cache() -> ServiceCache {
    let url = testkit::redis_url().into();
    let ttl = Duration::from_secs(600);
    ServiceCache::connect(
        "user-service",
        &CacheSettings { url, tls_ca: std::path::PathBuf::new(), ttl },
    )
    .unwrap()
}

/// What an administrator is told of a user, who may be told what is cached.
async fn told(app: &Instance, user: &Signed) -> Value {
    let token = app.user_token(uuid::Uuid::now_v7(), auth::Role::Admin);
    app.get(&format!("/api/users/{}", user.id), &token).await.json().await.unwrap()
}

/// Has the profile cached, and kept for longer than any test takes.
async fn keep(app: &Instance, user: &Signed) {
    let cache = cache();
    let key = format!("profile:{}", user.id);
    cache.delete(&key).await.unwrap();
    told(app, user).await;
    let profile: Value = cache.get(&key).await.unwrap().expect("the profile is cached");
    cache.set(&key, &profile).await.unwrap();
}

/// Changes a name (`PATCH`) or deletes the user; ends when there is an answer.
async fn change(app: &Instance, user: &Signed, method: Method) -> StatusCode {
    let request = app.request(method.clone(), &format!("/api/users/{}", user.id));
    let mut request = request.bearer_auth(&user.token);
    if method == Method::PATCH {
        request = request.header("if-match", "\"1\"").json(&json!({"name": "New"}));
    }
    request.send().await.unwrap().status()
}

/// What is told is what the database says: at once, or a change was still under way
/// when one of the two was asked. What is cached stays so for longer than this waits.
async fn until_told_what_is_stored(app: &Instance, pool: &PgPool, user: &Signed) {
    eventually("what is told is what is stored", async || {
        let told = told(app, user).await;
        let stored = stored(pool, user).await;
        ["name", "status", "version"].iter().all(|it| told[it] == stored[it]).then_some(())
    })
    .await;
}

/// What is told is what the database says.
async fn assert_told_what_is_stored(app: &Instance, pool: &PgPool, user: &Signed) {
    let told = told(app, user).await;
    let stored = stored(pool, user).await;
    for field in ["name", "status", "version"] {
        assert_eq!(told[field], stored[field], "{field}");
    }
}

async fn stored(pool: &PgPool, user: &Signed) -> Value {
    let query = "select jsonb_build_object('name', name, 'status', status, 'version', version)
                 from users where id = $1::uuid";
    sqlx::query_scalar(query).bind(&user.id).fetch_one(pool).await.unwrap()
}

/// Holds each commit of a change of a user back while the lock is held.
async fn slow_commits(pool: &PgPool) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
    let slow = "create function held_back() returns trigger language plpgsql as
                  $$ begin perform pg_advisory_xact_lock_shared(7); return null; end $$;
                create constraint trigger held_back after update on users
                  deferrable initially deferred for each row execute function held_back();";
    sqlx::raw_sql(slow).execute(pool).await.unwrap();
    let mut holder = pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(7)").execute(&mut *holder).await.unwrap();
    holder
}

async fn until_held_back(pool: &PgPool) {
    eventually("a commit is held back", async || {
        let query = "select exists (select from pg_stat_activity where datname = current_database()
                     and wait_event = 'advisory' and query ilike 'commit%')";
        let held_back: bool = sqlx::query_scalar(query).fetch_one(pool).await.unwrap();
        held_back.then_some(())
    })
    .await;
}

/// Lets what is held back go, and waits until it is committed.
async fn let_go(
    pool: &PgPool,
    mut holder: sqlx::pool::PoolConnection<sqlx::Postgres>,
    user: &Signed,
) {
    sqlx::query("select pg_advisory_unlock(7)").execute(&mut *holder).await.unwrap();
    eventually("the change is committed", async || {
        let query = "select version = 2 from users where id = $1::uuid";
        let changed = sqlx::query_scalar(query).bind(&user.id).fetch_one(pool);
        let changed: bool = changed.await.unwrap();
        changed.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_is_told_though_its_request_has_ended_before_the_commit_did() {
    for method in [Method::PATCH, Method::DELETE] {
        let app = TestApp::start().await;
        let user = app.new_user().await;
        keep(&app, &user).await;
        let pool = app.database.pool().await;
        let holder = slow_commits(&pool).await;
        tokio::select! {
            _ = change(&app, &user, method) => panic!("the commit was not held back"),
            () = until_held_back(&pool) => {}
        }
        let_go(&pool, holder, &user).await;
        assert_told_what_is_stored(&app, &pool, &user).await;
    }
}

#[tokio::test]
async fn a_change_is_told_though_the_process_has_died_before_the_commit_ended() {
    let (database, broker) = tokio::join!(testkit::database("cached"), testkit::broker());
    let mut app = start(&database, &broker, None).await;
    let user = new_user(&app).await;
    keep(&app, &user).await;
    let pool = database.pool().await;
    let holder = slow_commits(&pool).await;
    tokio::select! {
        _ = change(&app, &user, Method::DELETE) => panic!("the commit was not held back"),
        () = until_held_back(&pool) => {}
    }
    app.crash().await;
    let_go(&pool, holder, &user).await;
    let app = start(&database, &broker, None).await;
    assert_told_what_is_stored(&app, &pool, &user).await;
}

#[tokio::test]
async fn a_change_is_told_at_whatever_moment_its_request_ends() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    for turn in 0..52_u64 {
        let user = another(&app, &pool).await;
        keep(&app, &user).await;
        let method = if turn % 4 < 2 { Method::PATCH } else { Method::DELETE };
        let patience = Duration::from_millis(turn / 4);
        let _ = tokio::time::timeout(patience, change(&app, &user, method)).await;
        // Who has gone is noticed a little later, and what is on its way may still be committed.
        until_nothing_is_on_its_way(&pool).await;
        until_told_what_is_stored(&app, &pool, &user).await;
    }
}

/// A user of the table alone, with a token.
async fn another(app: &TestApp, pool: &PgPool) -> Signed {
    let id = uuid::Uuid::now_v7();
    let email = format!("{}@example.com", id.simple());
    let insert = "insert into users (id, email, name, admin, status, email_deliverable, version,
                                     created_at, updated_at)
                  values ($1, $2, 'Ada', false, 'active', true, 1, now(), now())";
    sqlx::query(insert).bind(id).bind(&email).execute(pool).await.unwrap();
    let token = app.signed_in(id, auth::Role::User).await;
    Signed { id: id.to_string(), email, token, refresh_token: String::new() }
}

async fn until_nothing_is_on_its_way(pool: &PgPool) {
    eventually("no change of a user is under way", async || {
        let query = "select not exists (select from pg_locks where relation = 'users'::regclass)";
        let none: bool = sqlx::query_scalar(query).fetch_one(pool).await.unwrap();
        none.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_profile_that_was_read_after_a_bounce_can_be_changed() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    keep(&app, &user).await;
    app.subscribed().await;
    let failed = json!({
        "notification_id": "01890000-0000-7000-8000-000000000001",
        "user_id": user.id, "kind": "welcome", "channel": "email", "permanent": true,
    });
    app.plain.publish("notification.failed", &failed).await;
    eventually("the bounce is noted", async || {
        let me: Value = app.get("/api/users/me", &user.token).await.json().await.unwrap();
        (me["version"] == 2).then_some(())
    })
    .await;
    let path = format!("/api/users/{}", user.id);
    let shown = app.get(&path, &user.token).await;
    let etag = shown.headers()["etag"].to_str().unwrap().to_owned();
    let changed = app.patch(&path, &user.token, &etag, &json!({"name": "New"})).await;
    assert_eq!((etag.as_str(), changed.status().as_u16()), ("\"2\"", 200));
}

/// It decides by what it is told: a payment of somebody who is deleted must not go through because
/// another replica could not reach Redis.
#[tokio::test]
async fn a_service_is_told_what_the_database_says_whatever_is_cached() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    keep(&app, &user).await;
    let cache = cache();
    let key = format!("profile:{}", user.id);
    let before: Value = cache.get(&key).await.unwrap().expect("the profile is cached");
    assert_eq!(change(&app, &user, Method::DELETE).await, 204);
    cache.set(&key, &before).await.unwrap();
    assert_eq!(told(&app, &user).await["status"], "active", "an administrator is told the cached");
    let token = app.service_token("payment-service", "user-service");
    let path = format!("/api/users/{}", user.id);
    let told: Value = app.get(&path, &token).await.json().await.unwrap();
    assert_eq!((&told["status"], &told["version"]), (&json!("deleted"), &json!(2)));
}

#[tokio::test]
async fn a_deleted_user_is_told_to_nobody_as_active_and_leaves_nothing_behind_that_readers_raced() {
    let app = TestApp::start().await;
    for _ in 0..8 {
        let user = app.new_user().await;
        let reading = async || loop {
            if told(&app, &user).await["status"] == "deleted" {
                break;
            }
        };
        let deleting = async {
            assert_eq!(change(&app, &user, Method::DELETE).await, 204);
            assert_eq!(told(&app, &user).await["status"], "deleted");
        };
        tokio::join!(reading(), reading(), reading(), reading(), deleting);
        let left: Option<Value> = cache().get(&format!("profile:{}", user.id)).await.unwrap();
        let left = left.unwrap_or_default().to_string();
        assert!(!left.contains(&user.email) && !left.contains("Ada"), "{left}");
    }
}

#[tokio::test]
async fn a_change_while_redis_is_away_is_told_by_every_replica_once_redis_is_back() {
    let (database, broker) = tokio::join!(testkit::database("cached"), testkit::broker());
    let redis = testkit::redis_url();
    let redis = redis.trim_start_matches("redis://").split('/').next().unwrap().to_owned();
    let wire = Proxy::start(redis).await;
    let app = start(&database, &broker, Some(&wire)).await;
    let replica = start(&database, &broker, None).await;
    let user = new_user(&app).await;
    for hangs in [false, true] {
        let before = told(&replica, &user).await["version"].as_i64().unwrap();
        keep(&replica, &user).await;
        if hangs {
            wire.freeze().await;
        } else {
            wire.cut().await;
        }
        let path = format!("/api/users/{}", user.id);
        let change = app.request(Method::PATCH, &path).bearer_auth(&user.token);
        let change = change.header("if-match", format!("\"{before}\""));
        let changed = change.json(&json!({"name": format!("New {hangs}")})).send().await.unwrap();
        assert_eq!(changed.status(), 200);
        wire.restore().await;
        // At once where it was changed, soon elsewhere: long before the entry's own time is up.
        assert_eq!(told(&app, &user).await["version"], before + 1);
        eventually("the other replica tells the change", async || {
            (told(&replica, &user).await["version"] == before + 1).then_some(())
        })
        .await;
    }
}

async fn start(database: &TestDatabase, broker: &TestBroker, redis: Option<&Proxy>) -> Instance {
    let mut vars = testkit::vars(database, broker);
    if let Some(redis) = redis {
        vars = vars.with("REDIS_URL", format!("redis://{}", redis.address()));
    }
    Instance::start::<UserService>(vars).await
}

/// Somebody registered with an instance that stands alone.
async fn new_user(app: &Instance) -> Signed {
    let post = async |path: &str, body: Value| -> Value {
        let request = app.request(Method::POST, path).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    };
    let email = "ada@example.com".to_owned();
    let user = json!({"email": email, "name": "Ada", "password": PASSWORD});
    let user = post("/api/users", user).await;
    let session = post("/api/sessions", json!({"email": email, "password": PASSWORD})).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Signed {
        id: text(&user["user_id"]),
        token: text(&session["access_token"]),
        refresh_token: text(&session["refresh_token"]),
        email,
    }
}
