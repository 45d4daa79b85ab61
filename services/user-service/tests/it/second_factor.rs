//! Codes of an authenticator app besides the password: how they come, where they are asked for, how they
//! go.

use auth::totp::{TotpSecret, step_at};
use chassis::Clock;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{PASSWORD, Signed, TestApp};
use crate::guesses::{address, limited};

/// A user's app, and what the user has written down.
pub(crate) struct Factor {
    pub(crate) secret: TotpSecret,
    pub(crate) recovery: Vec<String>,
}

impl Factor {
    /// What the app shows so many steps from now.
    pub(crate) fn code(&self, steps: i64) -> String {
        let step = step_at(Clock::system().now()) + steps;
        self.secret.code(step).expose().clone()
    }
}

impl TestApp {
    pub(crate) async fn post_as(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.request(Method::POST, path).bearer_auth(token).json(body);
        told(request.send().await.unwrap()).await
    }

    /// Gives a user's app its secret; nothing is asked for yet.
    pub(crate) async fn enrolled(&self, user: &Signed) -> Factor {
        let body = json!({"password": PASSWORD});
        let (status, enrolled) = self.post_as(&user.token, "/api/second-factor", &body).await;
        assert_eq!(status, 201, "{enrolled}");
        let secret = TotpSecret::typed(enrolled["secret"].as_str().unwrap()).unwrap();
        Factor { secret, recovery: Vec::new() }
    }

    /// Switches a user's second factor on.
    pub(crate) async fn protected(&self, user: &Signed) -> Factor {
        let mut factor = self.enrolled(user).await;
        let body = json!({"code": factor.code(0)});
        let path = "/api/second-factor/complete";
        let (status, enabled) = self.post_as(&user.token, path, &body).await;
        assert_eq!(status, 200, "{enabled}");
        let codes = enabled["recovery_codes"].as_array().unwrap().iter();
        factor.recovery = codes.map(|code| code.as_str().unwrap().to_owned()).collect();
        factor
    }

    /// Time passes: what was used is of a step long ago.
    pub(crate) async fn later(&self) {
        let pool = self.database.pool().await;
        sqlx::query("update second_factors set last_step = 0").execute(&pool).await.unwrap();
    }

    pub(crate) async fn sign_in_with(&self, email: &str, code: &str) -> (u16, Value) {
        let body = json!({"email": email, "password": PASSWORD, "code": code});
        told(self.post("/api/sessions", &body).await).await
    }

    async fn second_factor(&self, user: &Signed) -> Value {
        self.get("/api/second-factor", &user.token).await.json().await.unwrap()
    }
}

