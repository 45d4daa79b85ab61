//! Where a user is signed in, and how that ends.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{PASSWORD, Signed, TestApp};

impl TestApp {
    async fn sessions(&self, user: &Signed) -> Vec<Value> {
        let answer = self.get("/api/sessions", &user.token).await;
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()["items"].as_array().unwrap().clone()
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> StatusCode {
        self.request(Method::DELETE, path).bearer_auth(token).send().await.unwrap().status()
    }

    pub(crate) async fn refreshes(&self, token: &str) -> bool {
        let answer = self.post("/api/sessions/refresh", &json!({"refresh_token": token})).await;
        answer.status() == 200
    }

    /// Signs in once more, from a device that says this of itself.
    async fn signed_in_from(&self, user: &Signed, device: &str) -> Signed {
        let body = json!({"email": user.email, "password": PASSWORD});
        let request = self.request(Method::POST, "/api/sessions").json(&body);
        let answer = request.header("user-agent", device).send().await.unwrap();
        let session: Value = answer.json().await.unwrap();
        let text = |name: &str| session[name].as_str().unwrap().to_owned();
        Signed {
            id: user.id.clone(),
            email: user.email.clone(),
            token: text("access_token"),
            refresh_token: text("refresh_token"),
        }
    }
}

#[tokio::test]
async fn a_user_sees_the_own_sessions_with_device_and_last_use_and_nobody_elses() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let _stranger = app.new_user().await;
    let phone = app.signed_in_from(&user, "  Phone/1.0 \u{e9}(home)").await;
    assert!(app.refreshes(&user.refresh_token).await);

    let sessions = app.sessions(&phone).await;

    assert_eq!(sessions.len(), 2, "{sessions:?}");
    // The one that was refreshed was used last.
    assert_eq!(sessions[1]["device"], "Phone/1.0 (home)");
    assert_eq!((&sessions[0]["current"], &sessions[1]["current"]), (&json!(false), &json!(true)));
    for session in &sessions {
        let time = |name: &str| -> chrono::DateTime<chrono::Utc> {
            session[name].as_str().unwrap().parse().unwrap()
        };
        let is_used = session["current"] == false;
        assert_eq!(time("last_used_at") > time("created_at"), is_used, "{session}");
        assert!(time("expires_at") > time("last_used_at"), "{session}");
        let id = session["session_id"].as_str().unwrap();
        let current = [&user, &phone].map(|signed| signed.session() == format!("session:{id}"));
        assert_eq!(current, [is_used, !is_used]);
    }
}

#[tokio::test]
async fn a_user_ends_one_of_the_own_sessions_and_of_nobody_else() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let stranger = app.new_user().await;
    let other = app.signed_in_from(&user, "Phone").await;
    let path = |signed: &Signed| signed.session().replace("session:", "/api/sessions/");

    assert_eq!(app.delete(&path(&user), &stranger.token).await, 404);
    assert_eq!(app.delete(&format!("/api/sessions/{}", Uuid::nil()), &user.token).await, 404);
    assert!(app.refreshes(&other.refresh_token).await);

    assert_eq!(app.delete(&path(&other), &user.token).await, 204);
    assert_eq!(app.delete(&path(&other), &user.token).await, 404, "it has ended");
    assert!(!app.refreshes(&other.refresh_token).await);
    assert!(
        app.refreshes(&user.refresh_token).await && app.refreshes(&stranger.refresh_token).await
    );
    let pool = app.database.pool().await;
    let entries =
        "select count(*) from audit where action = 'session-end' and actor = $1 and target = $2";
    let entries =
        sqlx::query_scalar(entries).bind(format!("user:{}", user.id)).bind(other.session());
    let entries: i64 = entries.fetch_one(&pool).await.unwrap();
    assert_eq!(entries, 1);
}

#[tokio::test]
async fn a_user_ends_all_sessions_or_all_but_this_one() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let stranger = app.new_user().await;
    let other = app.signed_in_from(&user, "Phone").await;

    assert_eq!(app.delete("/api/sessions?keep_current=true", &user.token).await, 204);
    assert!(!app.refreshes(&other.refresh_token).await);
    assert_eq!(app.sessions(&user).await.len(), 1);

    assert_eq!(app.delete("/api/sessions?keep=this", &user.token).await, 400);
    assert_eq!(app.delete("/api/sessions", &user.token).await, 204);
    assert!(!app.refreshes(&user.refresh_token).await);
    assert!(app.refreshes(&stranger.refresh_token).await);
}

