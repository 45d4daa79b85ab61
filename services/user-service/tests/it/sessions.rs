//! Signing in, staying signed in, signing out.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{PASSWORD, TestApp};

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_get_the_same_answer() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let wrong = app.sign_in(&user.email, "correct horse batterx").await;
    let unknown = app.sign_in("nobody@example.com", PASSWORD).await;
    let malformed = app.sign_in("no address", PASSWORD).await;
    let mut bodies = Vec::new();
    for answer in [wrong, unknown, malformed] {
        assert_eq!(answer.status(), 401);
        bodies.push(answer.text().await.unwrap());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

#[tokio::test]
async fn a_token_that_is_used_again_after_its_successor_ends_the_session() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let other: Value = app.sign_in(&user.email, PASSWORD).await.json().await.unwrap();
    let second = next(&app, &user.refresh_token).await;
    let third = next(&app, &second).await;

    let before = reused(&app).await;

    assert_eq!(refresh(&app, &user.refresh_token).await.status(), 401);

    assert_eq!(refresh(&app, &third).await.status(), 401);
    assert_eq!(reused(&app).await - before, 1);
    assert_eq!(refresh(&app, text(&other["refresh_token"])).await.status(), 200);
}

#[tokio::test]
async fn an_ended_session_refuses_all_its_tokens_alike() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let second = next(&app, &user.refresh_token).await;
    let third = next(&app, &second).await;
    let mut bodies = Vec::new();
    for token in [&user.refresh_token, &second, &third, &user.refresh_token, "none"] {
        let answer = refresh(&app, token).await;
        assert_eq!(answer.status(), 401);
        bodies.push(answer.text().await.unwrap());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

#[tokio::test]
async fn a_repeated_refresh_whose_answer_was_lost_goes_on_with_the_session() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let lost = next(&app, &user.refresh_token).await;

    let kept = next(&app, &user.refresh_token).await;

    assert_ne!(lost, kept);
    let third = next(&app, &kept).await;
    assert_eq!(refresh(&app, &third).await.status(), 200);
}

#[tokio::test]
async fn of_two_successors_of_one_token_the_second_that_is_used_ends_the_session() {
    let app = TestApp::start().await;
    for first_counts in [true, false] {
        let user = app.new_user().await;
        let first = next(&app, &user.refresh_token).await;
        let second = next(&app, &user.refresh_token).await;
        let (counts, other) = if first_counts { (first, second) } else { (second, first) };
        let third = next(&app, &counts).await;
        assert_eq!(refresh(&app, &other).await.status(), 401);
        assert_eq!(refresh(&app, &third).await.status(), 401);
    }
}

#[tokio::test]
async fn a_token_that_comes_again_late_ends_the_session_though_nobody_used_its_successor() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let second = next(&app, &user.refresh_token).await;
    let pool = app.database.pool().await;
    let earlier = "update sessions set rotated_at = rotated_at - interval '31 seconds'";
    assert_eq!(sqlx::query(earlier).execute(&pool).await.unwrap().rows_affected(), 1);

    assert_eq!(refresh(&app, &user.refresh_token).await.status(), 401);

    // It may be a thief who has the successor.
    assert_eq!(refresh(&app, &second).await.status(), 401);
    let told = "select count(*) from audit where action = 'refresh' and outcome = 'reused'";
    assert_eq!(sqlx::query_scalar::<_, i64>(told).fetch_one(&pool).await.unwrap(), 1);
}

#[tokio::test]
async fn refreshes_at_once_with_one_token_give_tokens_of_which_one_goes_on() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let again = || refresh(&app, &user.refresh_token);
    let answers = tokio::join!(again(), again(), again(), again());
    let mut tokens = Vec::new();
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        assert_eq!(answer.status(), 200);
        let session: Value = answer.json().await.unwrap();
        let access = text(&session["access_token"]);
        assert_eq!(app.get("/api/users/me", access).await.status(), 200);
        tokens.push(text(&session["refresh_token"]).to_owned());
    }
    let third = next(&app, &tokens[0]).await;
    assert_eq!(refresh(&app, &third).await.status(), 200);
    assert_eq!(refresh(&app, &tokens[1]).await.status(), 401);
}

