//! What a process knows of what it calls.

use discovery::Registry;
use service_client::{Kind, Targets};

use crate::{Answer, Server, get, settings};

#[tokio::test]
async fn two_clients_of_a_service_share_its_breaker() {
    let (server, instance) = Server::start(vec![Answer::Status(500); 5]).await;
    let mut settings = settings();
    settings.retry.max_attempts = 1;
    settings.circuit_breaker.initial_timeout = std::time::Duration::from_secs(3600);
    settings.circuit_breaker.timeout = settings.circuit_breaker.initial_timeout;
    let registry = Registry::empty();
    registry.register(instance);
    let targets = Targets::new("payment-service", "static", registry, settings);
    let one = targets.client("user-service").unwrap();
    let other = targets.client("user-service").unwrap();
    for _ in 0..5 {
        get(&one).await.unwrap_err();
    }
    assert!(matches!(get(&other).await.unwrap_err().kind, Kind::Open { .. }));
    assert_eq!(server.calls(), 5);
}
