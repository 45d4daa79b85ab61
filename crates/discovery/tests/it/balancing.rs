//! How one of several is chosen: fairness, load, affinity, minimal movement.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use discovery::{Algorithm, LoadBalancingSettings, Pick, PickOptions, Registry};

use crate::support::{SERVICE, instance, pick};

fn registry(algorithm: Algorithm, ports: std::ops::RangeInclusive<u16>) -> Registry {
    let settings = LoadBalancingSettings { algorithm, ..LoadBalancingSettings::default() };
    let registry = Registry::new(&settings);
    registry.replace(SERVICE, ports.map(instance).collect());
    registry
}

fn any(registry: &Registry) -> Pick {
    registry.pick(SERVICE, &PickOptions::any()).unwrap()
}

fn port(picked: &Pick) -> u16 {
    picked.instance().port
}

/// Which instance each of many clients gets.
fn homes(registry: &Registry) -> BTreeMap<String, u16> {
    let client = |number: u32| format!("10.{}.{}.7", number / 250, number % 250);
    let home = |client: String| {
        let picked = registry.pick(SERVICE, &PickOptions::any().key(&client)).unwrap();
        (client, port(&picked))
    };
    (0..5_000).map(client).map(home).collect()
}

/// How often each is picked, calls ending at once.
fn counts(registry: &Registry, picks: usize) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    (0..picks).for_each(|_| *counts.entry(pick(registry)).or_default() += 1);
    counts
}

#[test]
fn round_robin_shares_evenly_under_concurrency() {
    let registry = registry(Algorithm::RoundRobin, 1..=4);
    let counts: [AtomicUsize; 4] = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    counts[usize::from(pick(&registry)) - 1].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1_000), "{counts:?}");
}

#[test]
fn round_robin_keeps_to_weights_and_spreads_them() {
    let registry = registry(Algorithm::RoundRobin, 1..=2);
    registry.register(instance(1).weight(2));
    registry.register(instance(2).weight(3));
    assert_eq!(counts(&registry, 500), BTreeMap::from([(1, 200), (2, 300)]));
    // The lighter one's turns stand apart.
    let picks: Vec<u16> = (0..20).map(|_| pick(&registry)).collect();
    assert!(picks.windows(2).all(|two| two != [1, 1]), "{picks:?}");
}

#[test]
fn weights_too_large_for_their_slots_keep_about_their_shares() {
    let registry = registry(Algorithm::RoundRobin, 1..=1);
    registry.register(instance(1).weight(1_000_003));
    registry.register(instance(2).weight(3_000_017));
    let counts = counts(&registry, 40_960);
    let share = f64::from(u32::try_from(counts[&1]).unwrap()) / 40_960.0;
    assert!((share - 0.25).abs() < 0.01, "{counts:?}");
}

#[test]
fn least_connections_goes_to_the_idle_one_and_takes_turns_when_all_are() {
    let registry = registry(Algorithm::LeastConnections, 1..=2);
    let picks = [(); 4].map(|()| pick(&registry));
    assert!([[1, 2, 1, 2], [2, 1, 2, 1]].contains(&picks), "{picks:?}");
    let busy = any(&registry);
    for _ in 0..10 {
        assert_ne!(pick(&registry), port(&busy));
    }
    let held: Vec<_> = (0..9).map(|_| any(&registry)).collect();
    let statuses = registry.statuses(SERVICE);
    assert!(statuses.iter().all(|(_, status)| status.in_flight == 5), "{statuses:?}");
    drop((busy, held));
    assert!(registry.statuses(SERVICE).iter().all(|(_, status)| status.in_flight == 0));
}

#[tokio::test(start_paused = true)]
async fn p2c_avoids_a_slow_instance_and_tries_it_again_later() {
    let registry = registry(Algorithm::P2c, 1..=2);
    for _ in 0..20 {
        let picked = any(&registry);
        let slow = if port(&picked) == 1 { 100 } else { 1 };
        tokio::time::advance(Duration::from_millis(slow)).await;
        picked.success();
    }
    assert_eq!(counts(&registry, 100), BTreeMap::from([(2, 100)]));
    // What was measured long ago counts less than what was measured just now.
    tokio::time::advance(Duration::from_secs(3600)).await;
    while registry.statuses(SERVICE)[1].1.in_flight == 0 {
        let picked = any(&registry);
        if port(&picked) == 1 {
            return;
        }
        tokio::time::advance(Duration::from_millis(1)).await;
        picked.success();
    }
}

#[tokio::test(start_paused = true)]
async fn p2c_avoids_an_instance_that_others_outpace() {
    let registry = registry(Algorithm::P2c, 1..=2);
    let mut outpaced = 0;
    for _ in 0..500 {
        let picked = any(&registry);
        if port(&picked) == 1 {
            tokio::time::advance(Duration::from_millis(400)).await;
            picked.outpaced();
            outpaced += 1;
        } else {
            tokio::time::advance(Duration::from_millis(10)).await;
            picked.success();
        }
    }
    assert!(outpaced < 50, "{outpaced} of 500 calls went to the slow one");
}

