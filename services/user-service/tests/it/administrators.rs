//! Who administers: how the first one comes, how others do, and what they find.

use platform::Service;
use reqwest::Method;
use serde_json::{Value, json};
use user_service::UserService;

use crate::app::{PASSWORD, Signed, TestApp};

impl TestApp {
    async fn appoint(&self, by: &str, user: &str, role: &str) -> (u16, Value) {
        let request = self.request(Method::PUT, &format!("/api/users/{user}/role")).bearer_auth(by);
        let body = json!({"role": role, "current_password": PASSWORD});
        let answer = request.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The user with a token of what it is now.
    async fn again(&self, user: &Signed) -> String {
        let session: Value = self.sign_in(&user.email, PASSWORD).await.json().await.unwrap();
        session["access_token"].as_str().unwrap().to_owned()
    }

    /// The ids that a search gives, all pages of it.
    async fn found(&self, admin: &str, query: &str) -> Vec<String> {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/users?limit=2&{query}{cursor}"), admin).await;
            assert_eq!(page.status(), 200, "{query}");
            let page: Value = page.json().await.unwrap();
            let ids = page["items"].as_array().unwrap().iter().map(|user| user["user_id"].clone());
            found.extend(ids.map(|id| id.as_str().unwrap().to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { return found };
            cursor = format!("&cursor={next}");
        }
    }
}

#[tokio::test]
async fn the_first_administrator_comes_by_a_command_that_works_once_and_the_others_by_that_one() {
    let app = TestApp::start().await;
    let ada = app.new_user().await;
    let bob = app.new_user().await;
    let command = async |words: &[&str]| {
        let settings = platform::process::load::<UserService>(app.vars()).unwrap();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let done = UserService::command(&settings.own, &settings.platform, &words).await;
        done.map_err(|error| error.to_string())
    };
    assert!(
        command(&["admin", "--email", "nobody@example.com"])
            .await
            .unwrap_err()
            .contains("no active user")
    );
    assert!(command(&["admin", "--email", "no address"]).await.is_err());
    assert!(command(&["admin", &ada.email]).await.unwrap_err().starts_with("known: admin"));
    assert_eq!(app.get("/api/users", &app.again(&ada).await).await.status(), 403);

    let own = format!("/api/users/{}", ada.id);
    assert_eq!(app.get(&own, &ada.token).await.status(), 200, "it is in the cache from now on");

    // Anybody could have registered with this address.
    let unproven = command(&["admin", "--email", &ada.email]).await.unwrap_err();
    assert!(unproven.contains("has not proven"), "{unproven}");
    assert_eq!(app.verify(&app.mail_token(&ada.id, "verification").await).await.status(), 204);
    let said = command(&["admin", "--email", &ada.email.to_uppercase()]).await.unwrap();

    assert!(said.contains(&ada.id) && !said.contains('@'), "{said}");
    assert!(!app.refreshes(&ada.refresh_token).await, "the sessions of before have ended");
    let admin = app.again(&ada).await;
    assert_eq!(app.get("/api/users", &admin).await.status(), 200);
    let profile: Value = app.get(&own, &admin).await.json().await.unwrap();
    assert_eq!(profile["role"], "admin", "the profile before is nobody's any more");
    let refused = command(&["admin", "--email", &bob.email]).await.unwrap_err();
    assert!(refused.contains("an administrator already"), "{refused}");

    let (status, profile) = app.appoint(&admin, &bob.id, "admin").await;
    assert_eq!((status, &profile["role"]), (200, &json!("admin")));
    assert_eq!(app.get("/api/users", &app.again(&bob).await).await.status(), 200);
    let pool = app.database.pool().await;
    let entries = "select actor, action, target, outcome from audit
                   where action in ('first-administrator', 'role-change') order by id";
    let entries: Vec<(String, String, String, String)> =
        sqlx::query_as(entries).fetch_all(&pool).await.unwrap();
    let entry = |actor: String, action: &str, user: &Signed| {
        (actor, action.to_owned(), format!("user:{}", user.id), "admin".to_owned())
    };
    assert_eq!(
        entries,
        [
            entry("service:user-service".to_owned(), "first-administrator", &ada),
            entry(format!("administrator:{}", ada.id), "role-change", &bob),
        ]
    );
}

#[tokio::test]
async fn an_appointment_ends_the_sessions_of_before_and_one_that_changes_nothing_does_not() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let user = app.new_user().await;
    let (status, profile) = app.appoint(&admin, &user.id, "user").await;
    assert_eq!((status, &profile["version"]), (200, &json!(1)));
    assert!(app.refreshes(&user.refresh_token).await);
    let user = app.new_user().await;
    let (_, profile) = app.appoint(&admin, &user.id, "admin").await;
    assert_eq!(profile["version"], 2);
    assert!(!app.refreshes(&user.refresh_token).await);
    // Who is none any more may do nothing that administrators do.
    let other = app.new_user().await;
    app.appoint(&admin, &other.id, "admin").await;
    let before = app.again(&user).await;
    assert_eq!(app.appoint(&admin, &user.id, "user").await.0, 200);
    testkit::eventually("the administrator's token is refused", async || {
        (app.get("/api/users", &before).await.status() == 401).then_some(())
    })
    .await;
    assert_eq!(app.get("/api/users", &app.again(&user).await).await.status(), 403);

    assert_eq!(app.appoint(&admin, &uuid::Uuid::nil().to_string(), "admin").await.0, 404);
    assert_eq!(app.appoint(&admin, &user.id, "emperor").await.0, 422);
    assert_eq!(app.appoint(&user.token, &user.id, "admin").await.0, 401, "its session has ended");
    let own = app.again(&user).await;
    assert_eq!(app.appoint(&own, &user.id, "admin").await.0, 403);
}

/// Whoever has found the token of an administrator makes nobody else one, and lets nobody in.
#[tokio::test]
async fn an_administrator_without_a_second_factor_shows_the_password_for_what_lasts() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let user = app.new_user().await;
    app.protected(&user).await;
    let path = |what: &str| format!("/api/users/{}/{what}", user.id);
    let asked = async |password: Option<&str>| {
        let mut role = json!({"role": "admin"});
        let mut off = json!({});
        for body in [&mut role, &mut off] {
            if let Some(password) = password {
                body["current_password"] = json!(password);
            }
        }
        let role: Value = app.put(&path("role"), &admin, &role).await.json().await.unwrap();
        [role, app.post_as(&admin, &path("second-factor/disable"), &off).await.1]
    };
    for (password, says) in [
        (None, "is needed: the second factor is off"),
        (Some("not the password"), "is not the password"),
    ] {
        for problem in asked(password).await {
            let fault = json!([{"pointer": "/current_password", "detail": says}]);
            assert_eq!((&problem["status"], &problem["errors"]), (&json!(422), &fault));
        }
    }
    assert_eq!(app.count("select count(*) from second_factors").await, 1);
    assert_eq!(app.count("select count(*) from users where admin").await, 1);
    let refused = "select count(*) from audit where outcome = 'wrong-password'
                   and action in ('role-change', 'second-factor-off')";
    assert_eq!(app.count(refused).await, 2);
    let [role, off] = asked(Some(PASSWORD)).await;
    assert_eq!((&role["role"], off), (&json!("admin"), Value::Null));
    assert_eq!(app.count("select count(*) from second_factors").await, 0);
}

