//! Each server away and back: what the probes of every service say, and what still works meanwhile.
//!
//! | server | `/health` | `/ready` | meanwhile |
//! |---|---|---|---|
//! | Redis | 200 `degraded` | 200 | answers come from the database |
//! | RabbitMQ | 200 `degraded` | 200 | events wait in the outbox |
//! | PostgreSQL | 503 `unhealthy` | 503 | requests are refused in time |
//! | all connections to PostgreSQL lent out | 200 `degraded` | 200 | requests wait, and are refused in time |
//!
//! `/live` is 200 throughout, and no process is started again. "Stopped" refuses connections,
//! "frozen" (SIGSTOP) takes them and never answers.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::native::psql::{self, with_database};
use testkit::native::{NativeError, Place, Postgres, RabbitMq, Redis};
use testkit::{ServiceProcess, eventually};
use tokio::task::{JoinSet, block_in_place};
use uuid::Uuid;

use crate::system::{Ground, PASSWORD, System, administrator, config_with};

/// Requests at the same moment: more than a service has connections for them.
const CALLERS: usize = 12;
/// Probes at the same moment.
const PROBES: usize = 50;
/// What a request to a service whose database is away may take.
const REQUEST_TIMEOUT: &str = "2s";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Stopped,
    Frozen,
}

/// What the probes of a service say.
#[derive(Debug, Clone, Copy)]
struct Told {
    health: u16,
    word: &'static str,
    ready: u16,
    /// The check that fails, and the kind of its error.
    fails: Option<(&'static str, &'static str)>,
    /// Whether the database is there and has no connection free.
    busy: bool,
}

const HEALTHY: Told = Told { health: 200, word: "healthy", ready: 200, fails: None, busy: false };

impl Told {
    const fn degraded(check: &'static str, error: &'static str) -> Self {
        Self { word: "degraded", fails: Some((check, error)), ..HEALTHY }
    }