#[tokio::test(start_paused = true)]
async fn p2c_is_not_attracted_by_failing_fast() {
    let registry = registry(Algorithm::P2c, 1..=2);
    let mut failures = 0;
    for _ in 0..20 {
        let picked = any(&registry);
        if port(&picked) == 1 {
            failures += 1;
            picked.failure();
        } else {
            tokio::time::advance(Duration::from_millis(50)).await;
            picked.success();
        }
    }
    assert!(failures <= 1, "{failures}");
}

#[test]
fn a_key_keeps_its_instance() {
    let registry = registry(Algorithm::IpHash, 1..=10);
    assert_eq!(homes(&registry), homes(&registry));
    let homes = homes(&registry);
    for port in 1..=10 {
        let count = homes.values().filter(|home| **home == port).count();
        assert!((350..=650).contains(&count), "{port} has {count} of 5000");
    }
}

#[test]
fn an_instance_that_goes_moves_only_its_own_keys_and_gets_them_back() {
    let registry = registry(Algorithm::IpHash, 1..=10);
    let before = homes(&registry);
    registry.deregister(&instance(4));
    let without = homes(&registry);
    for (client, home) in &before {
        assert_eq!(*home == 4, without[client] != *home, "{client}");
    }
    registry.register(instance(4));
    assert_eq!(homes(&registry), before);
}

#[test]
fn heavier_instances_have_more_keys() {
    let registry = registry(Algorithm::IpHash, 1..=2);
    registry.register(instance(2).weight(3));
    let heavy = homes(&registry).values().filter(|home| **home == 2).count();
    assert!((3_500..=4_000).contains(&heavy), "{heavy} of 5000");
}

#[test]
fn an_instance_with_far_more_than_the_mean_is_passed_over() {
    let registry = registry(Algorithm::IpHash, 1..=10);
    let choice = PickOptions::any().key("10.0.0.1");
    let held: Vec<_> = (0..200).filter_map(|_| registry.pick(SERVICE, &choice)).collect();
    let max = registry.statuses(SERVICE).iter().map(|(_, status)| status.in_flight).max();
    // The mean is 20, and the bound 25; it is worked out now and then only.
    assert!(max.unwrap() <= 60, "{max:?}");
    drop(held);
    let home = port(&registry.pick(SERVICE, &choice).unwrap());
    assert!((0..50).all(|_| port(&registry.pick(SERVICE, &choice).unwrap()) == home));
}

#[test]
fn a_heavy_instance_keeps_its_keys_up_to_its_part_of_the_calls() {
    let registry = registry(Algorithm::IpHash, 1..=2);
    registry.register(instance(2).weight(9));
    let pick = |client: usize| {
        let key = format!("10.0.0.{client}");
        registry.pick(SERVICE, &PickOptions::any().key(&key))
    };
    let _held: Vec<_> = (0..400).filter_map(pick).collect();
    let heavy = registry.statuses(SERVICE)[1].1.in_flight;
    // Nine tenths; a bound by the mean of both would be at 250.
    assert!((330..=390).contains(&heavy), "{heavy} of 400");
}

#[test]
fn without_a_key_ip_hash_spreads() {
    let registry = registry(Algorithm::IpHash, 1..=4);
    assert!(counts(&registry, 1_000).values().all(|count| *count > 150));
}

#[test]
fn a_repeated_call_goes_elsewhere_while_there_is_an_elsewhere() {
    for algorithm in
        [Algorithm::RoundRobin, Algorithm::LeastConnections, Algorithm::IpHash, Algorithm::P2c]
    {
        let registry = registry(algorithm, 1..=3);
        for _ in 0..50 {
            let key = PickOptions::any().key("10.0.0.1");
            let first = registry.pick(SERVICE, &key).unwrap();
            let tried = [first.instance().clone()];
            let second = registry.pick(SERVICE, &key.avoid(&tried)).unwrap();
            assert_ne!(port(&first), port(&second), "{algorithm:?}");
            let tried = [tried[0].clone(), second.instance().clone()];
            let third = registry.pick(SERVICE, &key.avoid(&tried)).unwrap();
            assert!(![port(&first), port(&second)].contains(&port(&third)), "{algorithm:?}");
        }
        registry.replace(SERVICE, vec![instance(1)]);
        let only = any(&registry);
        let tried = [only.instance().clone()];
        assert!(registry.pick(SERVICE, &PickOptions::any().avoid(&tried)).is_some());
    }
}

