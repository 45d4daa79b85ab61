//! The whole system with a port of its own for operators at each service, as in a cluster: strangers
//! find nothing of it where callers are, and callers find all that they need there.

use std::process::Command;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use testkit::{ServiceProcess, eventually};
use tokio::net::TcpStream;

use crate::system::{Fixture, System, administrator};

/// What is for operators; with a token of an administrator each is 200.
const FOR_OPERATORS: [&str; 8] = [
    "/metrics",
    "/openapi.json",
    "/docs/",
    "/admin/queues",
    "/admin/events",
    "/admin/calls",
    "/admin/log",
    "/debug",
];

async fn ask(url: String, token: Option<&str>) -> reqwest::Response {
    let request = Client::new().get(url);
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.unwrap()
}

/// Nothing of what is for operators is where callers are, whoever asks.
async fn is_closed_to_callers(service: &ServiceProcess, admin: &str) {
    for path in FOR_OPERATORS {
        for token in [None, Some(admin)] {
            let answer = ask(service.url(path), token).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{} {path}", service.name());
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            assert!(answer.headers().contains_key("x-request-id"), "{} {path}", service.name());
        }
    }
    let health = ask(service.url("/health"), None).await;
    assert_eq!(health.json::<Value>().await.unwrap(), json!({"status": "healthy"}));
    for path in ["/live", "/ready"] {
        assert_eq!(ask(service.url(path), None).await.status(), StatusCode::OK, "{path}");
    }
}

/// All of it is where operators are, for administrators as far as the policy says so.
async fn is_open_to_operators(service: &ServiceProcess, admin: &str) {
    for path in FOR_OPERATORS {
        let answer = ask(service.management_url(path), Some(admin)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{} {path}", service.name());
        let nobodys = ask(service.management_url(path), None).await.status();
        let is_guarded = path.starts_with("/admin") || path == "/debug";
        assert_eq!(nobodys == StatusCode::UNAUTHORIZED, is_guarded, "{} {path}", service.name());
    }
    for path in ["/live", "/ready", "/api/users", "/oauth/token"] {
        let answer = ask(service.management_url(path), Some(admin)).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{} {path}", service.name());
    }
    let health: Value = ask(service.management_url("/health"), None).await.json().await.unwrap();
    assert_eq!(health["checks"]["rabbitmq"], true, "{health}");
    assert!(health["version"].is_string(), "{health}");
}

/// A user pays and is told so, over calls and events of all three services.
async fn somebody_pays(system: &System) {
    let user = system.new_user().await;
    let paid = system.pay(&user.token, "first", "pm_card_visa").await;
    assert_eq!(paid.status(), StatusCode::CREATED);
    system.until_sent(&user.token, "payment_receipt").await;
}

#[tokio::test]
async fn with_ports_of_their_own_operators_see_everything_and_strangers_nothing() {
    let mut fixture = Fixture::set_up().await;
    fixture.settings.extend([
        ("MANAGEMENT_PORT", "0".to_owned()),
        ("DEBUG_ENABLED", "true".to_owned()),
        ("OUTBOX_ARCHIVE", "1h".to_owned()),
        ("LB_HEALTH_CHECK_INTERVAL", "1".to_owned()),
    ]);
    let variables = fixture.environment(0);
    let admin = administrator(&variables);
    let mut system = fixture.start(variables.clone()).await;

    somebody_pays(&system).await;
    for service in [&system.users, &system.payments, &system.notifications] {
        is_closed_to_callers(service, &admin).await;
        is_open_to_operators(service, &admin).await;
    }
    // Callers check the health of instances where they call them.
    eventually("user-service is known to be healthy", async || {
        let url = system.payments.management_url("/metrics");
        let metrics = ask(url, None).await.text().await.ok()?;
        let healthy = "discovery_instances{health=\"healthy\",service=\"user-service\"} 1";
        metrics.lines().any(|line| line == healthy).then_some(())
    })
    .await;
    // The command in a container asks where callers are.
    let mut command = Command::new(testkit::binary("user-service"));
    command.env_clear().envs(&variables).env("PORT", system.users.port().to_string());
    let asked = command.arg("healthcheck").output().unwrap();
    assert!(asked.status.success(), "{asked:?}");

    let operators = system.users.management_url("").replace("http://", "");
    assert!(system.users.terminate().await.success(), "{}", system.users.log_tail());
    assert!(TcpStream::connect(operators).await.is_err(), "it has ended, port and all");
}
