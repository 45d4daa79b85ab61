//! Of a user who is deleted nothing personal is left: not in any column of any table of the three
//! databases, in any queue, in Redis, in a log, or in what administrators are shown. Whatever is added
//! is looked into by itself: tables and queues are asked for, not listed here.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use testkit::eventually;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::system::{Fixture, PASSWORD, System, THREE, administrator, token};

/// How long after the deletion something may be left: ten seconds for profiles in Redis, and for dead
/// letters ten and, where this test held one while they were looked through, thirty more.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// What is the user's alone, each with a text that is nowhere else.
struct Canaries(Vec<(&'static str, String)>);

impl Canaries {
    fn new() -> Self {
        let of = |what: &'static str| (what, format!("{}{}", &what[..4], Uuid::now_v7().simple()));
        let whats = ["address", "moved to", "name", "description", "mail text", "idempotency key"];
        Self(whats.map(of).to_vec())
    }

    fn get(&self, what: &str) -> &str {
        self.0.iter().find(|(of, _)| *of == what).map(|(_, text)| text.as_str()).unwrap()
    }

    /// What of it is in a text: as it is, or in the hexadecimal form of bytes.
    fn seen_in(&self, text: &str) -> BTreeSet<&'static str> {
        let text = text.to_lowercase();
        let hex =
            |it: &str| it.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let is_seen = |canary: &str| {
            let canary = canary.to_lowercase();
            text.contains(&canary) || text.contains(&hex(&canary))
        };
        self.0.iter().filter(|(_, canary)| is_seen(canary)).map(|(what, _)| *what).collect()
    }
}

/// Where something may be kept.
struct Places<'a> {
    pools: Vec<PgPool>,
    redis: MultiplexedConnection,
    vhost: String,
    system: &'a System,
    admin: String,
}

impl Places<'_> {
    /// Where something of the user is, and what.
    async fn search(&self, canaries: &Canaries) -> Vec<String> {
        let tables = self.tables().await;
        let queues = self.queues().await;
        let more = [self.redis().await, self.shown().await, self.logs()];
        let all = tables.into_iter().chain(queues).chain(more.into_iter().flatten());
        let found = all.filter_map(|(place, text)| {
            let seen = canaries.seen_in(&text);
            (!seen.is_empty()).then(|| format!("{place}: {seen:?}"))
        });
        found.collect()
    }

    /// All rows of all tables, all columns of a row in one text.
    async fn tables(&self) -> Vec<(String, String)> {
        let names = "select quote_ident(table_schema) || '.' || quote_ident(table_name)
                     from information_schema.tables
                     where table_type = 'BASE TABLE'
                       and table_schema not in ('pg_catalog', 'information_schema')";
        let mut texts = Vec::new();
        for (service, pool) in THREE.iter().zip(&self.pools) {
            let names: Vec<String> = sqlx::query_scalar(names).fetch_all(pool).await.unwrap();
            assert!(names.len() > 5, "{service} has {names:?}");
            for name in names {
                let rows = AssertSqlSafe(format!("select it::text from {name} it"));
                let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(pool).await.unwrap();
                texts.push((format!("{service}, {name}"), rows.join("\n")));
            }
        }
        texts
    }

    /// All messages that wait in all queues, with their headers.
    async fn queues(&self) -> Vec<(String, String)> {
        let api = &testkit::addresses().rabbitmq_api;
        let vhost = &self.vhost;
        let url = format!("{api}/api/queues/{vhost}");
        let queues: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
        let names = queues.as_array().unwrap().iter().map(|queue| queue["name"].as_str().unwrap());
        let mut texts = Vec::new();
        for name in names {
            let get = json!({"count": 1000, "ackmode": "ack_requeue_true", "encoding": "auto"});
            let request = reqwest::Client::new().post(format!("{url}/{name}/get")).json(&get);
            let messages = request.send().await.unwrap().text().await.unwrap();
            texts.push((format!("queue {name}"), messages));
        }
        texts
    }

    /// All keys and what they hold.
    async fn redis(&self) -> Vec<(String, String)> {
        let mut redis = self.redis.clone();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
        let mut texts = Vec::new();
        for key in keys {
            let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await.unwrap();
            let (read, range): (&str, &[&str]) = match kind.as_str() {
                "string" => ("GET", &[]),
                "hash" => ("HGETALL", &[]),
                "set" => ("SMEMBERS", &[]),
                "list" => ("LRANGE", &["0", "-1"]),
                "zset" => ("ZRANGE", &["0", "-1"]),
                "stream" => ("XRANGE", &["-", "+"]),
                // It has expired meanwhile.
                "none" => continue,
                other => panic!("{other} cannot be looked into"),
            };
            let mut command = redis::cmd(read);
            let command = command.arg(&key).arg(range);
            let value: redis::Value = command.query_async(&mut redis).await.unwrap();
            texts.push((format!("Redis, {key}"), format!("{key} {value:?}")));
        }
        texts
    }

    /// What administrators are shown.
    async fn shown(&self) -> Vec<(String, String)> {
        let System { users, payments, notifications, .. } = self.system;
        let mut texts = Vec::new();
        for service in [users, payments, notifications] {
            let dead_letters = format!("/admin/queues/{}.events/dead-letters", service.name());
            for path in ["/admin/audit?limit=100", "/admin/events?limit=1000", &dead_letters] {
                let url = service.url(path);
                texts.push((url.clone(), self.system.get(&url, &self.admin).await.to_string()));
            }
        }
        for url in [
            users.url("/api/users?limit=100"),
            payments.url("/api/payments?limit=100"),
            notifications.url("/api/notifications?limit=100"),
        ] {
            texts.push((url.clone(), self.system.get(&url, &self.admin).await.to_string()));
        }
        texts
    }

    fn logs(&self) -> Vec<(String, String)> {
        let System { users, payments, notifications, .. } = self.system;
        let log = |service: &testkit::ServiceProcess| {
            (format!("the log of {}", service.name()), service.log())
        };
        [users, payments, notifications].map(log).to_vec()
    }
}