async fn told(answer: Response) -> (u16, Value) {
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// Of a problem, its type and what it says of itself or of the field.
fn kind(problem: &Value) -> (&str, &str) {
    let kind = problem["type"].as_str().unwrap_or_default().trim_start_matches("/problems/");
    let detail = problem["errors"][0]["detail"].as_str().or(problem["detail"].as_str());
    (kind, detail.unwrap_or_default())
}

const NEEDED: (&str, &str) = ("second-factor", "a code of the second factor is needed");
const WRONG: (&str, &str) = ("second-factor", "the code is wrong, or was used");
const ASKED: (&str, &str) = ("validation", "is needed: the second factor is on");
const REFUSED: (&str, &str) = ("validation", "is wrong, or was used");

#[tokio::test]
async fn the_first_right_code_switches_it_on_and_then_each_sign_in_asks_for_one() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let bystander = app.new_user().await;
    let other: Value = app.sign_in(&user.email, PASSWORD).await.json().await.unwrap();
    assert_eq!(app.second_factor(&user).await, json!({"enabled": false, "recovery_codes_left": 0}));
    let wrong =
        app.post_as(&user.token, "/api/second-factor", &json!({"password": "not it"})).await;
    assert_eq!((wrong.0, kind(&wrong.1)), (422, ("validation", "is not the password")));

    // Nothing is asked for before the first code; the last secret that was asked for counts.
    let before = app.enrolled(&user).await;
    let factor = app.enrolled(&user).await;
    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 201);
    for code in [before.code(0), "000000".to_owned(), String::new()] {
        let body = json!({"code": code});
        let refused = app.post_as(&user.token, "/api/second-factor/complete", &body).await;
        assert_eq!((refused.0, kind(&refused.1)), (422, REFUSED));
    }
    let body = json!({"code": factor.code(0)});
    let (status, enabled) = app.post_as(&user.token, "/api/second-factor/complete", &body).await;
    assert_eq!((status, enabled["recovery_codes"].as_array().unwrap().len()), (200, 10));
    assert!(!app.refreshes(other["refresh_token"].as_str().unwrap()).await, "others' sessions end");
    assert!(app.refreshes(&user.refresh_token).await, "the own session goes on");
    assert!(app.refreshes(&bystander.refresh_token).await, "nobody else's ends");
    let shown = app.second_factor(&user).await;
    assert_eq!((&shown["enabled"], &shown["recovery_codes_left"]), (&json!(true), &json!(10)));

    let needed = told(app.sign_in(&user.email, PASSWORD).await).await;
    assert_eq!((needed.0, kind(&needed.1)), (401, NEEDED));
    // Whoever does not know the password learns nothing of it.
    let wrong = told(app.sign_in(&user.email, "not the password").await).await;
    assert_eq!((wrong.0, kind(&wrong.1).0), (401, "unauthorized"));
    let refused = app.sign_in_with(&user.email, "000000").await;
    assert_eq!((refused.0, kind(&refused.1)), (401, WRONG));
    let session = app.sign_in_with(&user.email, &factor.code(1)).await;
    assert_eq!(session.0, 201, "{session:?}");
    assert_eq!(app.sign_in(&bystander.email, PASSWORD).await.status(), 201);
}

#[tokio::test]
async fn a_code_is_good_once_and_a_little_before_its_time() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let factor = app.protected(&user).await;
    // The one that switched it on, and whatever is older.
    for steps in [0, -1] {
        let replayed = app.sign_in_with(&user.email, &factor.code(steps)).await;
        assert_eq!((replayed.0, kind(&replayed.1)), (401, WRONG), "{steps}");
    }
    // None of a step before: it may be two steps old when the request arrives.
    for steps in [0, 1] {
        app.later().await;
        let code = factor.code(steps);
        assert_eq!(app.sign_in_with(&user.email, &code).await.0, 201, "{steps}");
        assert_eq!(app.sign_in_with(&user.email, &code).await.0, 401, "{steps} once more");
    }
    app.later().await;
    for steps in [-3, 3] {
        assert_eq!(app.sign_in_with(&user.email, &factor.code(steps)).await.0, 401, "{steps}");
    }
    // Of many who show one code at the same moment, one is let in.
    let code = factor.code(0);
    let all = (0..8).map(|_| app.sign_in_with(&user.email, &code));
    let all = futures_util::future::join_all(all).await;
    assert_eq!(all.iter().filter(|(status, _)| *status == 201).count(), 1, "{all:?}");
}

