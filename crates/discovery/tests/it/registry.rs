//! What callers of the registry see of its instances.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use discovery::{
    Address, Discovery, DiscoverySettings, LoadBalancingSettings, PickOptions, Readiness, Registry,
    Services, SetupError,
};

use crate::support::{SERVICE, instance, pick, rebuilds, services};

#[test]
fn removing_an_instance_in_the_middle_never_yields_none() {
    let registry = Registry::empty();
    let all: Vec<_> = (1..=3).map(instance).collect();
    all.iter().cloned().for_each(|instance| registry.register(instance));
    pick(&registry);
    pick(&registry);
    registry.deregister(&all[2]);
    registry.deregister(&all[0]);
    for _ in 0..5 {
        assert_eq!(pick(&registry), 2);
    }
    registry.deregister(&all[1]);
    assert!(registry.pick(SERVICE, &PickOptions::any()).is_none());
}

#[test]
fn picks_never_fail_while_others_change_the_set() {
    let registry = Registry::empty();
    registry.register(instance(1));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..2_000_u16 {
                registry.register(instance(2 + round % 7));
                registry.deregister(&instance(2 + (round + 3) % 7));
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            assert!(registry.pick(SERVICE, &PickOptions::any()).is_some());
        }
    });
}

#[test]
fn while_none_is_known_to_be_well_unknown_ones_are_picked_but_not_listed() {
    let registry = Registry::empty();
    registry.register(instance(1));
    assert_eq!(pick(&registry), 1);
    assert_eq!(registry.get(SERVICE), None);
    assert!(registry.list_healthy().is_empty());
    assert!(registry.pick("no-such-service", &PickOptions::any()).is_none());
}

#[test]
fn registering_twice_is_registering_once() {
    let registry = Registry::empty();
    (0..2).for_each(|_| registry.register(instance(1)));
    assert_eq!(registry.statuses(SERVICE).len(), 1);
}

#[test]
fn a_draining_instance_gets_new_calls_only_when_it_is_alone() {
    let registry = Registry::empty();
    registry.replace(SERVICE, vec![instance(1).readiness(Readiness::Draining), instance(2)]);
    assert!((0..10).all(|_| pick(&registry) == 2));
    registry.deregister(&instance(2));
    assert_eq!(pick(&registry), 1);
}

#[test]
fn one_that_its_provider_calls_unwell_is_the_last_choice() {
    let registry = Registry::empty();
    let unwell = instance(1).readiness(Readiness::NotReady);
    registry.replace(SERVICE, vec![unwell, instance(2).readiness(Readiness::Draining)]);
    assert!((0..10).all(|_| pick(&registry) == 2));
    registry.deregister(&instance(2));
    assert_eq!(pick(&registry), 1);
}

#[test]
fn what_is_said_anew_of_an_instance_keeps_what_is_known_of_it() {
    let registry = Registry::empty();
    registry.register(instance(1));
    let picked = registry.pick(SERVICE, &PickOptions::any()).unwrap();
    registry.register(instance(1));
    assert_eq!(registry.statuses(SERVICE)[0].1.in_flight, 1);
    drop(picked);
    assert_eq!(registry.statuses(SERVICE)[0].1.in_flight, 0);
    registry.register(instance(1).weight(3));
    assert_eq!(registry.statuses(SERVICE)[0].0.weight, 3);
}

/// The instances that `services.tsk` names.
fn named(services: &Services) -> Registry {
    let (settings, balancing) = (DiscoverySettings::default(), LoadBalancingSettings::default());
    Discovery::new(&settings, services, &balancing, &[SERVICE]).unwrap().registry()
}

#[test]
fn several_instances_of_a_section_are_each_asked_at_their_own_address() {
    let mut services = services("localhost", 3001);
    let section = services.get_mut(SERVICE).unwrap();
    section.health_check.method = "HEAD".to_owned();
    section.instances = ["10.0.0.1:3001", "10.0.0.2:4001", "[::1]:5001"].map(address).into();
    let registry = named(&services);
    let statuses = registry.statuses(SERVICE);
    let urls: Vec<_> = statuses.iter().map(|(instance, _)| &*instance.health_check.url).collect();
    let expected = ["10.0.0.1:3001", "10.0.0.2:4001", "[::1]:5001"];
    assert_eq!(urls, expected.map(|address| format!("http://{address}/health")));
    assert!(statuses.iter().all(|(instance, _)| instance.health_check.method == "HEAD"));
    assert_eq!(statuses[2].0.base_url(), "http://[::1]:5001");
}

#[test]
fn a_health_check_follows_its_instance_whatever_its_url_is_written_like() {
    for (health_check, port, expected) in [
        ("http://localhost:3001/health", 3001, "http://10.0.0.1:4001/health"),
        // The port of its scheme, which need not be written.
        ("http://localhost/health?deep=1", 80, "http://10.0.0.1:4001/health?deep=1"),
        ("http://LOCALHOST:3001/health", 3001, "http://10.0.0.1:4001/health"),
        // A port of its own, which all instances have.
        ("http://localhost:9001/health", 3001, "http://10.0.0.1:9001/health"),
    ] {
        let mut services = services("localhost", port);
        let section = services.get_mut(SERVICE).unwrap();
        section.health_check.url = health_check.to_owned();
        section.instances = vec![address("10.0.0.1:4001")];
        let registry = named(&services);
        let statuses = registry.statuses(SERVICE);
        assert_eq!(statuses[0].0.health_check.url, expected, "{health_check}");
    }
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

#[test]
fn static_instances_are_there_before_anything_runs() {
    let (settings, balancing) = (DiscoverySettings::default(), LoadBalancingSettings::default());
    let services = services("localhost", 3001);
    let discovery = Discovery::new(&settings, &services, &balancing, &[SERVICE]).unwrap();
    assert_eq!(pick(&discovery.registry()), 3001);
}

#[test]
fn a_called_service_without_a_section_is_a_fault_at_start() {
    let (settings, balancing) = (DiscoverySettings::default(), LoadBalancingSettings::default());
    let unknown = Discovery::new(&settings, &BTreeMap::new(), &balancing, &[SERVICE]);
    assert!(matches!(unknown, Err(SetupError::UnknownService(name)) if name == SERVICE));
}

#[test]
fn the_token_of_a_provider_shows_nowhere() {
    let settings =
        DiscoverySettings { consul_token: "very-secret".into(), ..DiscoverySettings::default() };
    assert!(!format!("{settings:?}").contains("very-secret"));
}

#[test]
fn a_registry_that_repeats_itself_changes_nothing() {
    let registry = Registry::empty();
    let all: Vec<_> = (1..=3).map(instance).collect();
    registry.replace(SERVICE, all.clone());
    let before = rebuilds();
    let known = registry.statuses(SERVICE);
    for round in 0..10_000 {
        let mut again = all.clone();
        // In another order, as some registries answer.
        again.rotate_left(round % 3);
        registry.replace(SERVICE, again);
        registry.register(all[round % 3].clone());
    }
    assert_eq!(rebuilds(), before);
    for ((before, _), (after, _)) in known.iter().zip(registry.statuses(SERVICE)) {
        assert!(std::sync::Arc::ptr_eq(before, &after), "{before:?} was made anew");
    }
    registry.replace(SERVICE, all[1..].to_vec());
    assert_eq!(rebuilds(), before + 1, "what changes is seen");
}