fn email(canaries: &Canaries, what: &str) -> String {
    format!("{}@example.com", canaries.get(what))
}

/// Registers the user, whose profile is cached then: gives the id and a token.
async fn register(system: &System, canaries: &Canaries) -> (String, String) {
    let email = |what| email(canaries, what);
    let body =
        json!({"email": email("address"), "name": canaries.get("name"), "password": PASSWORD});
    let register = system.request(Method::POST, &system.users.url("/api/users")).json(&body);
    let user: Value = register.send().await.unwrap().json().await.unwrap();
    let id = user["user_id"].as_str().unwrap().to_owned();
    let token = system.sign_in(&email("address")).await;
    system.until_sent(&token, "welcome").await;
    system.get(&system.users.url(&format!("/api/users/{id}")), &token).await;
    (id, token)
}

/// Leaves something of the user wherever a user can.
async fn live(system: &System, canaries: &Canaries, [id, token, service]: [&str; 3]) {
    let change = system.request(Method::PATCH, &system.users.url(&format!("/api/users/{id}")));
    let change = change.bearer_auth(token).header("if-match", "*");
    let moved = json!({"email": email(canaries, "moved to"), "current_password": PASSWORD});
    let changed = change.json(&moved).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    system.until_sent(token, "email_change").await;

    let body = json!({"amount": 1999, "currency": "EUR", "payment_method": "pm_card_visa",
        "description": canaries.get("description")});
    let pay = system.request(Method::POST, &system.payments.url("/api/payments"));
    let pay = pay.header("idempotency-key", canaries.get("idempotency key"));
    let paid = pay.bearer_auth(token).json(&body).send().await.unwrap();
    assert_eq!(paid.status(), StatusCode::CREATED);
    system.until_sent(token, "payment_receipt").await;

    let write = system.request(Method::POST, &system.notifications.url("/api/notifications"));
    let body = json!({"user_id": id, "subject": "Hello", "text": canaries.get("mail text")});
    let written = write.bearer_auth(service).json(&body).send().await.unwrap();
    assert_eq!(written.status(), StatusCode::CREATED);
    system.until_sent(token, "message").await;
}