#[tokio::test]
async fn a_recovery_code_is_good_once_and_its_use_is_told_and_new_ones_replace_the_old() {
    let app = TestApp::start().await;
    app.plain.listen("user.events", "ear").await;
    let user = app.new_user().await;
    let factor = app.protected(&user).await;
    let [first, second] = [0, 1].map(|place: usize| factor.recovery[place].clone());
    assert_eq!(app.sign_in_with(&user.email, &first.to_uppercase()).await.0, 201);
    assert_eq!(app.sign_in_with(&user.email, &first).await.0, 401);
    assert_eq!(app.second_factor(&user).await["recovery_codes_left"], 9);
    let other = app.new_user().await;
    let others = app.protected(&other).await;
    assert_eq!(app.sign_in_with(&user.email, &others.recovery[0]).await.0, 401, "another's");

    app.later().await;
    let path = "/api/second-factor/recovery-codes";
    let wrong = json!({"password": "not it", "code": factor.code(0)});
    assert_eq!(app.post_as(&user.token, path, &wrong).await.0, 422);
    let wrong = json!({"password": PASSWORD, "code": "000000"});
    assert_eq!(app.post_as(&user.token, path, &wrong).await.0, 422);
    let both = json!({"password": PASSWORD, "code": factor.code(0)});
    let (status, renewed) = app.post_as(&user.token, path, &both).await;
    assert_eq!(status, 200, "{renewed}");
    assert_eq!(app.sign_in_with(&user.email, &second).await.0, 401, "one of before");
    let new = renewed["recovery_codes"][9].as_str().unwrap();
    assert_eq!(app.sign_in_with(&user.email, new).await.0, 201);

    let mut heard = Vec::new();
    while heard.len() < 3 {
        let event = app.plain.next("ear").await;
        let key = event.routing_key.to_string();
        if key.contains("factor") || key.contains("recovery") {
            let body: Value = serde_json::from_slice(&event.data).unwrap();
            heard.extend(
                (body["data"]["user_id"] == user.id).then_some((key, body["data"].clone())),
            );
        }
    }
    assert_eq!(heard[0].0, "user.second_factor_enabled");
    let used =
        |left| ("user.recovery_code_used".to_owned(), json!({"user_id": user.id, "left": left}));
    assert_eq!(heard[1..], [used(9), used(9)]);
}

#[tokio::test]
async fn password_address_and_role_change_by_a_code_and_a_name_does_without() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let admin = app.new_user().await;
    let promote = json!({"role": "admin"});
    let by_password = json!({"role": "admin", "current_password": PASSWORD});
    let role = |of: &Signed| format!("/api/users/{}/role", of.id);
    let first = app.administrator().await;
    assert_eq!(app.put(&role(&admin), &first, &by_password).await.status(), 200);
    let session: Value = app.sign_in(&admin.email, PASSWORD).await.json().await.unwrap();
    let token = session["access_token"].as_str().unwrap().to_owned();
    let admin = Signed { token, ..admin };
    let of_user = app.protected(&user).await;
    let of_admin = app.protected(&admin).await;

    let own = format!("/api/users/{}", user.id);
    let named = app.patch(&own, &user.token, "*", &json!({"name": "Ada L."})).await;
    assert_eq!(named.status(), 200);
    let email = format!("new-{}", user.email);
    let password = json!({"current_password": PASSWORD, "new_password": "battery staple horse"});
    let send = async |what: &str, code: Option<&str>| {
        let with_code = |body: &Value| {
            let mut body = body.clone();
            if let Some(code) = code {
                body["code"] = json!(code);
            }
            body
        };
        let answer = match what {
            "address" => {
                app.patch(&own, &user.token, "*", &with_code(&json!({"email": email}))).await
            }
            "password" => {
                app.put(&format!("{own}/password"), &user.token, &with_code(&password)).await
            }
            _ => app.put(&role(&user), &admin.token, &with_code(&promote)).await,
        };
        told(answer).await
    };
    for (what, factor, done) in
        [("address", &of_user, 200), ("password", &of_user, 204), ("role", &of_admin, 200)]
    {
        app.later().await;
        let missing = send(what, None).await;
        assert_eq!((missing.0, kind(&missing.1)), (422, ASKED), "{what}");
        let wrong = send(what, Some("000000")).await;
        assert_eq!((wrong.0, kind(&wrong.1)), (422, REFUSED), "{what}");
        let code = factor.code(0);
        let right = send(what, Some(&code)).await;
        assert_eq!(right.0, done, "{what}: {}", right.1);
        let again = app.sign_in_with(&user.email, &code).await;
        assert_eq!(again.0, 401, "{what}: the code was used");
    }
    // An administrator's own code is asked for where it is another's address that changes.
    app.later().await;
    let other = app.new_user().await;
    let path = format!("/api/users/{}", other.id);
    let body = json!({"email": format!("new-{}", other.email)});
    assert_eq!(app.patch(&path, &admin.token, "*", &body).await.status(), 422);
    // A code that is for nothing is no fault.
    let body = json!({"name": "Bob", "code": "000000"});
    assert_eq!(app.patch(&path, &other.token, "*", &body).await.status(), 200);
}

