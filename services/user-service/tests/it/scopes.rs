//! Sessions that are narrowed: what is asked for, what their tokens open, what a refresh changes of it.

use auth::{Caller, Role};
use chassis::Clock;
use platform::Service as _;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use user_service::UserService;
use uuid::Uuid;

use crate::app::{PASSWORD, Signed, TestApp};
use crate::issuer::Person;

/// All that there are.
const ALL: &str = "notification:admin notification:read notification:write payment:admin payment:read payment:write \
                   user:admin user:read user:write";

impl TestApp {
    async fn sign_in_for(&self, user: &Signed, scope: &str) -> Response {
        let body = json!({"email": user.email, "password": PASSWORD, "scope": scope});
        self.post("/api/sessions", &body).await
    }

    async fn narrowed(&self, user: &Signed, scope: &str) -> Value {
        let answer = self.sign_in_for(user, scope).await;
        assert_eq!(answer.status(), 201);
        answer.json().await.unwrap()
    }

    async fn refreshed(&self, session: &Value) -> Value {
        let body = json!({"refresh_token": session["refresh_token"]});
        let answer = self.post("/api/sessions/refresh", &body).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// The scope that is missing, by the answer to a request.
    async fn missing(&self, method: Method, path: &str, token: &str) -> Option<String> {
        let body = json!({"name": "Ada L."});
        let request = self.request(method, path).bearer_auth(token).header("if-match", "*");
        let answer = request.json(&body).send().await.unwrap();
        if answer.status() != 403 {
            assert!(answer.status().is_success(), "{answer:?}");
            return None;
        }
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/insufficient-scope");
        let scope =
            challenge.strip_prefix(r#"Bearer error="insufficient_scope", scope=""#).unwrap();
        Some(scope.trim_end_matches('"').to_owned())
    }
}

fn token(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}

#[tokio::test]
async fn a_narrowed_session_opens_what_its_scopes_open_and_a_refresh_changes_nothing_of_it() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let own = format!("/api/users/{}", user.id);
    let mut session = app.narrowed(&user, "user:read payment:write user:read").await;
    for _ in 0..3 {
        assert_eq!(session["scope"], "payment:write user:read", "sorted, and each once");
        let token = token(&session);
        assert_eq!(app.missing(Method::GET, "/api/users/me", token).await, None);
        let write = Some("user:write".to_owned());
        assert_eq!(app.missing(Method::PATCH, &own, token).await, write);
        assert_eq!(app.missing(Method::DELETE, "/api/sessions/current", token).await, write);
        assert_eq!(app.get("/api/users", token).await.status(), 403, "no administrator's");
        session = app.refreshed(&session).await;
    }
    // The same token again, as after an answer that was lost.
    let first = app.narrowed(&user, "user:read").await;
    for _ in 0..2 {
        assert_eq!(app.refreshed(&first).await["scope"], "user:read");
    }
    // One that is not narrowed says nothing of scopes.
    let wide: Value = app.sign_in(&user.email, PASSWORD).await.json().await.unwrap();
    assert_eq!(wide.get("scope"), None);
    assert_eq!(app.missing(Method::PATCH, &own, token(&wide)).await, None);
    assert_eq!(app.refreshed(&wide).await.get("scope"), None);
}

/// What other servers have got wrong: a list beside the refresh token that is taken for a grant.
#[tokio::test]
async fn nothing_that_is_sent_along_with_a_refresh_token_makes_the_session_wider() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let session = app.narrowed(&user, "user:read").await;
    for (name, value) in
        [("scope", "user:read user:write"), ("scope", ""), ("scope", "user:read"), ("code", "x")]
    {
        let body = json!({"refresh_token": session["refresh_token"], name: value});
        let answer = app.post("/api/sessions/refresh", &body).await;
        assert_eq!(answer.status(), 422, "{name}: {value}");
    }
    assert_eq!(app.refreshed(&session).await["scope"], "user:read", "the token is good still");
}