#[tokio::test]
async fn reuse_and_use_at_once_never_leave_a_token_of_the_session_that_is_good() {
    let app = TestApp::start().await;
    for _ in 0..4 {
        let user = app.new_user().await;
        let second = next(&app, &user.refresh_token).await;
        let third = next(&app, &second).await;
        let (reused, used) =
            tokio::join!(refresh(&app, &user.refresh_token), refresh(&app, &third));
        assert_eq!(reused.status(), 401);
        let used: Value = used.json().await.unwrap();
        let left = used["refresh_token"].as_str().unwrap_or(&third);
        assert_eq!(refresh(&app, left).await.status(), 401);
    }
}

#[tokio::test]
async fn used_tokens_go_when_their_own_time_is_up_and_with_their_session() {
    let app = TestApp::start_with(&[("SESSION_SWEEP_INTERVAL", "100ms")]).await;
    let one = app.new_user().await;
    let other = app.new_user().await;
    for user in [&one, &other] {
        let second = next(&app, &user.refresh_token).await;
        next(&app, &second).await;
    }
    let pool = app.database.pool().await;
    let count = async |query: &'static str| -> i64 {
        sqlx::query_scalar(query).fetch_one(&pool).await.unwrap()
    };
    let tokens = "select count(*) from former_refresh_tokens";
    assert_eq!(count(tokens).await, 4);
    let expired = "update former_refresh_tokens set expires_at = now() where generation = 1";
    sqlx::query(expired).execute(&pool).await.unwrap();
    let swept = async || (count(tokens).await == 2).then_some(());
    testkit::eventually("the tokens whose time is up are swept", swept).await;
    assert_eq!(count("select count(*) from sessions").await, 2);
    let delete = app.request(Method::DELETE, &format!("/api/users/{}", one.id));
    assert_eq!(delete.bearer_auth(&one.token).send().await.unwrap().status(), 204);
    assert_eq!(count(tokens).await, 1);
}

#[tokio::test]
async fn a_session_that_remembers_as_many_tokens_as_it_may_ends_at_the_next_refresh() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let second = next(&app, &user.refresh_token).await;
    let pool = app.database.pool().await;
    let fill =
        "insert into former_refresh_tokens (refresh_hash, session_id, generation, expires_at)
                select sha256(n::text::bytea), id, 1, now() + interval '1 day'
                from sessions, generate_series(1, 9998) as n";
    sqlx::query(fill).execute(&pool).await.unwrap();
    let third = next(&app, &second).await;
    assert_eq!(refresh(&app, &third).await.status(), 401);
    let left = "select count(*) from sessions";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&pool).await.unwrap(), 0);
}

async fn refresh(app: &TestApp, token: &str) -> reqwest::Response {
    app.post("/api/sessions/refresh", &json!({"refresh_token": token})).await
}

/// The token that a token is exchanged for.
async fn next(app: &TestApp, token: &str) -> String {
    let answer = refresh(app, token).await;
    assert_eq!(answer.status(), 200);
    let session: Value = answer.json().await.unwrap();
    text(&session["refresh_token"]).to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// How many refreshes were counted as reuse.
async fn reused(app: &TestApp) -> u64 {
    let metrics = app.get("/metrics", "").await.text().await.unwrap();
    let line = "user_session_refreshes_total{outcome=\"reused\"} ";
    let value = metrics.lines().find_map(|found| found.strip_prefix(line));
    value.unwrap_or_else(|| panic!("no {line} in {metrics}")).parse().unwrap()
}

#[tokio::test]
async fn signing_out_ends_the_session_and_no_other() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let other: Value = app.sign_in(&user.email, PASSWORD).await.json().await.unwrap();
    let sign_out = app.request(Method::DELETE, "/api/sessions/current").bearer_auth(&user.token);
    assert_eq!(sign_out.send().await.unwrap().status(), 204);
    assert_eq!(refresh(&app, &user.refresh_token).await.status(), 401);
    assert_eq!(refresh(&app, text(&other["refresh_token"])).await.status(), 200);
}

#[tokio::test]
async fn neither_password_nor_refresh_token_is_stored() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let second = next(&app, &user.refresh_token).await;
    let pool = app.database.pool().await;
    let dump: String = sqlx::query_scalar(
        "select (select string_agg(users::text, '') from users)
             || (select string_agg(sessions::text, '') from sessions)
             || (select string_agg(tokens::text, '') from former_refresh_tokens tokens)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(dump.contains("$argon2id$"), "{dump}");
    assert!(!dump.contains(PASSWORD) && !dump.contains(&user.refresh_token), "{dump}");
    assert!(!dump.contains(&second), "{dump}");
}

