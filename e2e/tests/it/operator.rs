//! What an operator asks of and tells a running service: what it logs, how it fares, what is slow.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use testkit::{Environment, ServiceProcess, eventually};

use crate::system::{Fixture, administrator};

/// A running user-service, and the administrator who looks after it.
struct Operated {
    service: ServiceProcess,
    admin: String,
    fixture: Fixture,
}

impl Operated {
    async fn start(settings: &[(&'static str, &str)]) -> Self {
        let mut fixture = Fixture::set_up().await;
        fixture.settings.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let variables: Environment = fixture.environment(0);
        let service = ServiceProcess::start("user-service", &variables).await;
        Self { service, admin: administrator(&variables), fixture }
    }

    /// As the administrator.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let request = Client::new().request(method, self.service.url(path));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.bearer_auth(&self.admin).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Waits until statements are logged after so many bytes of the log; health checks make some.
    async fn until_statements_are_logged(&self, after: usize) {
        eventually("a statement is logged", async || {
            reqwest::get(self.service.url("/ready")).await.unwrap();
            self.service.log()[after..].contains("\"target\":\"sqlx::query\"").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn another_log_filter_holds_for_a_while_and_goes_back_by_itself() {
    let operated = Operated::start(&[("LOG_FILTER", "info")]).await;
    let configured = json!({"filter": "info", "configured": "info"});
    assert_eq!(operated.ask(Method::GET, "/admin/log", None).await.1, configured);
    assert!(!operated.service.log().contains("sqlx::query"));

    // lapin's own words are of what messages say: they stay away.
    let noisy = "info,sqlx=trace,lapin=trace,lapin::channel=trace";
    let change = json!({"filter": noisy, "seconds": 3600});
    let (status, changed) = operated.ask(Method::PUT, "/admin/log", Some(&change)).await;
    assert_eq!((status, &changed["filter"]), (StatusCode::OK, &json!(noisy)));
    assert!(changed["until"].is_string(), "{changed}");
    operated.until_statements_are_logged(0).await;

    let change = json!({"filter": noisy, "seconds": 1});
    operated.ask(Method::PUT, "/admin/log", Some(&change)).await;
    eventually("it goes back", async || {
        let (_, log) = operated.ask(Method::GET, "/admin/log", None).await;
        (log == configured).then_some(())
    })
    .await;
    let before = operated.service.log().len();
    for _ in 0..3 {
        operated.ask(Method::GET, "/api/users", None).await;
    }
    let log = operated.service.log();
    assert!(!log[before..].contains("sqlx::query"), "{log}");
    assert!(log[before..].contains("request answered"), "{log}");
    assert!(!log.contains("\"target\":\"lapin"), "{log}");
}

#[tokio::test]
async fn a_log_filter_that_is_none_is_refused_with_the_word_that_is_wrong() {
    let operated = Operated::start(&[]).await;
    for (change, pointer, detail) in [
        (json!({"filter": "info,debgu"}), "/filter", "`debgu` is neither a level"),
        (json!({"filter": "sqlx=loud"}), "/filter", "`sqlx=loud` is neither a level"),
        (json!({"filter": "info", "seconds": 0}), "/seconds", "1 to 86400"),
        (json!({"filter": "info", "seconds": 86401}), "/seconds", "1 to 86400"),
    ] {
        let (status, problem) = operated.ask(Method::PUT, "/admin/log", Some(&change)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{change}");
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], pointer, "{problem}");
        assert!(error["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
    let (_, log) = operated.ask(Method::GET, "/admin/log", None).await;
    assert_eq!(log["filter"], log["configured"]);
}

#[tokio::test]
async fn debug_is_off_until_the_settings_turn_it_on_and_then_shows_no_secret() {
    let off = Operated::start(&[]).await;
    assert_eq!(off.ask(Method::GET, "/debug", None).await.0, StatusCode::NOT_FOUND);

    let on = Operated::start(&[("DEBUG_ENABLED", "true")]).await;
    let nobody = reqwest::get(on.service.url("/debug")).await.unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    let (status, picture) = on.ask(Method::GET, "/debug", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&picture["service"], &picture["version"]),
        (&"user-service".into(), &"1.0.0".into())
    );
    let settings = picture["settings"].as_array().unwrap();
    let setting = |path: &str| settings.iter().find(|setting| setting["path"] == path).unwrap();
    assert_eq!(setting("server.body_limit")["value"], 65536);
    assert_eq!(*setting("database.url"), json!({"path": "database.url", "from": ["DATABASE_URL"]}));
    let commit = picture["commit"].as_str().unwrap();
    let labels = format!("commit=\"{commit}\",service=\"user-service\",version=\"1.0.0\"");
    let build = format!("service_build_info{{{labels}}}");
    assert_eq!(picture["metrics"][build], 1.0, "{picture}");
    // Not declared to be a secret, and not shown all the same.
    let password = json!({"path": "rabbitmq.password", "from": ["RABBITMQ_PASSWORD"]});
    assert_eq!(*setting("rabbitmq.password"), password);
    let variables = on.fixture.environment(0);
    let shown = picture.to_string();
    for name in ["DATABASE_URL", "JWT_SECRET", "USER_SERVICE_TOKEN"] {
        assert!(!shown.contains(&variables[name]), "{name} is in {shown}");
    }
}

#[tokio::test]
async fn a_statement_as_slow_as_the_setting_is_logged_without_its_values() {
    for (limit, is_logged) in [("1ms", true), ("1h", false)] {
        let operated = Operated::start(&[("DB_SLOW_QUERY", limit)]).await;
        let pool = operated.fixture.databases[0].pool().await;
        let mut lock = pool.begin().await.unwrap();
        let statement = "lock table users in access exclusive mode";
        sqlx::query(statement).execute(&mut *lock).await.unwrap();
        let login = json!({"email": "canary@example.com", "password": "canary in a coal mine"});
        let request = Client::new().post(operated.service.url("/api/sessions")).json(&login);
        let signing_in = tokio::spawn(request.send());
        eventually("the statement waits for the lock", async || {
            let waiting = "select count(*) from pg_stat_activity where datname = current_database()
                           and wait_event_type = 'Lock' and query like '%from users%'";
            let waiting = sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap();
            (waiting > 0).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        lock.rollback().await.unwrap();
        assert_eq!(signing_in.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);

        let log = operated.service.log();
        let slow =
            log.lines().find(|line| line.contains("slow statement") && line.contains("from users"));
        assert_eq!(slow.is_some(), is_logged, "{log}");
        assert!(slow.is_none_or(|line| line.contains("\"summary\":\"select")), "{slow:?}");
        assert!(!log.contains("canary"), "{log}");
    }
}

#[tokio::test]
async fn what_an_administrator_asks_is_audited_whatever_the_log_filter_says() {
    let operated = Operated::start(&[]).await;
    let change = json!({"filter": "off", "seconds": 3600});
    assert_eq!(operated.ask(Method::PUT, "/admin/log", Some(&change)).await.0, StatusCode::OK);
    assert_eq!(operated.ask(Method::GET, "/api/users", None).await.0, StatusCode::OK);

    let (_, trail) = operated.ask(Method::GET, "/admin/audit", None).await;
    let entries = trail["items"].as_array().unwrap();
    let entry = |action: &str| entries.iter().find(|entry| entry["action"] == action).unwrap();
    assert_eq!(entry("PUT /admin/log")["outcome"], "200", "{trail}");
    assert!(entry("PUT /admin/log")["request_id"].is_string(), "{trail}");
    let actor = entry("GET /api/users")["actor"].as_str().unwrap();
    assert!(actor.starts_with("administrator:"), "{trail}");
    eventually("the lines are written", async || {
        let log = operated.service.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("audit.action")).collect();
        let is_said = |action: &str| lines.iter().any(|line| line.contains(action));
        (is_said("PUT /admin/log") && is_said("GET /api/users")).then_some(())
    })
    .await;
}
