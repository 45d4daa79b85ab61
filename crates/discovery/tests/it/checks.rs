//! Active checks over real HTTP servers. The name of the first test is one of the seed's defects.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::any;
use discovery::{Health, Instance, LoadBalancingSettings, Registry};
use tokio_util::sync::CancellationToken;
use tusk_config::HttpRequest;

use crate::support::{SERVICE, pick, until};

/// A service whose health the test sets.
struct Fake {
    instance: Instance,
    healthy: Arc<AtomicBool>,
    probes: Arc<AtomicUsize>,
}

async fn fake() -> Fake {
    let (healthy, probes) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (state, count) = (healthy.clone(), probes.clone());
    let answer = move |method: Method| {
        count.fetch_add(1, Ordering::SeqCst);
        let healthy = state.load(Ordering::SeqCst) && method == Method::OPTIONS;
        let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        async move { status }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/health", any(answer));
    tokio::spawn(async { axum::serve(listener, router).await });
    // Not the usual method: that of the descriptor is used.
    let url = format!("http://127.0.0.1:{port}/health");
    let request = HttpRequest { method: "OPTIONS".to_owned(), url };
    let instance = Instance::new(SERVICE, "127.0.0.1", port).health_check(request);
    Fake { instance, healthy, probes }
}

fn checked_every(interval: Duration, instances: &[&Instance]) -> Registry {
    let registry = Registry::new(&LoadBalancingSettings {
        health_check_interval: interval,
        ..LoadBalancingSettings::default()
    });
    registry.replace(SERVICE, instances.iter().copied().cloned().collect());
    registry
}

fn checked_often(instances: &[&Instance]) -> Registry {
    checked_every(Duration::from_millis(5), instances)
}

fn start(registry: &Registry) -> CancellationToken {
    let shutdown = CancellationToken::new();
    tokio::spawn(registry.clone().run(shutdown.clone()));
    shutdown
}

fn health(registry: &Registry, of: &Fake) -> Health {
    let statuses = registry.statuses(SERVICE);
    statuses.into_iter().find(|(instance, _)| **instance == of.instance).unwrap().1.health
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
    until("the other is healthy", || health(&registry, &good) == Health::Healthy).await;
    for _ in 0..10 {
        assert_eq!(pick(&registry), good.instance.port);
    }
    let listed = registry.list_healthy();
    assert_eq!(listed.iter().map(|listed| listed.port).collect::<Vec<_>>(), [good.instance.port]);
    bad.healthy.store(true, Ordering::SeqCst);
    until("picked again", || pick(&registry) == bad.instance.port).await;
    shutdown.cancel();
}

#[tokio::test]
async fn a_new_instance_is_checked_at_once() {
    let (first, second) = (fake().await, fake().await);
    let registry = checked_every(Duration::from_secs(3600), &[&first.instance]);
    let shutdown = start(&registry);
    until("the first is checked", || health(&registry, &first) == Health::Healthy).await;
    registry.register(second.instance.clone());
    until("the second is checked", || health(&registry, &second) == Health::Healthy).await;
    assert_eq!(first.probes.load(Ordering::SeqCst), 1);
    shutdown.cancel();
}

#[tokio::test]
async fn when_too_few_are_well_all_are_called() {
    let (good, bad, worse) = (fake().await, fake().await, fake().await);
    for fake in [&bad, &worse] {
        fake.healthy.store(false, Ordering::SeqCst);
    }
    let registry = checked_often(&[&good.instance, &bad.instance, &worse.instance]);
    let shutdown = start(&registry);
    let is_unhealthy = |fake| health(&registry, fake) == Health::Unhealthy;
    until("two are unhealthy", || is_unhealthy(&bad) && is_unhealthy(&worse)).await;
    let ports: BTreeSet<u16> = (0..3).map(|_| pick(&registry)).collect();
    assert_eq!(ports.len(), 3, "one of three is below the half that is needed");
    shutdown.cancel();
}

#[tokio::test]
async fn the_checks_end_with_their_token() {
    let registry = checked_often(&[]);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(registry.run(shutdown.clone()));
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
