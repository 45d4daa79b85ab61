//! The servers that a service stands on, taken away and given back; and replicas that start at once.

use reqwest::Method;
use serde_json::Value;
use testkit::{Instance, Proxy, eventually};
use user_service::UserService;

async fn start(vars: tusk_config::Vars) -> Instance {
    Instance::start::<UserService>(vars).await
}

/// Waits until `/health` has this status and word, and `/ready` this status.
async fn until(service: &Instance, health: u16, word: &str, ready: u16) {
    eventually(&format!("the service is {word}"), async || {
        let answer = service.request(Method::GET, "/health").send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.json::<Value>().await.unwrap();
        let answer = service.request(Method::GET, "/ready").send().await.unwrap();
        let readiness = answer.status().as_u16();
        let reached = (status, body["status"].as_str().unwrap(), readiness);
        (reached == (health, word, ready)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn broker_or_redis_away_degrades_database_away_is_unhealthy_and_each_comes_back() {
    let (database, broker) = tokio::join!(testkit::database("servers"), testkit::broker());
    let redis = testkit::redis_url();
    let redis = redis.trim_start_matches("redis://").split('/').next().unwrap().to_owned();
    let (postgres, redis, rabbit) = tokio::join!(
        Proxy::start(database.server()),
        Proxy::start(redis),
        Proxy::start(broker.server()),
    );
    let vars = testkit::vars(&database, &broker)
        .with("DATABASE_URL", database.url_through(postgres.address()))
        .with("REDIS_URL", format!("redis://{}", redis.address()))
        .with("RABBITMQ_HOST", "127.0.0.1")
        .with("RABBITMQ_PORT", rabbit.port().to_string())
        .with("DB_CHECKOUT_TIMEOUT", "1");
    let service = start(vars).await;
    until(&service, 200, "healthy", 200).await;
    for server in [&rabbit, &redis] {
        server.cut().await;
        until(&service, 200, "degraded", 200).await;
        server.restore().await;
        until(&service, 200, "healthy", 200).await;
    }
    postgres.cut().await;
    until(&service, 503, "unhealthy", 503).await;
    let register = serde_json::json!({
        "email": "ada@example.com", "name": "Ada", "password": crate::app::PASSWORD,
    });
    let request = service.request(Method::POST, "/api/users").json(&register);
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    postgres.restore().await;
    until(&service, 200, "healthy", 200).await;
}

#[tokio::test]
async fn replicas_that_start_at_the_same_moment_on_an_empty_database_all_come_up() {
    let (database, broker) = tokio::join!(testkit::database("replicas"), testkit::broker());
    let vars = || testkit::vars(&database, &broker);
    let replicas = tokio::join!(start(vars()), start(vars()), start(vars()));
    for service in [replicas.0, replicas.1, replicas.2] {
        until(&service, 200, "healthy", 200).await;
    }
}

#[tokio::test]
async fn it_starts_on_a_database_that_a_newer_version_has_migrated() {
    let (database, broker) = tokio::join!(testkit::database("newer"), testkit::broker());
    let vars = || testkit::vars(&database, &broker);
    until(&start(vars()).await, 200, "healthy", 200).await;
    let pool = database.pool().await;
    for table in ["_sqlx_migrations", "_messaging_migrations"] {
        let later = format!(
            "insert into {table} (version, description, success, checksum, execution_time) \
             values (99990101000000, 'of a newer version', true, '', 0)"
        );
        sqlx::query(sqlx::AssertSqlSafe(later)).execute(&pool).await.unwrap();
    }
    until(&start(vars()).await, 200, "healthy", 200).await;
}

#[tokio::test]
async fn it_serves_once_all_its_connections_to_the_database_are_open() {
    let (database, broker) = tokio::join!(testkit::database("pool"), testkit::broker());
    // A start that waited for a connection which it has itself would not end.
    let vars = testkit::vars(&database, &broker)
        .with("DB_POOL_SIZE", "4")
        .with("DB_BACKGROUND_POOL_SIZE", "7")
        .with("DB_CHECKOUT_TIMEOUT", "3600");

    let service = start(vars).await;

    let metrics = service.request(Method::GET, "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let of = |line: &str| line.starts_with("db_client_connections{");
    let counts = metrics.lines().filter(|line| of(line)).filter_map(|line| line.split(' ').nth(1));
    assert_eq!(counts.map(|count| count.parse::<u32>().unwrap()).sum::<u32>(), 11);
}

#[tokio::test]
async fn servers_on_other_machines_without_tls_are_faults_where_the_settings_ask_for_it() {
    let (database, broker) = tokio::join!(testkit::database("plaintext"), testkit::broker());
    let faults = |environment: &str, required_in: &str| {
        let vars = testkit::vars(&database, &broker)
            .with("ENVIRONMENT", environment.to_owned())
            .with("TLS_REQUIRED_IN", required_in.to_owned())
            .with("DATABASE_URL", "postgres://ada:hunter2@db.example.com/users")
            .with("REDIS_URL", "redis://:hunter2@cache.example.com")
            .with("RABBITMQ_HOST", "broker.example.com")
            .with("TRACING_ENABLED", "true")
            .with("TRACING_ENDPOINT", "http://collector.example.com:4317");
        let faults = platform::process::load::<UserService>(vars).err();
        let faults = faults.map(|faults| faults.to_string()).unwrap_or_default();
        assert!(!faults.contains("hunter2"), "{faults}");
        let remedies = ["DB_SSLMODE", "RABBITMQ_TLS", "rediss://", "https://"];
        remedies.map(|remedy| faults.contains(remedy))
    };
    assert_eq!(faults("production", "production,staging"), [true; 4]);
    assert_eq!(faults("staging", "production,staging"), [true; 4]);
    assert_eq!(faults("staging", "production"), [false; 4]);
    assert_eq!(faults("production", ""), [false; 4], "a mesh encrypts");
}
