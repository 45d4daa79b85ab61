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
use testkit::native::{NativeError, Postgres, RabbitMq, Redis, ServerOptions};
use testkit::{ServiceProcess, eventually};
use tokio::task::{JoinSet, block_in_place};
use uuid::Uuid;

use crate::system::{Fixture, PASSWORD, System, administrator, config_with};

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

/// What the probes of a service are expected to report.
#[derive(Debug, Clone, Copy)]
struct Expected {
    health: u16,
    status: &'static str,
    ready: u16,
    /// The check that fails, and the kind of its error.
    fails: Option<(&'static str, &'static str)>,
    /// Whether the database is there and has no connection free.
    busy: bool,
}

const HEALTHY: Expected =
    Expected { health: 200, status: "healthy", ready: 200, fails: None, busy: false };

impl Expected {
    const fn degraded(check: &'static str, error: &'static str) -> Self {
        Self { status: "degraded", fails: Some((check, error)), ..HEALTHY }
    }

    const fn unhealthy(check: &'static str, error: &'static str) -> Self {
        Self {
            health: 503,
            status: "unhealthy",
            ready: 503,
            fails: Some((check, error)),
            busy: false,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_away_degrades_and_answers_come_from_the_database() {
    let mut redis = block_in_place(|| Redis::start(&ServerOptions::temporary().unwrap()).unwrap());
    let mut fixture = Fixture::set_up().await;
    fixture.settings.push(("REDIS_URL", redis.url()));
    let users = fixture.environment(0);
    let mut system = fixture.start(users).await;
    let user = system.new_user().await;

    for (fault, error) in [(Fault::Stopped, "connection"), (Fault::Frozen, "timed out")] {
        until_all_report(&mut system, HEALTHY).await;
        block_in_place(|| redis.inject(fault)).unwrap();
        until_all_report(&mut system, Expected::degraded("redis", error)).await;

        let profile = system.get(&system.users.url("/api/users/me"), &user.token).await;
        assert_eq!(profile["email"], user.email, "{fault:?}");
        let key = format!("order-{fault:?}");
        let paid = system.pay(&user.token, &key, "pm_card_visa").await;
        assert_eq!(paid.status(), StatusCode::CREATED, "{fault:?}");
        block_in_place(|| redis.recover(fault)).unwrap();
    }
    until_all_report(&mut system, HEALTHY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_away_degrades_and_events_wait_in_the_outbox() {
    let mut rabbit =
        block_in_place(|| RabbitMq::start(&ServerOptions::temporary().unwrap()).unwrap());
    let mut fixture = Fixture::set_up().await;
    // Two missed heartbeats show that it stands still: of ten seconds each, out of the box.
    let config =
        config_with("message_queue.tsk", "[rabbitmq]\n", "[rabbitmq]\nheartbeat: \"2s\"\n");
    fixture.settings.extend([
        ("CONFIG_DIR", config.path().display().to_string()),
        ("RABBITMQ_HOST", "127.0.0.1".to_owned()),
        ("RABBITMQ_PORT", rabbit.port().to_string()),
        ("RABBITMQ_USERNAME", rabbit.username().to_owned()),
        ("RABBITMQ_PASSWORD", rabbit.password().to_owned()),
        ("RABBITMQ_VHOST", "/".to_owned()),
    ]);
    let users = fixture.environment(0);
    let mut system = fixture.start(users).await;

    for fault in [Fault::Stopped, Fault::Frozen] {
        until_all_report(&mut system, HEALTHY).await;
        block_in_place(|| rabbit.inject(fault)).unwrap();
        until_all_report(&mut system, Expected::degraded("rabbitmq", "not connected")).await;

        let registered = system.new_user().await;
        assert_eq!(system.mails_to(&registered.email).len(), 0, "{fault:?}");
        block_in_place(|| rabbit.recover(fault)).unwrap();
        system.until_sent(&registered.token, "welcome").await;
    }
    until_all_report(&mut system, HEALTHY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_away_is_unhealthy_and_requests_are_refused_in_time() {
    let mut postgres =
        block_in_place(|| Postgres::start(&ServerOptions::temporary().unwrap()).unwrap());
    let mut fixture = Fixture::set_up().await;
    fixture.database_urls = ["users", "payments", "notifications"]
        .map(|name| {
            psql::run(&postgres.url(), &format!("create database {name}")).unwrap();
            with_database(&postgres.url(), name)
        })
        .to_vec();
    fixture.settings.push(("REQUEST_TIMEOUT", REQUEST_TIMEOUT.to_owned()));
    let users = fixture.environment(0);
    let admin = administrator(&users);
    let mut system = fixture.start(users).await;

    for (fault, error) in [(Fault::Stopped, "connection"), (Fault::Frozen, "timed out")] {
        until_all_report(&mut system, HEALTHY).await;
        block_in_place(|| postgres.inject(fault)).unwrap();
        until_all_report(&mut system, Expected::unhealthy("database", error)).await;

        let request = system.request(Method::GET, &system.users.url("/api/users"));
        let refused = request.bearer_auth(&admin).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{fault:?}");
        assert!(refused.headers().contains_key("retry-after"), "{fault:?}");
        block_in_place(|| postgres.recover(fault)).unwrap();
        registered(&system).await;
    }
    until_all_report(&mut system, HEALTHY).await;
}

/// A migration of the next version locks a table, and requests queue until no connection is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_connections_are_all_lent_out_stays_ready_and_says_that_it_is_busy() {
    let fixture = Fixture::set_up().await;
    let mut variables = fixture.environment(0);
    // The connections are held until the table is free.
    variables.insert("DB_STATEMENT_TIMEOUT".to_owned(), "10m".to_owned());
    variables.insert("DB_LOCK_TIMEOUT".to_owned(), "5m".to_owned());
    let mut service = ServiceProcess::start("user-service", &variables).await;
    until_reports(&mut service, HEALTHY).await;
    let watcher = fixture.databases[0].pool().await;
    let mut lock = watcher.begin().await.unwrap();
    sqlx::query("lock table users in access exclusive mode").execute(&mut *lock).await.unwrap();

    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let url = service.url("/api/sessions");
        callers.spawn(reqwest::Client::new().post(url).json(&body).send());
    }

    let busy = Expected { status: "degraded", busy: true, ..HEALTHY };
    until_reports(&mut service, busy).await;
    lock.rollback().await.unwrap();
    until_reports(&mut service, HEALTHY).await;
}

/// Waits until the probes of all services report it.
async fn until_all_report(system: &mut System, expected: Expected) {
    tokio::join!(
        until_reports(&mut system.users, expected),
        until_reports(&mut system.payments, expected),
        until_reports(&mut system.notifications, expected),
    );
}

/// Waits until its probes report it, fifty at once; it is still the same process.
async fn until_reports(service: &mut ServiceProcess, expected: Expected) {
    let what = format!("{} reports {expected:?}", service.name());
    eventually(&what, async || reports(&body(service).await?, expected).then_some(())).await;
    let mut probes = JoinSet::new();
    for _ in 0..PROBES {
        probes.spawn(reqwest::get(service.url("/health")));
    }
    for answer in probes.join_all().await {
        assert_eq!(answer.unwrap().status(), expected.health, "{what}");
    }
    for (path, status) in [("/ready", expected.ready), ("/live", 200)] {
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

/// Whether it reports what is expected: every check with its latency, and the one that fails with its error.
fn reports(body: &Value, expected: Expected) -> bool {
    let checks = ["database", "redis", "rabbitmq"].iter().all(|check| {
        let error = expected.fails.and_then(|(fails, error)| (fails == *check).then_some(error));
        let detail = &body["details"][check];
        let busy = (expected.busy && *check == "database").then_some("busy");
        body["checks"][check] == error.is_none()
            && detail["latency_ms"].is_u64()
            && detail["error"].as_str() == error.or(busy)
    });
    checks && body["http"] == expected.health && body["status"] == expected.status
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
    fn inject(&mut self, fault: Fault) -> Result<(), NativeError>;
    fn recover(&mut self, fault: Fault) -> Result<(), NativeError>;
}

macro_rules! server {
    ($($server:ty),+) => {$(
        impl Server for $server {
            fn inject(&mut self, fault: Fault) -> Result<(), NativeError> {
                if fault == Fault::Stopped { self.kill() } else { self.freeze() }
            }

            fn recover(&mut self, fault: Fault) -> Result<(), NativeError> {
                if fault == Fault::Stopped { self.start_again() } else { self.cont() }
            }
        }
    )+};
}

server!(Redis, RabbitMq, Postgres);