#[tokio::test]
async fn scopes_that_there_are_not_are_refused_with_those_that_there_are_and_no_session_is_made() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let sessions = app.count("select count(*) from sessions").await;
    let there_are = format!("there are {ALL}");
    for (scope, expected) in [
        ("user:raed", format!("names user:raed, which is no scope; {there_are}")),
        ("user:read order:read", format!("names order:read, which is no scope; {there_are}")),
        ("USER:read", format!("names USER:read, which is no scope; {there_are}")),
        ("user:readwrite", format!("names user:readwrite, which is no scope; {there_are}")),
        ("user", format!("names user, which is no scope; {there_are}")),
        ("", format!("must be scopes with one space between them; {there_are}")),
        (
            "user:read  user:write",
            format!("must be scopes with one space between them; {there_are}"),
        ),
        (
            "user:read\nuser:write",
            format!("must be scopes with one space between them; {there_are}"),
        ),
        (
            &"user:read ".repeat(33),
            "names more than 32 scopes, or has more than 1024 characters".to_owned(),
        ),
    ] {
        let answer = app.sign_in_for(&user, scope).await;
        assert_eq!(answer.status(), 422, "{scope}");
        let problem: Value = answer.json().await.unwrap();
        let error = json!([{"pointer": "/scope", "detail": expected}]);
        assert_eq!(problem["errors"], error, "{scope}");
    }
    assert_eq!(app.count("select count(*) from sessions").await, sessions);
    assert_eq!(app.narrowed(&user, ALL).await["scope"], ALL);
    let null = json!({"email": user.email, "password": PASSWORD, "scope": null});
    let wide: Value = app.post("/api/sessions", &null).await.json().await.unwrap();
    assert_eq!(wide.get("scope"), None);
}

#[tokio::test]
async fn a_list_of_sessions_says_what_each_carries() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let narrow = app.narrowed(&user, "user:read").await;
    let list: Value = app.get("/api/sessions", token(&narrow)).await.json().await.unwrap();
    let scopes: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|it| it.get("scope")).collect();
    assert_eq!(scopes, [Some(&json!("user:read")), None]);
}

#[tokio::test]
async fn an_export_needs_the_scopes_of_all_whom_it_asks() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let path = format!("/api/users/{}/export", user.id);
    for (scope, expected) in [
        ("payment:read notification:read", "user:read"),
        ("user:read", "payment:read"),
        ("user:read payment:read", "notification:read"),
        ("user:read payment:write notification:read", "payment:read"),
    ] {
        let session = app.narrowed(&user, scope).await;
        let missing = app.missing(Method::GET, &path, token(&session)).await;
        assert_eq!(missing.as_deref(), Some(expected), "{scope}");
    }
    // Nobody of them is there to be asked.
    let session = app.narrowed(&user, "user:read payment:read notification:read").await;
    assert_eq!(app.get(&path, token(&session)).await.status(), 503);
}

#[tokio::test]
async fn the_export_of_somebody_else_needs_an_administrators_scopes_of_all_whom_it_asks() {
    let app = TestApp::start().await;
    let other = app.new_user().await;
    let path = format!("/api/users/{}/export", other.id);
    let mut scopes = "user:read payment:read notification:read user:admin".to_owned();
    let administrator = |scopes: &str| app.narrowed_token(Uuid::now_v7(), Role::Admin, scopes);
    for expected in ["payment:admin", "notification:admin"] {
        let missing = app.missing(Method::GET, &path, &administrator(&scopes)).await;
        assert_eq!(missing.as_deref(), Some(expected), "{scopes}");
        scopes = format!("{scopes} {expected}");
    }
    assert_eq!(app.get(&path, &administrator(&scopes)).await.status(), 503);
}

#[tokio::test]
async fn an_administrator_acts_as_one_with_the_scope_for_it_alone() {
    let app = TestApp::start().await;
    let other = app.new_user().await;
    let path = format!("/api/users/{}", other.id);
    let status = async |scopes: &str, path: &str| {
        let token = app.narrowed_token(Uuid::now_v7(), Role::Admin, scopes);
        app.get(path, &token).await.status().as_u16()
    };
    assert_eq!(status("user:read", &path).await, 404, "somebody else's");
    assert_eq!(status("user:read user:admin", &path).await, 200);
    assert_eq!(status("user:admin", &path).await, 403);
    assert_eq!(status("user:read user:write", "/api/users").await, 403);
    assert_eq!(status("user:admin", "/api/users").await, 200);
    assert_eq!(status("payment:admin user:read", "/admin/audit").await, 403);
    // Of a user who is none, the scope makes nothing.
    let session = app.narrowed(&other, ALL).await;
    assert_eq!(app.get("/api/users", token(&session)).await.status(), 403);
}

