//! What goes along with a call.

use std::sync::Arc;
use std::time::Duration;

use discovery::Registry;
use service_client::{Call, Kind, ServiceClient};

use crate::{Server, client, get, settings};

#[tokio::test]
async fn a_key_that_cannot_be_sent_and_a_token_that_is_missing_end_the_call_before_it_begins() {
    let (server, instance) = Server::start([]).await;
    let plain = client(&settings(), &[&instance]);
    let call = Call::new("make").idempotency_key("two\nlines");
    let error = plain.post::<_, serde_json::Value>("/", &1, call).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Unexpected(_)), "{error}");
    let registry = Registry::empty();
    registry.register(instance);
    let tokenless =
        ServiceClient::with_tokens("user-service", registry, &settings(), Arc::new(|_: &str| None));
    let error = get(&tokenless.unwrap()).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Unexpected(_)), "{error}");
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn token_deadline_request_id_and_json_go_along() {
    let (server, instance) = Server::start([]).await;
    let registry = Registry::empty();
    registry.register(instance);
    let tokens = Arc::new(|target: &str| Some(format!("token-for-{target}").into()));
    let client = ServiceClient::with_tokens("user-service", registry, &settings(), tokens).unwrap();
    let call = Call::new("make").request_id("request-7").within(Duration::from_secs(3));
    client.post::<_, serde_json::Value>("/x", &[1], call).await.unwrap();
    let seen = server.seen.lock().unwrap().remove(0);
    assert_eq!(seen["authorization"], "Bearer token-for-user-service");
    assert_eq!(seen["x-request-id"], "request-7");
    assert_eq!(seen["content-type"], "application/json");
    let left: u64 = seen["x-deadline-ms"].to_str().unwrap().parse().unwrap();
    assert!((1..=3_000).contains(&left), "{left}");
}
