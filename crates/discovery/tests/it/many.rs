//! Thousands of endpoints: what one of them costs must not grow with the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use discovery::{Algorithm, Instance, LoadBalancingSettings, PickOptions, Registry};
use tokio_util::sync::CancellationToken;

use crate::support::{SERVICE, rebuilds, until};

const COUNT: u16 = 5_000;

fn of(number: u16) -> Instance {
    Instance::new(SERVICE, &format!("127.1.{}.{}", number / 250, number % 250), 3001)
}

fn registry(count: u16, settings: &LoadBalancingSettings) -> Registry {
    let registry = Registry::new(settings);
    registry.replace(SERVICE, (0..count).map(of).collect());
    registry
}

/// Tasks of one thread: checks that end while another is taken in are taken in together.
#[tokio::test]
async fn checks_that_end_together_make_one_set() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/health", get(async || ""));
    tokio::spawn(async { axum::serve(listener, router).await });
    let registry = Registry::new(&LoadBalancingSettings::default());
    let many = 1_000;
    let at = |number: u16| Instance::new(SERVICE, &of(number).host, port);
    registry.replace(SERVICE, (0..many).map(at).collect());
    let before = rebuilds();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(registry.clone().run(shutdown.clone()));
    until("all are healthy", || registry.list_healthy().len() == usize::from(many)).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
    let rebuilds = rebuilds() - before;
    assert!(rebuilds <= u64::from(many) / 2, "{rebuilds}");
}

#[tokio::test(start_paused = true)]
async fn one_outlier_of_thousands_is_found() {
    let registry = registry(
        COUNT,
        &LoadBalancingSettings {
            health_check_interval: Duration::ZERO,
            outlier_minimum_calls: 10,
            ejection_threshold: 1_000,
            ..LoadBalancingSettings::default()
        },
    );
    let bad = of(1234);
    for _ in 0..10 * COUNT {
        let picked = registry.pick(SERVICE, &PickOptions::any()).unwrap();
        if picked.instance().is_same(&bad) { picked.failure() } else { picked.success() }
    }
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(registry.clone().run(shutdown.clone()));
    tokio::time::sleep(LoadBalancingSettings::default().outlier_interval * 3 / 2).await;
    let statuses = registry.statuses(SERVICE);
    let ejected: Vec<_> = statuses.iter().filter(|(_, status)| status.ejected).collect();
    assert_eq!(ejected.len(), 1);
    assert!(ejected[0].0.is_same(&bad));
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

/// Who has the calls of each of many clients.
fn homes(registry: &Registry) -> BTreeMap<String, String> {
    let home = |client: u32| {
        let client = format!("10.0.{}.{}", client / 250, client % 250);
        let picked = registry.pick(SERVICE, &PickOptions::any().key(&client)).unwrap();
        let host = picked.instance().host.clone();
        (client, host)
    };
    (0..20_000).map(home).collect()
}

#[test]
fn of_thousands_one_that_comes_or_goes_moves_only_its_own_keys() {
    let algorithm = Algorithm::IpHash;
    let registry = registry(2_000, &LoadBalancingSettings { algorithm, ..Default::default() });
    let before = homes(&registry);
    let called: BTreeSet<&String> = before.values().collect();
    let gone = of((0..2_000).find(|number| called.contains(&of(*number).host)).unwrap());
    registry.deregister(&gone);
    let without = homes(&registry);
    for (client, home) in &before {
        assert_eq!(*home == gone.host, without[client] != *home, "{client}");
    }
    registry.register(gone);
    assert_eq!(homes(&registry), before);
}

/// The zones that a process calls, and how many endpoints.
fn called(registry: &Registry) -> (BTreeSet<String>, usize) {
    let picks = (0..500).map(|_| {
        let picked = registry.pick(SERVICE, &PickOptions::any()).unwrap();
        picked.instance().clone()
    });
    let called: Vec<_> = picks.collect();
    let zones = called.iter().filter_map(|instance| instance.zone.clone()).collect();
    (zones, called.iter().map(|instance| &instance.host).collect::<BTreeSet<_>>().len())
}

#[test]
fn a_subset_has_its_part_of_each_zone_so_that_calls_stay_at_home() {
    let settings = LoadBalancingSettings {
        subset_size: 9,
        zone: "a".to_owned(),
        ..LoadBalancingSettings::default()
    };
    let zone = |number: u16| ["a", "b", "c"][usize::from(number % 3)];
    let all = || (0..60).map(|number| of(number).zone(zone(number)));
    for _ in 0..50 {
        let registry = Registry::new(&settings);
        registry.replace(SERVICE, all().collect());
        assert_eq!(called(&registry), (BTreeSet::from(["a".to_owned()]), 3));
        // The others of the subset take over when nobody is left at home.
        let elsewhere = all().filter(|instance| instance.zone.as_deref() != Some("a"));
        registry.replace(SERVICE, elsewhere.collect());
        let (zones, count) = called(&registry);
        assert_eq!((zones.len(), count), (2, 9));
    }
}

#[test]
fn a_zone_with_less_than_its_part_keeps_what_it_can_carry_in_a_subset_too() {
    let settings = LoadBalancingSettings {
        subset_size: 10,
        zone: "a".to_owned(),
        ..LoadBalancingSettings::default()
    };
    let registry = Registry::new(&settings);
    // A fifth where a half would be even: it keeps two fifths of its callers' calls.
    let zone = |number: u16| if number < 20 { "a" } else { "b" };
    registry.replace(SERVICE, (0..100).map(|number| of(number).zone(zone(number))).collect());
    let picks = (0..1_000).map(|_| registry.pick(SERVICE, &PickOptions::any()).unwrap());
    let at_home = picks.filter(|it| it.instance().zone.as_deref() == Some("a")).count();
    assert!((350..=450).contains(&at_home), "{at_home} of 1000");
}

#[test]
fn what_operators_are_shown_of_thousands_says_of_each_whether_it_is_called() {
    let registry =
        registry(COUNT, &LoadBalancingSettings { subset_size: 50, ..Default::default() });
    let reports = registry.balancer(SERVICE).reports();
    assert_eq!(reports.len(), usize::from(COUNT));
    assert_eq!(reports.iter().filter(|report| report.is_called).count(), 50);
}