#[tokio::test]
async fn the_last_administrator_stays_one_also_when_two_go_at_once() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let ada = app.new_user().await;
    let bob = app.new_user().await;
    app.appoint(&admin, &ada.id, "admin").await;
    let admin = app.again(&ada).await;
    sqlx::query("delete from users where name = 'Admin'")
        .execute(&app.database.pool().await)
        .await
        .unwrap();
    let (status, problem) = app.appoint(&admin, &ada.id, "user").await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/last-administrator")));
    assert_eq!(app.delete(&format!("/api/users/{}", ada.id), &admin).await, 409);

    let mut left = &ada;
    let mut other = &bob;
    for _ in 0..4 {
        app.appoint(&app.again(left).await, &other.id, "admin").await;
        let of_left = app.again(left).await;
        let of_other = app.again(other).await;
        let (one, another) = tokio::join!(
            app.appoint(&of_left, &left.id, "user"),
            app.appoint(&of_other, &other.id, "user"),
        );
        if one.0 == 200 {
            std::mem::swap(&mut left, &mut other);
        }
        let mut statuses = [one.0, another.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        assert_eq!(app.count("select count(*) from users where admin").await, 1);
    }
}

#[tokio::test]
async fn administrators_find_users_by_status_role_and_the_beginning_of_the_address() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let mut ids = Vec::new();
    for email in
        ["find-A@example.com", "find-b@example.com", "find_c@example.com", "other@example.com"]
    {
        let user: Value = app.register(email).await.json().await.unwrap();
        ids.push(user["user_id"].as_str().unwrap().to_owned());
    }
    app.appoint(&admin, &ids[1], "admin").await;
    assert_eq!(app.delete(&format!("/api/users/{}", ids[3]), &admin).await, 204);
    let pool = app.database.pool().await;
    sqlx::query("delete from users where name = 'Admin'").execute(&pool).await.unwrap();
    let admin = app.admin_token();
    let of = |indexes: &[usize]| -> Vec<String> {
        indexes.iter().map(|index| ids[*index].clone()).collect()
    };
    for (query, expected) in [
        ("", &[3, 2, 1, 0][..]),
        ("status=active", &[2, 1, 0]),
        ("status=deleted", &[3]),
        ("role=admin", &[1]),
        ("role=admin&status=deleted", &[]),
        ("role=user", &[3, 2, 0]),
        ("email=find", &[2, 1, 0]),
        ("email=FIND-", &[1, 0]),
        ("email=find-a@example.com", &[0]),
        ("email=find-a@example.comm", &[]),
        // No pattern: each sign is itself.
        ("email=find_", &[2]),
        ("email=fi%25", &[]),
        ("email=find&role=user", &[2, 0]),
        ("email=find&role=user&status=deleted", &[]),
    ] {
        assert_eq!(app.found(&admin, query).await, of(expected), "{query}");
    }
    for query in
        ["email=fi", "role=emperor", "status=gone", "limit=0", "name=ada", "email=%00%00%00"]
    {
        assert_eq!(app.get(&format!("/api/users?{query}"), &admin).await.status(), 400, "{query}");
    }
}

