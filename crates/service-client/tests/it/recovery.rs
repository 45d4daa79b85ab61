//! After an outage: how soon calls go through again.

use std::time::Duration;

use axum::Router;
use discovery::{Health, Instance, LoadBalancingSettings, Registry, Status};
use resilience::breaker::CircuitBreakerSettings;
use service_client::{CallError, ClientSettings, Kind, ServiceClient};
use tokio_util::sync::CancellationToken;
use tusk_config::HttpRequest;

use crate::{Answer, Server, client, get, nobody, settings};

/// Far below the minute that a breaker stays open at most, far above what a busy machine needs.
const SOON: Duration = Duration::from_secs(20);

/// One attempt a call, so that five failed calls open the breaker.
fn without_retries(circuit_breaker: CircuitBreakerSettings) -> ClientSettings {
    let mut settings = ClientSettings { circuit_breaker, ..settings() };
    settings.retry.max_attempts = 1;
    settings
}

async fn open(client: &ServiceClient) {
    for _ in 0..5 {
        get(client).await.unwrap_err();
    }
    assert!(matches!(get(client).await.unwrap_err().kind, Kind::Open { .. }));
}

async fn answers_soon(client: &ServiceClient) {
    let answers = async {
        while get(client).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, answers).await.expect("calls go through again");
}

/// An instance whose health is asked at its own address.
fn checked(instance: &Instance) -> Instance {
    let url = format!("http://{}:{}/health", instance.host, instance.port);
    instance.clone().health_check(HttpRequest { method: "GET".to_owned(), url })
}

/// Listens at an instance's address for as long as it is polled.
async fn serve(instance: Instance) {
    let address = (instance.host.as_str(), instance.port);
    let listener = tokio::net::TcpListener::bind(address).await.expect("the port is free");
    let router = Router::new().fallback(async || "{\"ok\":true}");
    axum::serve(listener, router).await.expect("it serves");
}

/// A service that is restarted, its six callers, and the settings of every service: the minute that
/// the breaker may stay open is the time of a long outage.
#[tokio::test]
async fn half_a_second_without_the_only_instance_is_over_soon_after_it_is_back() {
    let instance = checked(&nobody());
    let registry = Registry::new(&LoadBalancingSettings::default());
    registry.register(instance.clone());
    let mut shipped = without_retries(CircuitBreakerSettings::default());
    shipped.retry.max_attempts = 3;
    let client = ServiceClient::new("user-service", &registry, &shipped).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(registry.clone().run(shutdown.clone()));
    let server = tokio::spawn(serve(instance.clone()));
    answers_soon(&client).await;

    let callers = (0..6).map(|_| async {
        let is_open = |error: CallError| matches!(error.kind, Kind::Open { .. });
        while !get(&client).await.is_err_and(is_open) {}
    });
    server.abort();
    let _ = server.await;
    let opens = futures_util::future::join_all(callers);
    tokio::time::timeout(SOON, opens).await.expect("the breaker opens");
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::spawn(serve(instance));
    answers_soon(&client).await;
    shutdown.cancel();
}

/// Of so many instances none fails often enough in a row to be looked at for itself.
#[tokio::test]
async fn a_breaker_that_many_instances_opened_lets_calls_through_soon_after_they_are_back() {
    let hour = Duration::from_secs(3600);
    let breaker =
        CircuitBreakerSettings { timeout: hour, initial_timeout: hour, ..Default::default() };
    let instances: Vec<Instance> = (0..8).map(|_| checked(&nobody())).collect();
    let registry = Registry::new(&LoadBalancingSettings::default());
    let serve_all =
        || instances.iter().cloned().map(|it| tokio::spawn(serve(it))).collect::<Vec<_>>();
    let servers = serve_all();
    registry.replace("user-service", instances.clone());
    let client = ServiceClient::new("user-service", &registry, &without_retries(breaker)).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(registry.clone().run(shutdown.clone()));
    let are_healthy = async {
        let is_healthy = |status: &Status| status.health == Health::Healthy;
        while !registry.statuses("user-service").iter().all(|(_, status)| is_healthy(status)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, are_healthy).await.expect("all instances are found well");
    for server in servers {
        server.abort();
        let _ended = server.await;
    }
    open(&client).await;
    serve_all();
    answers_soon(&client).await;
    shutdown.cancel();
}

/// Each trial that fails makes the open time longer: an outage that checks do not see is none of many.
#[tokio::test]
async fn of_instances_whose_health_is_well_while_calls_fail_one_check_alone_has_calls_try() {
    let instances: Vec<Instance> = (0..8).map(|_| checked(&nobody())).collect();
    for instance in &instances {
        let listener = tokio::net::TcpListener::bind((instance.host.as_str(), instance.port));
        let listener = listener.await.expect("the port is free");
        let fails = async || http::StatusCode::INTERNAL_SERVER_ERROR;
        let router =
            Router::new().route("/health", axum::routing::get(async || "")).fallback(fails);
        tokio::spawn(async { axum::serve(listener, router).await });
    }
    let hour = Duration::from_secs(3600);
    let breaker =
        CircuitBreakerSettings { timeout: hour, initial_timeout: hour, ..Default::default() };
    let registry = Registry::new(&LoadBalancingSettings::default());
    registry.replace("user-service", instances);
    let client = ServiceClient::new("user-service", &registry, &without_retries(breaker)).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(registry.clone().run(shutdown.clone()));
    let checked_since = async |time: Option<tokio::time::Instant>| {
        let is_later =
            |status: &Status| status.last_check.is_some_and(|it| time.is_none_or(|t| it > t));
        let all = async {
            while !registry.statuses("user-service").iter().all(|(_, status)| is_later(status)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, all).await.expect("all instances are checked");
    };
    checked_since(None).await;
    open(&client).await;
    let opened = tokio::time::Instant::now();
    let recoveries = registry.balancer("user-service").recoveries();
    checked_since(Some(opened)).await;
    assert_eq!(registry.balancer("user-service").recoveries(), recoveries + 1);
    shutdown.cancel();
}

#[tokio::test]
async fn a_breaker_that_opened_for_a_moment_lets_calls_through_after_a_moment() {
    let (_server, instance) = Server::start(vec![Answer::Status(500); 5]).await;
    let client = client(&without_retries(CircuitBreakerSettings::default()), &[&instance]);
    open(&client).await;
    answers_soon(&client).await;
}

#[tokio::test]
async fn a_breaker_lets_calls_through_as_soon_as_a_check_finds_the_instance_well_again() {
    let hour = Duration::from_secs(3600);
    let breaker =
        CircuitBreakerSettings { timeout: hour, initial_timeout: hour, ..Default::default() };
    let instance = checked(&nobody());
    let registry = Registry::new(&LoadBalancingSettings::default());
    registry.register(instance.clone());
    let client = ServiceClient::new("user-service", &registry, &without_retries(breaker)).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(registry.clone().run(shutdown.clone()));
    open(&client).await;
    let is_checked = async {
        while registry.statuses("user-service")[0].1.last_check.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, is_checked).await.expect("a check of the instance fails");
    tokio::spawn(serve(instance));
    answers_soon(&client).await;
    shutdown.cancel();
}
