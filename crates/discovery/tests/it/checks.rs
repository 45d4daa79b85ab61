//! Active checks over real HTTP servers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::any;
use discovery::{Health, Instance, LoadBalancingSettings, Readiness, Registry};
use tokio_util::sync::CancellationToken;
use tusk_config::HttpRequest;

use crate::support::{SERVICE, pick, until};

/// A service whose health the test sets.
struct Fake {
    instance: Instance,
    healthy: Arc<AtomicBool>,
    probes: Arc<AtomicUsize>,
    gate: Arc<tokio::sync::RwLock<()>>,
}

impl Fake {
    /// Checks get no answer until this is dropped.
    async fn hold(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        self.gate.clone().write_owned().await
    }
}

async fn fake() -> Fake {
    let healthy = Arc::new(AtomicBool::new(true));
    let probes = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(tokio::sync::RwLock::new(()));
    let state = healthy.clone();
    let count = probes.clone();
    let open = gate.clone();
    let answer = move |method: Method| {
        count.fetch_add(1, Ordering::SeqCst);
        let state = state.clone();
        let open = open.clone();
        async move {
            // What is held back was judged before.
            let healthy = state.load(Ordering::SeqCst) && method == Method::OPTIONS;
            let _open = open.read().await;
            if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/health", any(answer));
    tokio::spawn(async { axum::serve(listener, router).await });
    // Not the usual method: that of the descriptor is used.
    let url = format!("http://127.0.0.1:{port}/health");
    let request = HttpRequest { method: "OPTIONS".to_owned(), url };
    let instance = Instance::new(SERVICE, "127.0.0.1", port).health_check(request);
    Fake { instance, healthy, probes, gate }
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
    statuses.into_iter().find(|(instance, _)| instance.is_same(&of.instance)).unwrap().1.health
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
    let good = fake().await;
    let bad = fake().await;
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
    let first = fake().await;
    let second = fake().await;
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
    let good = fake().await;
    let bad = fake().await;
    let worse = fake().await;
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

/// An instance that was told as not ready, whose first check the test lets end.
async fn reported_ready_during(is_under_way: bool) {
    let good = fake().await;
    let late = fake().await;
    late.healthy.store(false, Ordering::SeqCst);
    let hour = Duration::from_secs(3600);
    let registry = Registry::new(&LoadBalancingSettings {
        health_check_interval: hour,
        recheck_interval: if is_under_way { Duration::from_secs(1) } else { hour },
        ..LoadBalancingSettings::default()
    });
    registry.register(good.instance.clone());
    let shutdown = start(&registry);
    until("healthy", || health(&registry, &good) == Health::Healthy).await;
    let held = late.hold().await;
    registry.register(late.instance.clone().readiness(Readiness::NotReady));
    until("a check", || late.probes.load(Ordering::SeqCst) == 1).await;
    let held = if is_under_way {
        Some(held)
    } else {
        drop(held);
        let is_checked = || registry.statuses(SERVICE)[1].1.last_check.is_some();
        until("the check failed", is_checked).await;
        None
    };
    late.healthy.store(true, Ordering::SeqCst);
    registry.register(late.instance.clone());
    drop(held);
    until("the late one is picked", || pick(&registry) == late.instance.port).await;
    shutdown.cancel();
}

#[tokio::test]
async fn the_result_of_a_check_counts_though_the_instance_was_reported_again_meanwhile() {
    reported_ready_during(true).await;
}

#[tokio::test]
async fn an_instance_that_is_told_ready_is_checked_at_once_whatever_its_last_check_said() {
    reported_ready_during(false).await;
}

#[tokio::test]
async fn the_checks_end_with_their_token() {
    let registry = checked_often(&[]);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(registry.run(shutdown.clone()));
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
