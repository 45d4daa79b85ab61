//! Reads that are late: a second instance is asked as well, and the first answer is taken.

use std::sync::atomic::Ordering;
use std::time::Duration;

use discovery::{LoadBalancingSettings, Readiness, Registry};
use service_client::{Call, ClientSettings, Kind, ServiceClient};

use crate::{Answer, Server, client, counted, get, settings};

/// Reads after which it is known what nearly all of them take.
const READS: usize = 256;

/// Time limits so long that a call whose instance hangs is answered by another or not at all.
fn patient() -> ClientSettings {
    let mut settings = settings();
    settings.client.attempt_timeout = Duration::from_secs(60);
    settings
}

async fn read(client: &ServiceClient) {
    for _ in 0..READS {
        get(client).await.unwrap();
    }
}

#[tokio::test]
async fn a_read_that_is_late_is_answered_by_another_instance_and_the_first_is_given_up() {
    let (first, one) = Server::start([]).await;
    let (second, other) = Server::start([]).await;
    let client = client(&patient(), &[&one, &other]);
    read(&client).await;
    let before = counted("service_call_hedges_total", "");
    for server in [&first, &second] {
        server.will(Answer::Hang);
        while server.given_up.load(Ordering::SeqCst) == 0 {
            get(&client).await.unwrap();
        }
    }
    assert!(counted("service_call_hedges_total", "") >= before + 2);
}

#[tokio::test]
async fn a_late_read_is_not_asked_of_an_instance_that_is_known_not_to_be_well() {
    let (well, one) = Server::start([]).await;
    let (other_server, other) = Server::start([]).await;
    let other = other.readiness(Readiness::NotReady);
    let client = client(&patient(), &[&one, &other]);
    read(&client).await;
    let hedges = counted("service_call_hedges_total", "");
    well.will(Answer::Hang);
    let call = Call::new("get_user").within(Duration::from_millis(300));
    client.get::<serde_json::Value>("/", call).await.unwrap_err();
    assert_eq!((counted("service_call_hedges_total", ""), other_server.calls()), (hedges, 0));
}

#[tokio::test]
async fn a_late_read_is_answered_by_another_zone_where_the_own_one_has_no_other_instance() {
    let (own, one) = Server::start([]).await;
    let (other_server, other) = Server::start([]).await;
    let registry =
        Registry::new(&LoadBalancingSettings { zone: "a".to_owned(), ..Default::default() });
    registry.replace("user-service", vec![one.zone("a"), other.zone("b")]);
    let client = ServiceClient::new("user-service", &registry, &patient()).unwrap();
    read(&client).await;
    let calls = other_server.calls();
    own.will(Answer::Hang);
    while own.given_up.load(Ordering::SeqCst) == 0 {
        get(&client).await.unwrap();
    }
    assert!(other_server.calls() > calls);
}

#[tokio::test]
async fn a_read_is_asked_of_nobody_twice_by_one_instance_without_budget_or_when_it_is_off() {
    let (server, instance) = Server::start([]).await;
    let (other_server, other) = Server::start([]).await;
    let mut poor = patient();
    let mut off = patient();
    (poor.retry.budget_ratio, poor.retry.budget_per_second) = (0.0, 0.0);
    off.client.hedging = false;
    let both = [&instance, &other];
    let clients = [client(&patient(), &both[..1]), client(&poor, &both), client(&off, &both)];
    for client in clients {
        read(&client).await;
        let made = server.calls() + other_server.calls();
        let hedges = counted("service_call_hedges_total", "");
        for server in [&server, &other_server] {
            server.will(Answer::Hang);
        }
        let call = Call::new("get_user").within(Duration::from_millis(300));
        let late = client.get::<serde_json::Value>("/", call).await.unwrap_err();
        assert!(matches!(late.kind, Kind::DeadlineExceeded) && late.attempts == 1, "{late}");
        assert_eq!(server.calls() + other_server.calls(), made + 1);
        assert_eq!(counted("service_call_hedges_total", ""), hedges);
        for server in [&server, &other_server] {
            server.answers.lock().unwrap().clear();
        }
    }
}

#[tokio::test]
async fn a_write_is_never_hedged_though_it_may_be_repeated() {
    let (server, instance) = Server::start([]).await;
    let (other_server, other) = Server::start([]).await;
    let client = client(&patient(), &[&instance, &other]);
    read(&client).await;
    let made = server.calls() + other_server.calls();
    for server in [&server, &other_server] {
        server.will(Answer::Hang);
    }
    let call = Call::new("make").idempotency_key("order-7").within(Duration::from_millis(300));
    let late = client.post::<_, serde_json::Value>("/", &1, call).await.unwrap_err();
    assert!(matches!(late.kind, Kind::DeadlineExceeded), "{late}");
    assert_eq!(server.calls() + other_server.calls(), made + 1);
}