/// The statements are those that the service prepares. The server plans each for what is asked for, or once for all.
#[tokio::test]
async fn a_page_of_users_reads_few_rows_whatever_is_asked_for_and_wherever_it_begins() {
    let app = TestApp::start().await;
    let pool = app.database.pool().await;
    // Of twenty thousand, the oldest hundred are deleted, and one of a thousand is an administrator.
    let users = "insert into users (id, email, name, admin, status, email_deliverable, version,
                                    created_at, updated_at)
                 select lpad(to_hex(n), 32, '0')::uuid, n || '@example.com', '', n % 1000 = 0,
                        case when n <= 100 then 'deleted' else 'active' end, true, 1, now(), now()
                 from generate_series(1, 20000) n";
    sqlx::query(users).execute(&pool).await.unwrap();
    sqlx::query("analyze users").execute(&pool).await.unwrap();
    let statements = listings();
    let user = |number: u32| format!("'00000000-0000-0000-0000-{number:012x}'");
    let mut asked = 0;
    for (marks, before, rest) in [
        ("where id = any", user(20_001), "null, null, '1234'"),
        ("where id = any", user(12_345), "'active', false, '1234'"),
        ("where admin", user(20_001), "null"),
        ("where admin", user(3_000), "'active'"),
        ("where status = 'deleted'", user(20_001), "null"),
        ("where status = 'deleted'", user(60), "false"),
        ("where ($3::text", user(20_001), "null, null"),
        ("where ($3::text", user(10_000), "'active', false"),
    ] {
        let statement = statements.iter().find(|statement| statement.contains(marks));
        let statement = statement.unwrap_or_else(|| panic!("no statement {marks}"));
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let explain = format!(
                "set plan_cache_mode = {mode}; deallocate all; prepare page as {statement};
                 explain (analyze, format json) execute page({before}, 21, {rest})"
            );
            let mut connection = pool.acquire().await.unwrap();
            let plan = sqlx::raw_sql(sqlx::AssertSqlSafe(explain));
            let plan = plan.fetch_one(&mut *connection).await.unwrap();
            let plan: Value = sqlx::Row::get(&plan, 0);
            let read = read(&plan[0]["Plan"]);
            assert!((1..=100).contains(&read), "{mode} {before} {rest}: {read} rows, {plan:#}");
            asked += 1;
        }
    }
    assert_eq!((asked, statements.len()), (16, 4));
}

/// The statements that read pages of users.
fn listings() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let texts = files.map(|file| std::fs::read_to_string(file).unwrap());
    let queries = texts.map(|text| {
        let query: Value = serde_json::from_str(&text).unwrap();
        query["query"].as_str().unwrap().to_owned()
    });
    queries
        .filter(|query| query.contains("from users where") && query.contains("order by id desc"))
        .collect()
}

/// Rows that a plan has read: those that its scans gave, and those that they left.
fn read(plan: &Value) -> u64 {
    let below = plan["Plans"].as_array().into_iter().flatten().map(read).sum::<u64>();
    let number = |key: &str| plan[key].as_f64().unwrap_or_default();
    let rows = number("Actual Rows") + number("Rows Removed by Filter");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rows, of few")]
    let own = (rows * number("Actual Loops")) as u64;
    below + own
}

#[tokio::test]
async fn a_token_whose_session_or_role_is_gone_changes_nothing_though_no_replica_has_heard_of_it() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let ada = app.new_user().await;
    let bob = app.new_user().await;
    let pool = app.database.pool().await;
    app.appoint(&admin, &ada.id, "admin").await;
    let of_admin = app.again(&ada).await;
    let of_user = bob.token.clone();
    let alive: Value = app.get("/api/users/me", &of_user).await.json().await.unwrap();
    // As a replica sees it that reads of ended sessions a moment later: nothing is told of these.
    sqlx::query("update users set admin = false where id = $1::uuid")
        .bind(&ada.id)
        .execute(&pool)
        .await
        .unwrap();
    sqlx::raw_sql("alter table sessions disable trigger user; delete from sessions")
        .execute(&pool)
        .await
        .unwrap();

    assert_eq!(app.appoint(&of_admin, &ada.id, "admin").await.0, 401);
    let path = format!("/api/users/{}", bob.id);
    let change = app.request(Method::PATCH, &path).bearer_auth(&of_user).header("if-match", "*");
    let change = change
        .json(&json!({"email": "thief@example.com", "current_password": PASSWORD}))
        .send()
        .await
        .unwrap();
    assert_eq!(change.status(), 401);
    assert_eq!(app.delete(&path, &of_user).await, 401);
    let after: Value = app.get("/api/users/me", &of_user).await.json().await.unwrap();
    assert_eq!(after, alive);
}