#[tokio::test]
async fn whom_the_external_issuer_lets_in_has_a_narrowed_session_too() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let person = Person::new();
    for outcome in ["registered", "linked"] {
        let flow = app.begin().await;
        let back = issuer.agrees(&flow.url, &person);
        let mut body = flow.body(&back, &issuer.url);
        body["scope"] = json!("user:raed");
        let (status, problem) = app.completed(&body).await;
        assert_eq!(
            (status, &problem["errors"][0]["pointer"]),
            (422, &json!("/scope")),
            "{outcome}"
        );
        body["scope"] = json!("user:write user:read");
        let (status, session) = app.completed(&body).await;
        assert_eq!(status, 201, "{outcome}: the flow is good still; {session}");
        assert_eq!(session["scope"], "user:read user:write", "{outcome}");
        let path = "/admin/audit";
        assert_eq!(app.get(path, token(&session)).await.status(), 403, "{outcome}");
        assert_eq!(app.refreshed(&session).await["scope"], "user:read user:write", "{outcome}");
    }
}

/// A replica of the release before knows of no scopes: what it would answer a refresh with opens everything.
#[tokio::test]
async fn a_replica_that_knows_no_scopes_refreshes_no_narrowed_session_and_all_others() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let narrow = app.narrowed(&user, "user:read").await;
    let pool = app.database.pool().await;
    let exchange = async |which: &str| {
        // As that release says it.
        let before = format!(
            "update sessions set refresh_hash = sha256('next'), expires_at = expires_at,
                    generation = generation + 1, parent_hash = refresh_hash, rotated_at = now()
             where scope is {which}"
        );
        sqlx::query(sqlx::AssertSqlSafe(before)).execute(&pool).await
    };
    let refused = exchange("not null").await.unwrap_err();
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("sessions_scope_kept"));
    assert_eq!(app.refreshed(&narrow).await["scope"], "user:read");
    assert_eq!(exchange("null").await.unwrap().rows_affected(), 1);
}

#[tokio::test]
async fn a_row_whose_scopes_cannot_be_read_opens_nothing() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let mut session = app.narrowed(&user, "user:read").await;
    let pool = app.database.pool().await;
    for scope in ["*", "user:read\u{a0}user:write", "user:everything"] {
        let spoil = sqlx::query("update sessions set scope = $1 where scope is not null");
        spoil.bind(scope).execute(&pool).await.unwrap();
        session = app.refreshed(&session).await;
        assert_eq!(session["scope"], "", "{scope}");
        let missing = app.missing(Method::GET, "/api/users/me", token(&session)).await;
        assert_eq!(missing.as_deref(), Some("user:read"), "{scope}");
    }
}

#[tokio::test]
async fn a_token_that_is_made_by_hand_is_narrowed_where_that_is_asked() {
    let app = TestApp::start().await;
    let make = async |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let settings = platform::process::load::<UserService>(app.vars()).unwrap();
        let made = UserService::command(&settings.own, &settings.platform, &words).await;
        made.map_err(|error| error.to_string())
    };
    let id = Uuid::now_v7().to_string();
    let reads = make(&["token", "user", "--id", &id, "--scope", "user:read"]).await.unwrap();
    assert_eq!(app.get("/api/sessions", &reads).await.status(), 200);
    assert_eq!(app.delete("/api/sessions", &reads).await, 403);
    let admin = ["token", "user", "--id", &id, "--role", "admin", "--scope", "payment:admin"];
    assert_eq!(app.get("/admin/audit", &make(&admin).await.unwrap()).await.status(), 403);
    let service = ["token", "service", "payment-service", "--for", "user-service"];
    let user = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    for (more, expected) in [(&[][..], 200), (&["--scope", "user:write"], 403)] {
        let token = make(&[&service[..], more].concat()).await.unwrap();
        assert_eq!(app.get(&path, &token).await.status(), expected, "{more:?}");
        let caller = app.tokens("user-service", Clock::system()).verify(&token).unwrap();
        assert!(matches!(caller, Caller::Service(service) if service.name == "payment-service"));
    }
    let unknown = make(&["token", "user", "--id", &id, "--scope", "user:raed"]).await.unwrap_err();
    assert!(unknown.starts_with("names user:raed, which is no scope"), "{unknown}");
}
