//! Profiles: who may see and change what, and two editors at once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn a_registered_user_is_found_under_its_location() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let shown = app.get(&format!("/api/users/{}", user.id), &user.token).await;
    assert_eq!(shown.headers()["etag"], "\"1\"");
    let body: Value = shown.json().await.unwrap();
    assert_eq!((&body["email"], &body["status"]), (&json!(user.email), &json!("active")));
    assert!(body.get("password_hash").is_none());
    let me: Value = app.get("/api/users/me", &user.token).await.json().await.unwrap();
    assert_eq!(me, body);
}

#[tokio::test]
async fn an_address_is_taken_in_any_case_even_when_two_ask_at_once() {
    let app = TestApp::start().await;
    let both = tokio::join!(app.register("ada@example.com"), app.register("ADA@Example.com"));
    let mut statuses = [both.0.status().as_u16(), both.1.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn a_user_sees_the_own_profile_only_an_admin_and_a_service_see_all() {
    let app = TestApp::start().await;
    let (id, own) = app.one().await;
    let other = app.new_user().await;
    let path = format!("/api/users/{id}");
    for (token, expected) in [(&own, 200), (&other.token, 404), (&app.admin_token(), 200)] {
        assert_eq!(app.get(&path, token).await.status(), expected);
    }
    let service = app.tokens("payment-service", chassis::Clock::system());
    let token = service.for_service("user-service").unwrap();
    assert_eq!(app.get(&path, token.value.expose()).await.status(), 200);
}

#[tokio::test]
async fn of_two_editors_the_second_is_told_that_the_profile_changed() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    let first = app.patch(&path, &user.token, "\"1\"", &json!({"name": "Ada L."})).await;
    assert_eq!(
        (first.status().as_u16(), &first.headers()["etag"]),
        (200, &"\"2\"".parse().unwrap())
    );
    let second = app.patch(&path, &user.token, "\"1\"", &json!({"name": "A. Lovelace"})).await;
    assert_eq!(second.status(), 412);
    let blind = app.request(Method::PATCH, &path).bearer_auth(&user.token);
    assert_eq!(blind.json(&json!({"name": "X"})).send().await.unwrap().status(), 428);
    let shown: Value = app.get(&path, &user.token).await.json().await.unwrap();
    assert_eq!(shown["name"], "Ada L.");
}

#[tokio::test]
async fn a_change_is_seen_by_the_next_reader_though_the_profile_was_cached() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    app.get(&path, &user.token).await;
    app.patch(&path, &user.token, "\"1\"", &json!({"name": "New"})).await;
    let shown: Value = app.get(&path, &user.token).await.json().await.unwrap();
    assert_eq!(shown["name"], "New");
}

#[tokio::test]
async fn a_deleted_user_is_erased_and_cannot_sign_in() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    assert_eq!(app.delete(&path, &user.token).await, 204);
    assert_eq!(app.delete(&path, &app.administrator().await).await, 404);
    assert_eq!(app.sign_in(&user.email, crate::app::PASSWORD).await.status(), 401);
    let refresh = json!({"refresh_token": user.refresh_token});
    assert_eq!(app.post("/api/sessions/refresh", &refresh).await.status(), 401);
    let shown: Value = app.get(&path, &app.admin_token()).await.json().await.unwrap();
    assert_eq!(shown["status"], "deleted");
    assert!(!shown.to_string().contains(&user.email), "{shown}");
    assert_eq!(app.register(&user.email).await.status(), 201);
}

#[tokio::test]
async fn nobody_takes_the_address_that_stands_for_a_deleted_user_and_so_keeps_one_from_going() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let own = format!("{}@deleted.invalid", user.id);
    let refused = app.register(&own).await;
    assert_eq!(refused.status(), 422);
    let problem: Value = refused.json().await.unwrap();
    let says = "has a domain in .invalid after the @, where no mail can go";
    assert_eq!(problem["errors"], json!([{"pointer": "/email", "detail": says}]));
    let path = format!("/api/users/{}", user.id);
    let change = json!({"email": own, "current_password": crate::app::PASSWORD});
    assert_eq!(app.patch(&path, &user.token, "*", &change).await.status(), 422);
    // Somebody registered with it before it was refused.
    let squatter = app.new_user().await;
    let taken = "update users set email = $1 where id = $2::uuid";
    let taken = sqlx::query(taken).bind(&own).bind(&squatter.id);
    taken.execute(&app.database.pool().await).await.unwrap();
    assert_eq!(app.delete(&path, &user.token).await, 204);
    let shown: Value = app.get(&path, &app.admin_token()).await.json().await.unwrap();
    let email = shown["email"].as_str().unwrap();
    assert!(email.ends_with("@deleted.invalid") && email != own, "{shown}");
}

