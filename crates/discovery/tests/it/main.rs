//! The registry and its checks over real HTTP servers. The names of the first tests are the seed's
//! defects.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use discovery::{
    Address, Algorithm, Health, Instance, LoadBalancingSettings, Registry, ServiceSettings,
};
use tokio_util::sync::CancellationToken;

/// A service whose health the test sets.
struct Fake {
    instance: Instance,
    healthy: Arc<AtomicBool>,
    probes: Arc<AtomicUsize>,
}

async fn fake() -> Fake {
    let (healthy, probes) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (state, count) = (healthy.clone(), probes.clone());
    let answer = move || {
        count.fetch_add(1, Ordering::SeqCst);
        let healthy = state.load(Ordering::SeqCst);
        let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        async move { status }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/health", get(answer));
    tokio::spawn(async { axum::serve(listener, router).await });
    Fake { instance: Instance::new("user-service", "127.0.0.1", port), healthy, probes }
}

fn checked_often(instances: &[&Instance]) -> Registry {
    let balancing = LoadBalancingSettings {
        algorithm: Algorithm::RoundRobin,
        health_check_interval: Duration::from_millis(5),
    };
    let registry = Registry::from_settings(&BTreeMap::new(), &balancing);
    for instance in instances {
        registry.register((*instance).clone());
    }
    registry
}

fn start(registry: &Registry) -> CancellationToken {
    let shutdown = CancellationToken::new();
    tokio::spawn(registry.clone().run(shutdown.clone()));
    shutdown
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), wait).await.is_ok(), "never: {what}");
}

fn health(registry: &Registry, of: &Fake) -> Health {
    let statuses = registry.statuses("user-service");
    statuses.into_iter().find(|(instance, _)| *instance == of.instance).unwrap().1.health
}

#[tokio::test]
async fn one_lost_probe_does_not_flip_an_instance() {
    let fake = fake().await;
    let registry = checked_often(&[&fake.instance]);
    let shutdown = start(&registry);
    until("healthy", || health(&registry, &fake) == Health::Healthy).await;
    fake.healthy.store(false, Ordering::SeqCst);
    let before = fake.probes.load(Ordering::SeqCst);
    until("a failed probe", || fake.probes.load(Ordering::SeqCst) > before).await;
    fake.healthy.store(true, Ordering::SeqCst);
    let mut seen = BTreeSet::new();
    let until_probed = fake.probes.load(Ordering::SeqCst) + 1;
    until("another probe", || {
        seen.insert(health(&registry, &fake) == Health::Healthy);
        fake.probes.load(Ordering::SeqCst) >= until_probed
    })
    .await;
    assert_eq!(seen, BTreeSet::from([true]));
    shutdown.cancel();
}

#[tokio::test]
async fn an_instance_that_keeps_failing_is_left_alone_and_comes_back_by_itself() {
    let (good, bad) = (fake().await, fake().await);
    bad.healthy.store(false, Ordering::SeqCst);
    let registry = checked_often(&[&good.instance, &bad.instance]);
    let shutdown = start(&registry);
    until("unhealthy", || health(&registry, &bad) == Health::Unhealthy).await;
    for _ in 0..10 {
        assert_eq!(registry.pick("user-service").unwrap(), good.instance);
    }
    assert_eq!(registry.list_healthy(), std::slice::from_ref(&good.instance));
    bad.healthy.store(true, Ordering::SeqCst);
    until("picked again", || registry.pick("user-service").unwrap() == bad.instance).await;
    shutdown.cancel();
}

#[test]
fn removing_an_instance_in_the_middle_never_yields_none() {
    let registry = Registry::empty();
    let all: Vec<_> = (1..=3).map(|port| Instance::new("user-service", "10.0.0.1", port)).collect();
    for instance in &all {
        registry.register(instance.clone());
    }
    registry.pick("user-service");
    registry.pick("user-service");
    registry.deregister(&all[2]);
    registry.deregister(&all[0]);
    for _ in 0..5 {
        assert_eq!(registry.pick("user-service").unwrap(), all[1]);
    }
    registry.deregister(&all[1]);
    assert_eq!(registry.pick("user-service"), None);
}

#[test]
fn while_none_is_known_to_be_well_unknown_ones_are_picked_but_not_listed() {
    let registry = Registry::empty();
    registry.register(Instance::new("user-service", "10.0.0.1", 1));
    assert!(registry.pick("user-service").is_some());
    assert_eq!(registry.get("user-service"), None);
    assert!(registry.list_healthy().is_empty());
    assert_eq!(registry.pick("no-such-service"), None);
}

#[test]
fn registering_twice_is_registering_once() {
    let registry = Registry::empty();
    (0..2).for_each(|_| registry.register(Instance::new("user-service", "10.0.0.1", 1)));
    assert_eq!(registry.statuses("user-service").len(), 1);
}

#[test]
fn picks_are_shared_out_evenly_under_concurrency() {
    let registry = Registry::empty();
    (1..=4).for_each(|port| registry.register(Instance::new("user-service", "10.0.0.1", port)));
    let counts: [AtomicUsize; 4] = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let port = registry.pick("user-service").unwrap().port;
                    counts[usize::from(port) - 1].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1_000), "{counts:?}");
}

#[test]
fn several_instances_of_a_section_are_each_asked_at_their_own_address() {
    let settings = ServiceSettings {
        host: "localhost".to_owned(),
        port: 3001,
        health_check: tusk_config::HttpRequest {
            method: "GET".to_owned(),
            url: "http://localhost:3001/health".to_owned(),
        },
        version: "1.0.0".to_owned(),
        instances: ["10.0.0.1:3001", "10.0.0.2:4001"].map(address).into(),
    };
    let balancing = LoadBalancingSettings {
        algorithm: Algorithm::RoundRobin,
        health_check_interval: Duration::from_secs(30),
    };
    let services = BTreeMap::from([("user-service".to_owned(), settings)]);
    let registry = Registry::from_settings(&services, &balancing);
    let urls: Vec<_> =
        registry.statuses("user-service").into_iter().map(|(i, _)| i.health_url).collect();
    assert_eq!(urls, ["http://10.0.0.1:3001/health", "http://10.0.0.2:4001/health"]);
}

fn address(text: &str) -> Address {
    text.to_owned().try_into().unwrap()
}

#[test]
fn an_instance_without_host_or_port_is_refused() {
    for text in ["10.0.0.1", ":3001", "10.0.0.1:", "10.0.0.1:70000", ""] {
        assert!(Address::try_from(text.to_owned()).is_err(), "{text}");
    }
}

#[tokio::test]
async fn the_checks_end_with_their_token() {
    let registry = checked_often(&[]);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(registry.run(shutdown.clone()));
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