/// Events about the user that no service can handle, in every queue.
async fn fail(system: &System, vhost: &str, canaries: &Canaries, id: &str) {
    let email = email(canaries, "address");
    let wrong = json!({"event_type": "user.created", "timestamp": "2026-01-15T09:30:00Z",
        "service": "user-service", "data": {"user_id": id, "email": email, "name": ["wrong"]}});
    let unknown = json!({"event_type": "user.promoted", "timestamp": "2026-01-15T09:30:00Z",
        "service": "user-service", "data": {"user_id": id, "email": email}});
    let half = format!("{{\"data\": {{\"user_id\": \"{id}\", \"email\": \"{email}");
    let api = &testkit::addresses().rabbitmq_api;
    let url = format!("{api}/api/exchanges/{vhost}/amq.default/publish");
    for service in [&system.users, &system.payments, &system.notifications] {
        let queue = format!("{}.events", service.name());
        for body in [wrong.to_string(), unknown.to_string(), half.clone()] {
            let message = json!({"properties": {"headers": {"x-note": email}},
                "routing_key": queue, "payload": body, "payload_encoding": "string"});
            let sent = reqwest::Client::new().post(&url).json(&message).send().await.unwrap();
            assert_eq!(sent.json::<Value>().await.unwrap()["routed"], true);
        }
        eventually("all of them are dead-lettered", async || {
            let metrics = reqwest::get(service.url("/metrics")).await.ok()?.text().await.ok()?;
            let depth = format!("messaging_dead_letters{{queue=\"{queue}\"}} 3");
            metrics.lines().any(|line| line == depth).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_personal_of_a_deleted_user_is_left_anywhere() {
    let mut fixture = Fixture::set_up().await;
    fixture.settings.push(("OUTBOX_ARCHIVE", "1h".to_owned()));
    fixture.settings.push(("LOG_FILTER", "trace".to_owned()));
    let vhost = fixture.broker.vhost.clone();
    let mut pools = Vec::new();
    for database in &fixture.databases {
        pools.push(database.pool().await);
    }
    let variables = fixture.environment(0);
    let admin = administrator(&variables);
    let service =
        token(&variables, &["service", "payment-service", "--for", "notification-service"]);
    let system = &fixture.start(variables).await;
    let redis = redis::Client::open(testkit::redis_url()).unwrap();
    let redis = redis.get_multiplexed_async_connection().await.unwrap();
    let places = Places { pools, redis, vhost: vhost.clone(), system, admin };

    let canaries = Canaries::new();
    let (id, token) = register(system, &canaries).await;
    let cached = places.redis().await;
    assert!(cached.iter().any(|(_, text)| canaries.seen_in(text).contains("address")));
    live(system, &canaries, [&id, &token, &service]).await;
    fail(system, &vhost, &canaries, &id).await;
    let before = places.search(&canaries).await;
    for place in [
        "user-service, public.users:",
        "user-service, public.mail_tokens:",
        "user-service, public.messaging_archive:",
        "payment-service, public.payments:",
        "payment-service, public.idempotency_keys:",
        "notification-service, public.contacts:",
        "notification-service, public.notifications:",
        "queue user-service.events.dead-letters:",
        "queue payment-service.events.dead-letters:",
        "queue notification-service.events.dead-letters:",
    ] {
        assert!(before.iter().any(|it| it.starts_with(place)), "{place} is not among {before:#?}");
    }

    let delete = system.request(Method::DELETE, &system.users.url(&format!("/api/users/{id}")));
    let deleted = delete.bearer_auth(&token).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let left = places.search(&canaries).await;
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "left after {GONE_WITHIN:?}: {left:#?}");
        sleep(Duration::from_millis(500)).await;
    }
}