#[tokio::test]
async fn a_refresh_token_is_enough_to_sign_out_used_or_not() {
    let app = TestApp::start().await;
    let sign_out = async |token: &str| {
        app.post("/api/sessions/sign-out", &json!({"refresh_token": token})).await.status()
    };
    let other = app.new_user().await;
    for is_used in [false, true] {
        let user = app.new_user().await;
        let refresh = json!({"refresh_token": user.refresh_token});
        let mut last = user.refresh_token.clone();
        if is_used {
            let next: Value =
                app.post("/api/sessions/refresh", &refresh).await.json().await.unwrap();
            last = next["refresh_token"].as_str().unwrap().to_owned();
        }
        for _ in 0..2 {
            assert_eq!(sign_out(&user.refresh_token).await, 204);
        }
        assert!(!app.refreshes(&last).await);
    }
    assert_eq!(sign_out("none").await, 204);
    assert!(app.refreshes(&other.refresh_token).await);
    assert_eq!(app.count("select count(*) from audit where action = 'sign-out'").await, 2);
}

#[tokio::test]
async fn a_session_has_an_end_that_no_refresh_moves_and_its_tokens_end_with_it() {
    let app =
        TestApp::start_with(&[("SESSION_MAX_AGE", "1h"), ("REFRESH_EXPIRATION", "50m")]).await;
    let user = app.new_user().await;
    let pool = app.database.pool().await;
    let age = async |minutes: i32| {
        let age = "update sessions set created_at = now() - make_interval(mins => $1)";
        sqlx::query(age).bind(minutes).execute(&pool).await.unwrap();
    };
    let refresh = async |token: &str| {
        let answer = app.post("/api/sessions/refresh", &json!({"refresh_token": token})).await;
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };

    age(55).await;
    let (status, session) = refresh(&user.refresh_token).await;
    assert_eq!(status, 200);
    let left = session["expires_in"].as_u64().unwrap();
    assert!((1..=300).contains(&left), "{left} s: the access token outlives the session");
    let end = "select extract(epoch from expires_at - now())::bigint from sessions";
    assert!((1..=300).contains(&app.count(end).await), "the refresh token outlives the session");

    age(61).await;
    let (status, _) = refresh(session["refresh_token"].as_str().unwrap()).await;
    assert_eq!(status, 401);
    let listed: Value = app.get("/api/sessions", &user.token).await.json().await.unwrap();
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn a_user_has_a_hundred_sessions_and_the_next_one_ends_the_one_that_was_used_the_longest_ago()
{
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let pool = app.database.pool().await;
    let more = "insert into sessions (id, user_id, refresh_hash, created_at, expires_at)
                select gen_random_uuid(), user_id, sha256(n::text::bytea),
                       created_at - make_interval(hours => n), expires_at
                from sessions, generate_series(1, 99) n";
    assert_eq!(sqlx::query(more).execute(&pool).await.unwrap().rows_affected(), 99);

    let next = app.signed_in_from(&user, "Phone").await;

    assert_eq!(app.sessions(&next).await.len(), 100);
    let oldest = "select max(extract(epoch from now() - created_at)::bigint) / 3600 from sessions";
    assert_eq!(app.count(oldest).await, 98);
    assert!(app.refreshes(&user.refresh_token).await && app.refreshes(&next.refresh_token).await);
}

#[tokio::test]
async fn others_are_told_once_that_a_used_token_came_again_so_that_the_owner_hears_of_it() {
    let app = TestApp::start().await;
    app.plain.listen("user.events", "ear").await;
    let user = app.new_user().await;
    let refresh = async |token: &str| -> Value {
        let body = json!({"refresh_token": token});
        app.post("/api/sessions/refresh", &body).await.json().await.unwrap()
    };
    let second = refresh(&user.refresh_token).await;
    refresh(second["refresh_token"].as_str().unwrap()).await;
    for _ in 0..2 {
        refresh(&user.refresh_token).await;
    }
    app.new_user().await;

    let mut heard = Vec::new();
    for _ in 0..3 {
        let event = app.plain.next("ear").await;
        let body: Value = serde_json::from_slice(&event.data).unwrap();
        heard.push((event.routing_key.to_string(), body["data"].clone()));
    }
    heard.sort_by_key(|(kind, _)| kind.clone());
    assert_eq!((heard[0].0.as_str(), heard[1].0.as_str()), ("user.created", "user.created"));
    let session_id = user.session().replace("session:", "");
    let expected = json!({"user_id": user.id, "session_id": session_id});
    assert_eq!(heard[2], ("user.session_reused".to_owned(), expected));
}