    const fn unhealthy(check: &'static str, error: &'static str) -> Self {
        Self {
            health: 503,
            word: "unhealthy",
            ready: 503,
            fails: Some((check, error)),
            busy: false,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_away_degrades_and_answers_come_from_the_database() {
    let mut redis = block_in_place(|| Redis::start(&Place::temporary().unwrap()).unwrap());
    let mut ground = Ground::lay().await;
    ground.settings.push(("REDIS_URL", redis.url()));
    let users = ground.environment(0);
    let mut system = ground.start(users).await;
    let user = system.somebody().await;

    for (fault, error) in [(Fault::Stopped, "connection"), (Fault::Frozen, "timed out")] {
        until_told(&mut system, HEALTHY).await;
        block_in_place(|| redis.suffer(fault)).unwrap();
        until_told(&mut system, Told::degraded("redis", error)).await;

        let profile = system.get(&system.users.url("/api/users/me"), &user.token).await;
        assert_eq!(profile["email"], user.email, "{fault:?}");
        let key = format!("order-{fault:?}");
        let paid = system.pay(&user.token, &key, "pm_card_visa").await;
        assert_eq!(paid.status(), StatusCode::CREATED, "{fault:?}");
        block_in_place(|| redis.recover(fault)).unwrap();
    }
    until_told(&mut system, HEALTHY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_away_degrades_and_events_wait_in_the_outbox() {
    let mut rabbit = block_in_place(|| RabbitMq::start(&Place::temporary().unwrap()).unwrap());
    let mut ground = Ground::lay().await;
    // Two missed heartbeats show that it stands still: of ten seconds each, out of the box.
    let config =
        config_with("message_queue.tsk", "[rabbitmq]\n", "[rabbitmq]\nheartbeat: \"2s\"\n");
    ground.settings.extend([
        ("CONFIG_DIR", config.path().display().to_string()),
        ("RABBITMQ_HOST", "127.0.0.1".to_owned()),
        ("RABBITMQ_PORT", rabbit.port().to_string()),
        ("RABBITMQ_USERNAME", rabbit.username().to_owned()),
        ("RABBITMQ_PASSWORD", rabbit.password().to_owned()),
        ("RABBITMQ_VHOST", "/".to_owned()),
    ]);
    let users = ground.environment(0);
    let mut system = ground.start(users).await;

    for fault in [Fault::Stopped, Fault::Frozen] {
        until_told(&mut system, HEALTHY).await;
        block_in_place(|| rabbit.suffer(fault)).unwrap();
        until_told(&mut system, Told::degraded("rabbitmq", "not connected")).await;

        let registered = system.somebody().await;
        assert_eq!(system.mails_to(&registered.email).len(), 0, "{fault:?}");
        block_in_place(|| rabbit.recover(fault)).unwrap();
        system.until_sent(&registered.token, "welcome").await;
    }
    until_told(&mut system, HEALTHY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_away_is_unhealthy_and_requests_are_refused_in_time() {
    let mut postgres = block_in_place(|| Postgres::start(&Place::temporary().unwrap()).unwrap());
    let mut ground = Ground::lay().await;
    ground.database_urls = ["users", "payments", "notifications"]
        .map(|name| {
            psql::run(&postgres.url(), &format!("create database {name}")).unwrap();
            with_database(&postgres.url(), name)
        })
        .to_vec();
    ground.settings.push(("REQUEST_TIMEOUT", REQUEST_TIMEOUT.to_owned()));
    let users = ground.environment(0);
    let admin = administrator(&users);
    let mut system = ground.start(users).await;

    for (fault, error) in [(Fault::Stopped, "connection"), (Fault::Frozen, "timed out")] {
        until_told(&mut system, HEALTHY).await;
        block_in_place(|| postgres.suffer(fault)).unwrap();
        until_told(&mut system, Told::unhealthy("database", error)).await;

        let request = system.request(Method::GET, &system.users.url("/api/users"));
        let refused = request.bearer_auth(&admin).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{fault:?}");
        assert!(refused.headers().contains_key("retry-after"), "{fault:?}");
        block_in_place(|| postgres.recover(fault)).unwrap();
        registered(&system).await;
    }
    until_told(&mut system, HEALTHY).await;
}

/// A migration of the next version locks a table, and requests queue until no connection is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_connections_are_all_lent_out_stays_ready_and_says_that_it_is_busy() {
    let ground = Ground::lay().await;
    let mut variables = ground.environment(0);
    // The connections are held until the table is free.
    variables.insert("DB_STATEMENT_TIMEOUT".to_owned(), "10m".to_owned());
    variables.insert("DB_LOCK_TIMEOUT".to_owned(), "5m".to_owned());
    let mut service = ServiceProcess::start("user-service", &variables).await;
    until_one_told(&mut service, HEALTHY).await;
    let watcher = ground.databases[0].pool().await;
    let mut lock = watcher.begin().await.unwrap();
    sqlx::query("lock table users in access exclusive mode").execute(&mut *lock).await.unwrap();

    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let url = service.url("/api/sessions");
        callers.spawn(reqwest::Client::new().post(url).json(&body).send());
    }

    let busy = Told { word: "degraded", busy: true, ..HEALTHY };
    until_one_told(&mut service, busy).await;
    lock.rollback().await.unwrap();
    until_one_told(&mut service, HEALTHY).await;
}

/// Waits until the probes of all services say so.
async fn until_told(system: &mut System, told: Told) {
    tokio::join!(
        until_one_told(&mut system.users, told),
        until_one_told(&mut system.payments, told),
        until_one_told(&mut system.notifications, told),
    );
}

/// Waits until its probes say so, fifty at once; it is still the same process.
async fn until_one_told(service: &mut ServiceProcess, told: Told) {
    let what = format!("{} says {told:?}", service.name());
    eventually(&what, async || says(&body(service).await?, told).then_some(())).await;
    let mut probes = JoinSet::new();
    for _ in 0..PROBES {
        probes.spawn(reqwest::get(service.url("/health")));
    }
    for answer in probes.join_all().await {
        assert_eq!(answer.unwrap().status(), told.health, "{what}");
    }
    for (path, status) in [("/ready", told.ready), ("/live", 200)] {
        let answer = reqwest::get(service.url(path)).await.unwrap();
        assert_eq!(answer.status(), status, "{what}: {path}");
    }
    assert!(service.exited().is_none(), "{}", service.log_tail());
}

/// The answer of `/health` with its status as `http`.
async fn body(service: &ServiceProcess) -> Option<Value> {
    let answer = reqwest::get(service.url("/health")).await.ok()?;
    let status = answer.status().as_u16();
    let mut body: Value = answer.json().await.ok()?;
    body["http"] = json!(status);
    Some(body)
}

/// Whether that is what it says: every check with its latency, and the one that fails with its error.
fn says(body: &Value, told: Told) -> bool {
    let checks = ["database", "redis", "rabbitmq"].iter().all(|check| {
        let error = told.fails.and_then(|(fails, error)| (fails == *check).then_some(error));
        let detail = &body["details"][check];
        let busy = (told.busy && *check == "database").then_some("busy");
        body["checks"][check] == error.is_none()
            && detail["latency_ms"].is_u64()
            && detail["error"].as_str() == error.or(busy)
    });
    checks && body["http"] == told.health && body["status"] == told.word
}

/// Waits until somebody can be registered.
async fn registered(system: &System) {
    eventually("somebody is registered", async || {
        let email = format!("{}@example.com", Uuid::now_v7().simple());
        let body = json!({"email": email, "name": "Ada", "password": PASSWORD});
        let request = system.request(Method::POST, &system.users.url("/api/users")).json(&body);
        (request.send().await.ok()?.status() == StatusCode::CREATED).then_some(())
    })
    .await;
}

/// A private server, taken away and given back.
trait Server {
    fn suffer(&mut self, fault: Fault) -> Result<(), NativeError>;
    fn recover(&mut self, fault: Fault) -> Result<(), NativeError>;
}

macro_rules! server {
    ($($server:ty),+) => {$(
        impl Server for $server {
            fn suffer(&mut self, fault: Fault) -> Result<(), NativeError> {
                if fault == Fault::Stopped { self.kill() } else { self.freeze() }
            }

            fn recover(&mut self, fault: Fault) -> Result<(), NativeError> {
                if fault == Fault::Stopped { self.start_again() } else { self.cont() }
            }
        }
    )+};
}

server!(Redis, RabbitMq, Postgres);