#[tokio::test]
async fn the_list_is_for_administrators_and_pages_neither_repeat_nor_skip() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    for number in 0..4 {
        app.register(&format!("user{number}@example.com")).await;
    }
    assert_eq!(app.get("/api/users", &user.token).await.status(), 403);
    let admin = app.admin_token();
    let mut emails = Vec::new();
    let mut path = "/api/users?limit=2".to_owned();
    loop {
        let page: Value = app.get(&path, &admin).await.json().await.unwrap();
        let items = page["items"].as_array().unwrap();
        emails.extend(items.iter().map(|item| item["email"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        // One that registers between two pages moves nothing.
        app.register(&format!("late{}@example.com", emails.len())).await;
        path = format!("/api/users?limit=2&cursor={cursor}");
    }
    let newest_first =
        ["user3", "user2", "user1", "user0"].map(|name| format!("{name}@example.com"));
    assert_eq!(emails[..4], newest_first);
    assert_eq!(emails[4..], [user.email]);
    for bad in ["limit=0", "limit=101", "limit=x", "cursor=x", "page=2"] {
        assert_eq!(app.get(&format!("/api/users?{bad}"), &admin).await.status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn if_match_is_compared_as_the_standard_says() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    for stale in ["W/\"1\"", "\"01\"", "\"+1\"", "\"2\"", "\"2\", \"3\"", "1", ""] {
        let changed = app.patch(&path, &user.token, stale, &json!({"name": "Nobody"})).await;
        assert_eq!(changed.status(), 412, "{stale}");
        let delete = app.request(Method::DELETE, &path).bearer_auth(&user.token);
        let deleted = delete.header("if-match", stale).send().await.unwrap();
        assert_eq!(deleted.status(), 412, "{stale}");
    }
    for (version, seen) in [(2, "*"), (3, "\"2\", \"99\""), (4, "\"99\" , \"3\"")] {
        let name = json!({"name": format!("Ada {version}")});
        let changed = app.patch(&path, &user.token, seen, &name).await;
        assert_eq!(changed.status(), 200, "{seen}");
        assert_eq!(changed.headers()["etag"], format!("\"{version}\""), "{seen}");
    }
    let delete = app.request(Method::DELETE, &path).bearer_auth(&user.token);
    assert_eq!(delete.header("if-match", "\"4\"").send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_profile_that_the_caller_has_already_is_not_sent_again() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    for path in ["/api/users/me".to_owned(), format!("/api/users/{}", user.id)] {
        let request = app.request(Method::GET, &path).bearer_auth(&user.token);
        let answer = request.header("if-none-match", "W/\"1\"").send().await.unwrap();
        assert_eq!(answer.status(), 304);
        assert_eq!(answer.headers()["etag"], "\"1\"");
        assert_eq!(answer.headers()["cache-control"], "private, no-cache");
        assert_eq!(answer.headers()["vary"], "authorization");
        assert_eq!(answer.text().await.unwrap(), "");
        // Who may not see it is told so, whatever the tag.
        let request = app.request(Method::GET, &path).header("if-none-match", "*");
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
}

#[tokio::test]
async fn a_merge_patch_changes_a_profile_and_a_json_patch_does_not() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    let patch = |kind: &str, body: Value| {
        let request = app.request(Method::PATCH, &path).bearer_auth(&user.token);
        let request = request.header("content-type", kind).header("if-match", "*");
        request.body(body.to_string()).send()
    };
    let operation = json!([{"op": "replace", "path": "/name", "value": "Eve"}]);
    let refused = patch("application/json-patch+json", operation).await.unwrap();
    assert_eq!(refused.status(), 415);
    let changed = patch("application/merge-patch+json", json!({"name": "Ada L."})).await.unwrap();
    assert_eq!(changed.status(), 200);
}

#[tokio::test]
async fn an_export_is_whole_or_not_there_and_is_the_users_own() {
    // Nobody listens at either.
    let away = [("PAYMENT_SERVICE_PORT", "1"), ("NOTIFICATION_SERVICE_PORT", "1")];
    let app = TestApp::start_with(&away).await;
    let user = app.new_user().await;
    let export = format!("/api/users/{}/export", user.id);
    let refused = app.get(&export, &user.token).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let stranger = app.new_user().await;
    assert_eq!(app.get(&export, &stranger.token).await.status(), 404);
    let elsewhere = app.get(&format!("{export}?cursor=elsewhere"), &user.token).await;
    assert_eq!(elsewhere.status(), 400);
}
