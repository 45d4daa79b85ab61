//! The audit trail: who signed in, what administrators did, which services got tokens.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;
use uuid::Uuid;

use crate::app::{PASSWORD, Signed, TestApp};

/// An entry: actor, action, target, outcome, how often.
type Entry = (String, String, String, String, i64);

async fn entries(pool: &PgPool) -> Vec<Entry> {
    let entries = "select actor, action, target, outcome, times from audit order by id";
    sqlx::query_as(entries).fetch_all(pool).await.unwrap()
}

/// How often this was done within the test.
async fn times(pool: &PgPool, what: [&str; 4]) -> i64 {
    let entries = entries(pool).await.into_iter();
    let meant = entries.filter(|(actor, action, target, outcome, _)| {
        [actor, action, target, outcome].iter().zip(what).all(|(found, meant)| *found == meant)
    });
    meant.map(|entry| entry.4).sum()
}

impl Signed {
    /// The target that stands for the session of the access token.
    pub(crate) fn session(&self) -> String {
        use base64::Engine;
        let claims = self.token.split('.').nth(1).unwrap();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        format!("session:{}", claims["sid"].as_str().unwrap())
    }
}

#[tokio::test]
async fn sign_in_sign_out_and_reuse_of_a_refresh_token_are_entries_of_the_user() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    let user = app.new_user().await;
    let actor = format!("user:{}", user.id);
    assert_eq!(times(&pool, [&actor, "sign-in", &user.session(), "success"]).await, 1);

    let refresh = async |token: &str| {
        let body = json!({"refresh_token": token});
        app.post("/api/sessions/refresh", &body).await.json::<Value>().await.unwrap()
    };
    let second = refresh(&user.refresh_token).await;
    refresh(second["refresh_token"].as_str().unwrap()).await;
    refresh(&user.refresh_token).await;
    assert_eq!(times(&pool, [&actor, "refresh", &user.session(), "reused"]).await, 1);

    let user = app.new_user().await;
    let actor = format!("user:{}", user.id);
    let out = app.request(Method::DELETE, "/api/sessions/current").bearer_auth(&user.token);
    assert_eq!(out.send().await.unwrap().status(), 204);
    assert_eq!(times(&pool, [&actor, "sign-out", &user.session(), "success"]).await, 1);
}

#[tokio::test]
async fn failed_sign_ins_are_counted_by_the_hour_and_say_no_address() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    let user = app.new_user().await;
    for _ in 0..3 {
        app.sign_in(&user.email, "not the password").await;
        app.sign_in("stranger@example.com", PASSWORD).await;
    }

    let target = format!("user:{}", user.id);
    assert_eq!(times(&pool, ["anybody", "sign-in", &target, "wrong-password"]).await, 3);
    assert_eq!(times(&pool, ["anybody", "sign-in", "", "unknown-account"]).await, 3);
    let rows = entries(&pool).await;
    // Each in one row, or in two when the hour ended meanwhile.
    assert!(rows.iter().filter(|entry| entry.0 == "anybody").count() <= 4, "{rows:?}");
    assert!(!format!("{rows:?}").contains('@'), "{rows:?}");
}

#[tokio::test]
async fn a_flood_of_failed_sign_ins_over_many_accounts_leaves_few_rows() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    app.new_user().await;
    let more = "insert into users (id, email, name, password_hash, status, email_deliverable, version,
                                   created_at, updated_at)
                select gen_random_uuid(), 'flood' || n || '@example.com', name, password_hash, status,
                       true, 1, now(), now()
                from users, generate_series(1, 130) n";
    sqlx::query(more).execute(&pool).await.unwrap();
    for n in 1..=130 {
        let answer = app.sign_in(&format!("flood{n}@example.com"), "not the password").await;
        assert_eq!(answer.status(), 401);
    }

    let counted = "select max(rows)::bigint, sum(tries)::bigint from
                   (select count(*) as rows, sum(times) as tries from audit
                    where actor = 'anybody' and action = 'sign-in' group by hour) hours";
    let (rows, tries): (i64, i64) = sqlx::query_as(counted).fetch_one(&pool).await.unwrap();
    assert_eq!(tries, 130);
    assert!(rows <= 101, "{rows} rows in one hour");
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_audited_opens_no_session() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    let user = app.new_user().await;
    sqlx::query("alter table audit rename to elsewhere").execute(&pool).await.unwrap();

    assert!(app.sign_in(&user.email, PASSWORD).await.status().is_server_error());

    let sessions = sqlx::query_scalar("select count(*) from sessions");
    let sessions: i64 = sessions.fetch_one(&pool).await.unwrap();
    assert_eq!(sessions, 1);
    // What strangers are told does not depend on it.
    assert_eq!(app.sign_in(&user.email, "not the password").await.status(), 401);
}

