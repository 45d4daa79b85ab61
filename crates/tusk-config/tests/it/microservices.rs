//! The settings of three services in seven files, which name everything by the usual names of a system on
//! `TuskLang`, read to the right typed values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tusk_config::{HttpRequest, Loader, Secret, Unread, Vars};

#[derive(Debug, Deserialize)]
struct Auth {
    jwt_secret: Secret,
    jwt_expiration: Duration,
    service_token_expiration: u64,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Database {
    pool_size: u32,
    pool_timeout: Duration,
    checkout_timeout: Duration,
    reaping_frequency: Duration,
}

#[derive(Debug, Deserialize)]
struct MessageQueue {
    rabbitmq: RabbitMq,
    queues: BTreeMap<String, String>,
    exchanges: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct RabbitMq {
    host: String,
    port: u16,
    username: String,
    password: Secret,
    vhost: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Discovery {
    r#type: DiscoveryType,
    refresh_interval: Duration,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum DiscoveryType {
    Static,
    Consul,
    Etcd,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Breaker {
    failure_threshold: u32,
    timeout: Duration,
    half_open_max_calls: u32,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Retry {
    max_attempts: u32,
    backoff_multiplier: f64,
    max_backoff: Duration,
}

#[derive(Debug, Deserialize, PartialEq)]
#[allow(clippy::struct_field_names, reason = "the files' spelling")]
struct Scaling {
    auto_scaling: bool,
    min_instances: u32,
    max_instances: u32,
    cpu_threshold: u8,
    memory_threshold: u8,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Balancing {
    algorithm: String,
    health_check_interval: Duration,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Service {
    host: String,
    port: u16,
    health_check: HttpRequest,
    version: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Tracing {
    enabled: bool,
    endpoint: String,
    service_name: String,
    environment: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Sampling {
    probability: f64,
}

/// As a service composes its settings: some sections of its own, some groups flattened in.
#[derive(Debug, Deserialize)]
struct Settings {
    auth: Auth,
    services: BTreeMap<String, Secret>,
    database: Database,
    #[serde(flatten)]
    messaging: MessageQueue,
    #[serde(flatten)]
    calls: Calls,
    tracing: Tracing,
    sampling: Sampling,
}

#[derive(Debug, Deserialize)]
struct Calls {
    service_discovery: Discovery,
    circuit_breaker: Breaker,
    retry: Retry,
    scaling: Scaling,
    load_balancing: Balancing,
    #[serde(rename = "service:*")]
    instances: BTreeMap<String, Service>,
}

const FILES: [&str; 7] =
    ["auth", "database", "message_queue", "microservices", "scaling", "services", "tracing"];

fn secrets() -> Vars {
    Vars::of([
        ("JWT_SECRET", "hunter2"),
        ("USER_SERVICE_TOKEN", "token-u"),
        ("PAYMENT_SERVICE_TOKEN", "token-p"),
        ("NOTIFICATION_SERVICE_TOKEN", "token-n"),
    ])
}

fn files() -> Loader {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/microservices");
    FILES.iter().fold(Loader::new(folder), |loader, file| loader.file(file))
}

#[test]
fn all_seven_files_read_to_the_right_values() {
    let all: Settings = files().vars(secrets()).load().unwrap();
    let seconds = Duration::from_secs;

    assert_eq!(all.auth.jwt_secret.expose(), "hunter2");
    assert_eq!(all.auth.jwt_expiration, seconds(3600));
    assert_eq!(all.auth.service_token_expiration, 86400);
    assert_eq!(all.services["payment_service_token"].expose(), "token-p");
    assert_eq!(all.services.len(), 3);

    let database = Database {
        pool_size: 5,
        pool_timeout: seconds(5),
        checkout_timeout: seconds(5),
        reaping_frequency: seconds(10),
    };
    assert_eq!(all.database, database);

    let rabbitmq = &all.messaging.rabbitmq;
    assert_eq!((rabbitmq.host.as_str(), rabbitmq.port), ("localhost", 5672));
    assert_eq!((rabbitmq.username.as_str(), rabbitmq.vhost.as_str()), ("guest", "/"));
    assert_eq!(rabbitmq.password.expose(), "guest");
    assert_eq!(all.messaging.queues["user_events"], "user-service.events");
    assert_eq!(all.messaging.queues.len(), 3);
    assert_eq!(all.messaging.exchanges["notification_exchange"], "notification.events");

    let calls = &all.calls;
    let discovery = Discovery { r#type: DiscoveryType::Static, refresh_interval: seconds(30) };
    assert_eq!(calls.service_discovery, discovery);
    let breaker = Breaker { failure_threshold: 5, timeout: seconds(60), half_open_max_calls: 3 };
    assert_eq!(calls.circuit_breaker, breaker);
    let retry = Retry { max_attempts: 3, backoff_multiplier: 2.0, max_backoff: seconds(60) };
    assert_eq!(calls.retry, retry);
    let scaling = Scaling {
        auto_scaling: true,
        min_instances: 2,
        max_instances: 10,
        cpu_threshold: 70,
        memory_threshold: 80,
    };
    assert_eq!(calls.scaling, scaling);
    let balancing =
        Balancing { algorithm: "round_robin".to_owned(), health_check_interval: seconds(30) };
    assert_eq!(calls.load_balancing, balancing);

    let names: Vec<_> = calls.instances.keys().map(String::as_str).collect();
    assert_eq!(names, ["notification-service", "payment-service", "user-service"]);
    let user = Service {
        host: "localhost".to_owned(),
        port: 3001,
        health_check: HttpRequest::get("http://localhost:3001/health"),
        version: "1.0.0".to_owned(),
    };
    assert_eq!(calls.instances["user-service"], user);

    let tracing = Tracing {
        enabled: true,
        endpoint: "http://localhost:4317".to_owned(),
        service_name: "unknown-service".to_owned(),
        environment: "development".to_owned(),
    };
    assert_eq!(all.tracing, tracing);
    assert_eq!(all.sampling, Sampling { probability: 0.1 });
}

#[test]
fn variables_win_over_defaults_and_reach_references() {
    let vars = secrets()
        .with("USER_SERVICE_HOST", "users.internal")
        .with("USER_SERVICE_PORT", "8080")
        .with("SERVICE_DISCOVERY_TYPE", "consul")
        .with("CIRCUIT_BREAKER_TIMEOUT", "250ms")
        .with("TRACING_ENABLED", "false");
    let all: Settings = files().vars(vars).load().unwrap();
    let user = &all.calls.instances["user-service"];
    assert_eq!(user.health_check, HttpRequest::get("http://users.internal:8080/health"));
    assert_eq!(all.calls.service_discovery.r#type, DiscoveryType::Consul);
    assert_eq!(all.calls.circuit_breaker.timeout, Duration::from_millis(250));
    assert!(!all.tracing.enabled);
}

#[test]
fn a_missing_secret_and_a_mistyped_port_are_reported_together() {
    let vars = Vars::of([
        ("USER_SERVICE_TOKEN", "token-u"),
        ("PAYMENT_SERVICE_TOKEN", "token-p"),
        ("NOTIFICATION_SERVICE_TOKEN", "token-n"),
        ("USER_SERVICE_PORT", "abc"),
    ]);
    let errors = files().vars(vars).load::<Settings>().unwrap_err();
    let shown = errors.to_string();
    assert_eq!(errors.len(), 2, "{shown}");
    assert!(shown.contains("microservices/auth.tsk:3:13: JWT_SECRET is not set\n"), "{shown}");
    let port = "microservices/services.tsk:4:7: USER_SERVICE_PORT is \"abc\", not a number";
    assert!(shown.contains(port), "{shown}");
    assert!(
        shown.contains("\n  4 | port: @env(\"USER_SERVICE_PORT\", 3001)\n    |       ^^^^"),
        "{shown}"
    );
}

#[test]
fn a_service_needs_only_the_secrets_that_it_reads() {
    #[derive(Debug, Deserialize)]
    struct Own {
        services: Tokens,
    }
    #[derive(Debug, Deserialize)]
    struct Tokens {
        user_service_token: Secret,
        #[serde(default, rename = "payment_service_token")]
        _payment: Unread,
        #[serde(default, rename = "notification_service_token")]
        _notification: serde::de::IgnoredAny,
    }
    #[derive(Debug, Deserialize)]
    struct Flattened {
        #[serde(flatten)]
        _own: Own,
    }
    let vars = Vars::of([("USER_SERVICE_TOKEN", "token-u")]);
    let own: Own = files().vars(vars.clone()).load().unwrap();
    assert_eq!(own.services.user_service_token.expose(), "token-u");
    let errors = files().vars(vars.clone()).load::<Flattened>().unwrap_err();
    let unknown = "unknown key `notification_service_token`";
    assert_eq!(errors.iter().map(tusk_config::Fault::text).collect::<Vec<_>>(), [unknown]);

    let config = files().vars(vars).tree().unwrap();
    let token: Secret = config.get("services.user_service_token").unwrap();
    assert_eq!(token.expose(), "token-u");
    assert!(config.get::<Secret>("auth.jwt_secret").is_err());
}