#[tokio::test]
async fn sign_ins_for_which_there_is_no_place_are_told_to_come_again_and_nothing_else_is_refused() {
    let app = TestApp::start_with(&[("PASSWORD_CONCURRENCY", "1"), ("PASSWORD_QUEUE", "1")]).await;
    let user = app.new_user().await;
    let refused = testkit::eventually("a sign-in is refused", async || {
        let sign_ins = (0..12).map(|_| app.sign_in(&user.email, PASSWORD));
        let others = (0..12).map(|_| app.get("/api/users/me", &user.token));
        let (sign_ins, others) = tokio::join!(join_all(sign_ins), join_all(others));
        assert!(others.iter().all(|answer| answer.status() == 200));
        assert!(sign_ins.iter().any(|answer| answer.status() == 201), "somebody has signed in");
        sign_ins.into_iter().find(|answer| answer.status() != 201)
    });
    let refused = refused.await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "2");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 201, "once they are done");
}

#[tokio::test]
async fn no_cache_keeps_what_holds_a_token() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let signed_in = app.sign_in(&user.email, PASSWORD).await;
    assert_eq!(signed_in.headers()["cache-control"], "no-store");
    let session: Value = signed_in.json().await.unwrap();
    let refresh = json!({"refresh_token": session["refresh_token"]});
    let refreshed = app.post("/api/sessions/refresh", &refresh).await;
    assert_eq!(refreshed.status(), 200);
    assert_eq!(refreshed.headers()["cache-control"], "no-store");
}

/// One keyboard composes a letter and its accent, another sends both.
#[tokio::test]
async fn a_password_is_the_same_however_a_keyboard_composes_its_letters() {
    let app = TestApp::start().await;
    let (composed, decomposed) = ("p\u{e4}ssw\u{f6}rter1", "pa\u{308}sswo\u{308}rter1");
    for (registered, typed) in [(composed, decomposed), (decomposed, composed)] {
        let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
        let body = json!({"email": email, "name": "Ada", "password": registered});
        assert_eq!(app.post("/api/users", &body).await.status(), 201);
        for password in [registered, typed] {
            assert_eq!(app.sign_in(&email, password).await.status(), 201);
        }
        assert_eq!(app.sign_in(&email, "passworter1").await.status(), 401);
    }
}

/// Hashes from before passwords were normalised are those of what was typed.
#[tokio::test]
async fn a_hash_of_the_password_as_it_was_typed_is_good_and_replaced_at_the_next_sign_in() {
    let app = TestApp::start().await;
    let (composed, decomposed) = ("p\u{e4}ssw\u{f6}rter1", "pa\u{308}sswo\u{308}rter1");
    let user = app.new_user().await;
    let settings = auth::password::PasswordSettings {
        concurrency: 1,
        queue: 1,
        wait: std::time::Duration::from_secs(60),
    };
    let passwords = auth::password::Passwords::new(&settings).unwrap();
    let old = passwords.hash(decomposed.to_owned().into()).await.unwrap();
    let pool = app.database.pool().await;
    let set = sqlx::query("update users set password_hash = $2 where id = $1::uuid");
    set.bind(&user.id).bind(old.as_str()).execute(&pool).await.unwrap();

    assert_eq!(app.sign_in(&user.email, composed).await.status(), 401, "nobody typed that");
    assert_eq!(app.sign_in(&user.email, decomposed).await.status(), 201);
    assert_eq!(app.sign_in(&user.email, composed).await.status(), 201);
    assert_eq!(app.sign_in(&user.email, decomposed).await.status(), 201);
}

#[tokio::test]
async fn the_length_of_a_password_is_counted_once_it_is_normalised() {
    let app = TestApp::start().await;
    for (password, status) in [("e\u{301}".repeat(9), 422), ("e\u{301}".repeat(128), 201)] {
        let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
        let body = json!({"email": email, "name": "Ada", "password": password});
        assert_eq!(app.post("/api/users", &body).await.status(), status);
    }
}