#[test]
fn the_own_zone_is_preferred_while_it_has_its_part() {
    let settings =
        LoadBalancingSettings { zone: "a".to_owned(), ..LoadBalancingSettings::default() };
    let registry = Registry::new(&settings);
    let zoned = |port, zone: &str| instance(port).zone(zone);
    registry.replace(SERVICE, vec![zoned(1, "a"), zoned(2, "b"), zoned(3, "a"), zoned(4, "b")]);
    assert!((0..20).all(|_| pick(&registry) % 2 == 1));
    registry.deregister(&instance(1));
    registry.register(zoned(6, "b"));
    assert_eq!(counts(&registry, 400).len(), 4, "one of four is less than a half");
}

#[test]
fn a_repeated_call_finds_the_one_that_was_not_tried_beyond_those_that_are_preferred() {
    let settings =
        LoadBalancingSettings { zone: "a".to_owned(), ..LoadBalancingSettings::default() };
    let registry = Registry::new(&settings);
    let zoned = |port, zone: &str| instance(port).zone(zone);
    registry.replace(SERVICE, vec![zoned(1, "a"), zoned(2, "b"), zoned(3, "c")]);
    let first = any(&registry);
    assert_eq!(port(&first), 1, "the own zone is enough");
    let mut tried = vec![first.instance().clone()];
    for _ in 0..2 {
        let next = registry.pick(SERVICE, &PickOptions::any().avoid(&tried)).unwrap();
        assert!(tried.iter().all(|tried| tried.port != port(&next)), "{next:?}");
        tried.push(next.instance().clone());
    }
    assert!(registry.pick(SERVICE, &PickOptions::any().avoid(&tried)).is_some());
}

#[test]
fn callers_that_start_together_do_not_all_begin_with_the_same_instance() {
    for algorithm in [Algorithm::RoundRobin, Algorithm::LeastConnections] {
        let first = |_| pick(&registry(algorithm, 1..=8));
        let firsts: std::collections::BTreeSet<u16> = (0..40).map(first).collect();
        assert!(firsts.len() > 1, "{algorithm:?} begins with {firsts:?}");
    }
}

#[test]
fn a_zone_gets_calls_by_its_capacity_beside_its_callers() {
    let settings =
        LoadBalancingSettings { zone: "a".to_owned(), ..LoadBalancingSettings::default() };
    let registry = Registry::new(&settings);
    let zoned = |port, zone: &str| instance(port).zone(zone);
    // An eighth of the capacity of each other zone: what it cannot carry goes there, by what they have
    // to spare.
    let of = |zone, ports: std::ops::Range<u16>| ports.map(move |port| zoned(port, zone));
    registry
        .replace(SERVICE, of("a", 1..2).chain(of("b", 11..19)).chain(of("c", 21..25)).collect());
    // The even part of a zone is 13/3: `a` keeps 3/13 of its callers' calls, `b` has 11/3 to spare and
    // `c` nothing.
    let counts = counts(&registry, 13_000);
    assert!((2_800..=3_200).contains(&counts[&1]), "{counts:?}");
    assert!(counts.keys().all(|port| *port < 20), "{counts:?}");
    assert!(counts.iter().all(|(port, count)| *port == 1 || (1_150..=1_350).contains(count)));
}

fn subset(registry: &Registry) -> std::collections::BTreeSet<u16> {
    counts(registry, 1_000).into_keys().collect()
}

#[test]
fn of_more_instances_than_the_subset_each_process_calls_a_part_of_its_own() {
    for algorithm in
        [Algorithm::RoundRobin, Algorithm::LeastConnections, Algorithm::IpHash, Algorithm::P2c]
    {
        let settings =
            LoadBalancingSettings { algorithm, subset_size: 5, ..LoadBalancingSettings::default() };
        let callers: Vec<_> = (0..40).map(|_| Registry::new(&settings)).collect();
        let all = |registry: &Registry| registry.replace(SERVICE, (1..=20).map(instance).collect());
        callers.iter().for_each(all);
        let subsets: Vec<_> = callers.iter().map(subset).collect();
        assert!(subsets.iter().all(|subset| subset.len() == 5), "{algorithm:?}: {subsets:?}");
        let called: std::collections::BTreeSet<_> = subsets.iter().flatten().collect();
        assert_eq!(called.len(), 20, "all are called by somebody");

        // One that goes is replaced by one, and nothing else changes.
        let gone = *subsets[0].first().unwrap();
        callers[0].deregister(&instance(gone));
        let after = subset(&callers[0]);
        assert_eq!(after.intersection(&subsets[0]).count(), 4, "{algorithm:?}");
        assert_eq!(after.len(), 5, "{algorithm:?}");
    }
}

#[test]
fn up_to_the_size_of_the_subset_all_are_called() {
    let settings = LoadBalancingSettings { subset_size: 5, ..LoadBalancingSettings::default() };
    let registry = Registry::new(&settings);
    registry.replace(SERVICE, (1..=5).map(instance).collect());
    assert_eq!(subset(&registry).len(), 5);
}