#[tokio::test]
async fn an_administrators_changes_are_entries_and_reads_are_counted() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    let user = app.new_user().await;
    let token = app.administrator().await;
    let admin: Uuid =
        sqlx::query_scalar("select id from users where admin").fetch_one(&pool).await.unwrap();
    for _ in 0..2 {
        assert_eq!(app.get("/api/users", &token).await.status(), 200);
    }
    let path = format!("/api/users/{}", user.id);
    let changed = app.patch(&path, &token, "\"1\"", &json!({"name": "Another"})).await;
    assert_eq!(changed.status(), 200);
    assert_eq!(app.patch(&path, &token, "\"1\"", &json!({"name": "Late"})).await.status(), 412);

    let actor = format!("administrator:{admin}");
    assert_eq!(times(&pool, [&actor, "GET /api/users", "", "asked"]).await, 2);
    assert_eq!(times(&pool, [&actor, "PATCH /api/users/{id}", &user.id, "200"]).await, 1);
    assert_eq!(times(&pool, [&actor, "PATCH /api/users/{id}", &user.id, "412"]).await, 1);
    // The change itself, in its own transaction: the one that was refused left none.
    let target = format!("user:{}", user.id);
    assert_eq!(times(&pool, [&actor, "user-change", &target, "success"]).await, 1);
    let delete = app.request(Method::DELETE, &path).bearer_auth(&token).send().await.unwrap();
    assert_eq!(delete.status(), 204);
    assert_eq!(times(&pool, [&actor, "user-deletion", &target, "success"]).await, 1);
    // Users' own requests are no administrators'.
    app.get("/api/users/me", &user.token).await;
    let rows = entries(&pool).await;
    assert!(!rows.iter().any(|entry| entry.1.ends_with("/me")), "{rows:?}");
}

#[tokio::test]
async fn administrators_alone_read_the_trail_in_pages_newest_first() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let admin = app.admin_token();
    for _ in 0..2 {
        app.sign_in(&user.email, PASSWORD).await;
    }
    assert_eq!(app.get("/admin/audit", &user.token).await.status(), 403);

    let mut actions = Vec::new();
    let mut path = "/admin/audit?limit=2".to_owned();
    loop {
        let page: Value = app.get(&path, &admin).await.json().await.unwrap();
        let items = page["items"].as_array().unwrap();
        actions.extend(items.iter().map(|item| item["action"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/admin/audit?limit=2&cursor={cursor}");
    }
    assert_eq!(actions, ["GET /admin/audit", "sign-in", "sign-in", "sign-in", "registration"]);
}

#[tokio::test]
async fn tokens_of_services_are_entries_whether_they_are_given_or_refused() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    for (service, secret) in [
        ("payment-service", "test-only-payment-service-token"),
        ("payment-service", "another secret of that length"),
        ("a-stranger's-word", "another secret of that length"),
    ] {
        let request = app.request(Method::POST, "/oauth/token").basic_auth(service, Some(secret));
        let form = "grant_type=client_credentials&audience=user-service";
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(form).send().await.unwrap();
    }

    let granted = ["service:payment-service", "service-token", "service:user-service", "granted"];
    assert_eq!(times(&pool, granted).await, 1);
    for target in ["service:payment-service", ""] {
        let refused = ["anybody", "service-token", target, "invalid_client"];
        assert_eq!(times(&pool, refused).await, 1, "{target}");
    }
    assert!(!format!("{:?}", entries(&pool).await).contains("stranger"));
}

#[tokio::test]
async fn entries_older_than_the_retention_are_removed() {
    let variables = [("AUDIT_RETENTION", "1h"), ("AUDIT_SWEEP_INTERVAL", "50ms")];
    let app = TestApp::start_with(&variables).await;
    let pool = app.database.pool().await;
    app.new_user().await;
    let old = "insert into audit (id, at, last_at, actor, action, target, outcome)
               select gen_random_uuid(), old, old, 'anybody', 'old', '', ''
               from (select now() - interval '61 minutes' as old) ages";
    sqlx::query(old).execute(&pool).await.unwrap();

    eventually("the old entry is gone", async || {
        let entries = entries(&pool).await;
        entries.iter().all(|entry| entry.1 != "old").then_some(())
    })
    .await;
    let left: Vec<_> = entries(&pool).await.into_iter().map(|entry| entry.1).collect();
    assert_eq!(left, ["registration", "sign-in"]);
}
