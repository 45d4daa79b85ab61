//! A broker that is short of disk, under the services.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;
use testkit::native::{RabbitMq, ServerOptions};
use uuid::Uuid;

use crate::system::{Fixture, PASSWORD, System};

#[tokio::test]
async fn disk_alarm_and_the_api_keeps_answering() {
    let start = || RabbitMq::start(&ServerOptions::temporary().unwrap()).unwrap();
    let rabbit = tokio::task::spawn_blocking(start).await.unwrap();
    let mut fixture = Fixture::set_up().await;
    fixture.settings.extend([
        ("RABBITMQ_HOST", "127.0.0.1".to_owned()),
        ("RABBITMQ_PORT", rabbit.port().to_string()),
        ("RABBITMQ_USERNAME", rabbit.username().to_owned()),
        ("RABBITMQ_PASSWORD", rabbit.password().to_owned()),
        ("RABBITMQ_VHOST", "/".to_owned()),
    ]);
    let pool = fixture.databases[0].pool().await;
    let users = fixture.environment(0);
    let system = fixture.start(users).await;
    let first = system.new_user().await;
    system.until_sent(&first.token, "welcome").await;

    let rabbit = limit_disk(rabbit, "1000000GB").await;
    let mut registered = Vec::new();
    // The broker blocks a connection when it publishes.
    while registered.len() < 5 || has_broker(&system).await {
        registered.push(register(&system).await);
    }
    assert!(outbox_depth(&pool).await > 0, "what is committed waits in the outbox");
    let me = system.users.url("/api/users/me");
    let looked = system.request(Method::GET, &me).bearer_auth(&first.token).send().await.unwrap();
    assert_eq!(looked.status(), StatusCode::OK);
    let _rabbit = limit_disk(rabbit, "1MB").await;

    for email in registered {
        let token = system.sign_in(&email).await;
        system.until_sent(&token, "welcome").await;
        assert_eq!(system.mails_to(&email).len(), 1);
    }
    eventually("the outbox is empty", async || (outbox_depth(&pool).await == 0).then_some(()))
        .await;
}

/// Whether user-service says that the broker takes its messages.
async fn has_broker(system: &System) -> bool {
    let health = system.request(Method::GET, &system.users.url("/health")).send().await.unwrap();
    health.json::<Value>().await.unwrap()["checks"]["rabbitmq"] == true
}

/// Registers somebody: the answer must be that they are.
async fn register(system: &System) -> String {
    let email = format!("{}@example.com", Uuid::now_v7().simple());
    let body = json!({"email": email, "name": "Ada", "password": PASSWORD});
    let request = system.request(Method::POST, &system.users.url("/api/users")).json(&body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::CREATED);
    email
}

async fn outbox_depth(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from messaging_outbox").fetch_one(pool).await.unwrap()
}

async fn limit_disk(rabbit: RabbitMq, limit: &'static str) -> RabbitMq {
    let tell = move || {
        rabbit.control(&["set_disk_free_limit", limit]).unwrap();
        rabbit
    };
    tokio::task::spawn_blocking(tell).await.unwrap()
}