#[tokio::test]
async fn it_is_switched_off_by_password_and_code_and_neither_by_a_reset_nor_by_enrolling_again() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let proof = app.mail_token(&user.id, "verification").await;
    assert_eq!(app.verify(&proof).await.status(), 204);
    let factor = app.protected(&user).await;
    let again =
        app.post_as(&user.token, "/api/second-factor", &json!({"password": PASSWORD})).await;
    assert_eq!((again.0, kind(&again.1).0), (409, "second-factor-on"));
    app.post("/api/password-resets", &json!({"email": user.email})).await;
    let reset = app.mail_token(&user.id, "password_reset").await;
    let body = json!({"token": reset, "password": PASSWORD});
    assert_eq!(app.post("/api/password-resets/complete", &body).await.status(), 204);
    let needed = told(app.sign_in(&user.email, PASSWORD).await).await;
    assert_eq!((needed.0, kind(&needed.1)), (401, NEEDED));

    let mut sessions = Vec::new();
    for place in 0..2 {
        let session = app.sign_in_with(&user.email, &factor.recovery[place]).await;
        assert_eq!(session.0, 201);
        sessions.push(session.1);
    }
    let text = |session: &Value, what: &str| session[what].as_str().unwrap().to_owned();
    let token = text(&sessions[0], "access_token");
    app.later().await;
    let path = "/api/second-factor/disable";
    for (password, code) in [("not it", factor.code(0)), (PASSWORD, "000000".to_owned())] {
        let body = json!({"password": password, "code": code});
        assert_eq!(app.post_as(&token, path, &body).await.0, 422);
    }
    let both = json!({"password": PASSWORD, "code": factor.code(0)});
    assert_eq!(app.post_as(&token, path, &both).await.0, 204);
    assert!(app.refreshes(&text(&sessions[0], "refresh_token")).await, "the own session goes on");
    assert!(!app.refreshes(&text(&sessions[1], "refresh_token")).await, "others end");
    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 201);
    let off = app.post_as(&token, path, &both).await;
    assert_eq!((off.0, kind(&off.1).0), (404, "not-found"));
    assert_eq!(app.count("select count(*) from second_factors").await, 0);

    for (action, outcome, times) in [
        ("second-factor-enrolment", "success", 1),
        ("second-factor-on", "success", 1),
        ("recovery-code-use", "success", 2),
        ("second-factor-off", "wrong-password", 1),
        ("second-factor", "wrong-code", 1),
        ("second-factor-off", "success", 1),
    ] {
        let entries = "select coalesce(sum(times), 0)::bigint from audit
                       where action = $1 and outcome = $2 and target = 'user:' || $3";
        let entries = sqlx::query_scalar(entries).bind(action).bind(outcome).bind(&user.id);
        let found: i64 = entries.fetch_one(&app.database.pool().await).await.unwrap();
        assert_eq!(found, times, "{action} {outcome}");
    }
}

#[tokio::test]
async fn a_user_who_is_deleted_has_none_whoever_deletes() {
    let app = TestApp::start().await;
    let one = app.new_user().await;
    let other = app.new_user().await;
    for user in [&one, &other] {
        app.protected(user).await;
    }
    assert_eq!(app.delete(&format!("/api/users/{}", one.id), &one.token).await, 204);
    assert_eq!(app.count("select count(*) from second_factors").await, 1);
    // As a replica of the version before does it.
    let delete = "update users set status = 'deleted', password_hash = null where id = $1::uuid";
    let pool = app.database.pool().await;
    sqlx::query(delete).bind(&other.id).execute(&pool).await.unwrap();
    assert_eq!(app.count("select count(*) from second_factors").await, 0);
}

#[tokio::test]
async fn a_sign_in_that_races_the_switch_opens_no_session_that_lasts() {
    let app = TestApp::start().await;
    for _ in 0..5 {
        let user = app.new_user().await;
        let factor = app.enrolled(&user).await;
        let body = json!({"code": factor.code(0)});
        let on = app.post_as(&user.token, "/api/second-factor/complete", &body);
        let (session, on) = tokio::join!(app.sign_in(&user.email, PASSWORD), on);
        assert_eq!(on.0, 200);
        let (status, session) = told(session).await;
        if status == 201 {
            assert!(!app.refreshes(session["refresh_token"].as_str().unwrap()).await);
        } else {
            assert_eq!((status, kind(&session)), (401, NEEDED));
        }
    }
}

#[tokio::test]
async fn wrong_codes_are_counted_over_all_routes_and_a_right_password_alone_forgets_none() {
    let app = limited().await;
    let user = app.new_user().await;
    let factor = app.protected(&user).await;
    let guess = async |from: &str, code: Option<&str>| {
        let mut body = json!({"email": user.email, "password": PASSWORD});
        if let Some(code) = code {
            body["code"] = json!(code);
        }
        let request = app.request(Method::POST, "/api/sessions").header("x-forwarded-for", from);
        told(request.json(&body).send().await.unwrap()).await.0
    };
    let thief = address();
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(guess(&thief, None).await);
        answers.push(guess(&thief, Some("000000")).await);
    }
    assert_eq!(answers, [401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 429, 429]);
    // Not elsewhere either: they are counted together.
    let own = format!("/api/users/{}", user.id);
    let elsewhere = app.request(Method::PATCH, &own).bearer_auth(&user.token);
    let elsewhere = elsewhere.header("x-forwarded-for", &thief).header("if-match", "*");
    let body = json!({"email": "thief@example.com", "code": "000000"});
    assert_eq!(elsewhere.json(&body).send().await.unwrap().status(), 429);
    // What takes no code forgets none that were wrong.
    let named = app.request(Method::PATCH, &own).bearer_auth(&user.token);
    let named = named.header("x-forwarded-for", &thief).header("if-match", "*");
    let body = json!({"name": "Ada L.", "code": "000000"});
    assert_eq!(named.json(&body).send().await.unwrap().status(), 200);
    assert_eq!(guess(&thief, Some("000000")).await, 429);
    // The owner is elsewhere.
    app.later().await;
    assert_eq!(guess(&address(), Some(&factor.code(0))).await, 201);

    // From ever new addresses, twenty a day.
    let mut looked_at = 0;
    for _ in 0..30 {
        looked_at += usize::from(guess(&address(), Some("000000")).await == 401);
    }
    assert!((10..=20).contains(&looked_at), "{looked_at}");
    let metrics = app.get("/metrics", "").await.text().await.unwrap();
    let value = |series: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series}")).trim().parse().unwrap()
    };
    assert!(value("user_second_factor_codes_total{outcome=\"wrong\"}") >= 15);
    assert!(value("user_second_factor_codes_total{outcome=\"refused\"}") >= 10);
    assert!(value("user_second_factor_codes_total{outcome=\"code\"}") >= 1);
    assert!(value("user_sign_ins_total{outcome=\"failed\"}") >= 15);
    assert!(value("user_sign_ins_total{outcome=\"code_needed\"}") >= 5);
    let limited = "rate_limited_total{limit=\"backoff-account\",route=\"second factor\",\
                   service=\"user-service\"}";
    assert!(value(limited) >= 10);
}
