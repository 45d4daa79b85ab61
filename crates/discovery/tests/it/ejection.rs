//! Outliers: instances whose calls fail are left alone for a while, but never too many of them.

use std::collections::BTreeSet;
use std::time::Duration;

use discovery::{
    Algorithm, EjectionReason, LoadBalancingSettings, Pick, PickOptions, Readiness, Registry,
    Report,
};
use resilience::Outcome;
use tokio::time::{Instant, advance};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{SERVICE, instance};

const EJECTION_TIME: Duration = Duration::from_secs(30);

fn settings() -> LoadBalancingSettings {
    LoadBalancingSettings {
        ejection_threshold: 3,
        ejection_time: EJECTION_TIME,
        ..LoadBalancingSettings::default()
    }
}

fn registry(settings: &LoadBalancingSettings, count: u16) -> Registry {
    let registry = Registry::new(settings);
    registry.replace(SERVICE, (1..=count).map(instance).collect());
    registry
}

fn any(registry: &Registry) -> Pick {
    registry.pick(SERVICE, &PickOptions::any()).unwrap()
}

fn port(picked: &Pick) -> u16 {
    picked.instance().port
}

/// Calls to these fail, to others succeed.
fn call_many(registry: &Registry, failing: &[u16], calls: usize) {
    for _ in 0..calls {
        let picked = any(registry);
        if failing.contains(&port(&picked)) { picked.failure() } else { picked.success() }
    }
}

fn picked(registry: &Registry) -> BTreeSet<u16> {
    (0..100).map(|_| port(&any(registry))).collect()
}

fn ejected(registry: &Registry) -> BTreeSet<u16> {
    let statuses = registry.statuses(SERVICE);
    let ejected = statuses.iter().filter(|(_, status)| status.ejected);
    ejected.map(|(instance, _)| instance.port).collect()
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_calls_fail_is_left_alone_and_comes_back_by_a_trial() {
    for algorithm in
        [Algorithm::RoundRobin, Algorithm::LeastConnections, Algorithm::IpHash, Algorithm::P2c]
    {
        let registry = registry(&LoadBalancingSettings { algorithm, ..settings() }, 2);
        // p2c would hardly go there again after the first failure.
        for _ in 0..10 {
            call_many(&registry, &[1], 10);
            if !ejected(&registry).is_empty() {
                break;
            }
            advance(Duration::from_secs(600)).await;
        }
        assert_eq!(ejected(&registry), BTreeSet::from([1]), "{algorithm:?}");
        assert_eq!(picked(&registry), BTreeSet::from([2]), "{algorithm:?}");
        advance(EJECTION_TIME).await;
        call_many(&registry, &[], 10);
        assert_eq!(ejected(&registry), BTreeSet::new(), "{algorithm:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_another_answer_outpaced_prolongs_the_ejection() {
    let registry = registry(&settings(), 2);
    call_many(&registry, &[1], 10);
    advance(EJECTION_TIME).await;
    let trial = any(&registry);
    assert_eq!(port(&trial), 1);
    trial.outpaced();
    assert_eq!(picked(&registry), BTreeSet::from([2]));
    let ejection = registry.balancer(SERVICE).reports()[0].ejection.unwrap();
    assert!(ejection.until > Instant::now());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_asks_for_less_is_no_worse_than_its_peers() {
    let (registry, _running) = comparing(&LoadBalancingSettings::default(), 4);
    call_for(20, &registry, async |picked| {
        if port(&picked) == 1 { picked.settle(Outcome::Throttled) } else { picked.success() }
    })
    .await;
    assert_eq!(ejected(&registry), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_zone_whose_only_instance_is_ejected_hands_its_calls_to_the_others() {
    for algorithm in [Algorithm::RoundRobin, Algorithm::IpHash] {
        let zone = "a".to_owned();
        let registry = Registry::new(&LoadBalancingSettings { zone, algorithm, ..settings() });
        registry.replace(SERVICE, vec![instance(1).zone("a"), instance(2).zone("b")]);
        assert_eq!(picked(&registry), BTreeSet::from([1]), "the own zone is enough");
        call_many(&registry, &[1], 3);
        assert_eq!(ejected(&registry), BTreeSet::from([1]));
        assert_eq!(picked(&registry), BTreeSet::from([2]), "{algorithm:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ejected_instance_that_its_provider_calls_ready_again_is_tried_at_once() {
    let registry = registry(&settings(), 2);
    call_many(&registry, &[1], 6);
    registry.register(instance(1).readiness(Readiness::NotReady));
    assert_eq!(picked(&registry), BTreeSet::from([2]));
    registry.register(instance(1).readiness(Readiness::Ready));
    call_many(&registry, &[], 10);
    assert_eq!(ejected(&registry), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn one_call_at_a_time_tries_and_one_that_is_given_up_lets_another_try() {
    let registry = registry(&settings(), 2);
    call_many(&registry, &[1], 6);
    advance(EJECTION_TIME).await;
    let trial = any(&registry);
    assert_eq!(port(&trial), 1);
    assert_eq!(picked(&registry), BTreeSet::from([2]));
    drop(trial);
    let trial = any(&registry);
    assert_eq!(port(&trial), 1);
    trial.failure();
    assert_eq!(picked(&registry), BTreeSet::from([2]), "left alone again");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_is_no_trial() {
    let registry = registry(&settings(), 3);
    call_many(&registry, &[1], 9);
    advance(EJECTION_TIME).await;
    let tried = [std::sync::Arc::new(instance(2))];
    for _ in 0..10 {
        let again = registry.pick(SERVICE, &PickOptions::any().avoid(&tried)).unwrap();
        assert_eq!(port(&again), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_begun_before_an_ejection_do_not_end_it() {
    let registry = registry(&settings(), 2);
    let early: Vec<_> = (0..20).map(|_| any(&registry)).collect();
    call_many(&registry, &[1], 6);
    assert_eq!(ejected(&registry), BTreeSet::from([1]));
    advance(EJECTION_TIME).await;
    early.into_iter().for_each(Pick::success);
    assert_eq!(ejected(&registry), BTreeSet::from([1]));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_largest_share_is_left_alone() {
    let registry = registry(&settings(), 4);
    call_many(&registry, &[1, 2, 3], 100);
    assert_eq!(ejected(&registry).len(), 2);
    assert_eq!(picked(&registry).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_only_instance_is_never_left_alone() {
    let registry = registry(&settings(), 1);
    call_many(&registry, &[1], 100);
    assert_eq!(ejected(&registry), BTreeSet::new());
    assert_eq!(picked(&registry), BTreeSet::from([1]));
}

#[tokio::test(start_paused = true)]
async fn when_too_few_are_left_all_are_called() {
    let lax = LoadBalancingSettings { ejection_percent_max: 100, ..settings() };
    let registry = registry(&lax, 4);
    call_many(&registry, &[1, 2, 3], 100);
    assert_eq!(ejected(&registry).len(), 3);
    assert_eq!(picked(&registry).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn refusals_in_between_keep_an_instance() {
    let registry = registry(&settings(), 2);
    for _ in 0..10 {
        call_many(&registry, &[1], 4);
        call_many(&registry, &[], 2);
    }
    assert_eq!(ejected(&registry), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_slow_start_begins_when_an_instance_is_ready_and_not_when_it_is_told() {
    let slow = LoadBalancingSettings { slow_start: Duration::from_secs(10), ..settings() };
    let registry = registry(&slow, 3);
    registry.register(instance(4).readiness(Readiness::NotReady));
    advance(Duration::from_secs(15)).await;
    registry.register(instance(4));
    let share = (0..3_000).filter(|_| port(&any(&registry)) == 4).count();
    assert!(share < 200, "{share} of 3,000 calls");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_new_or_comes_back_gets_a_growing_share() {
    let slow = LoadBalancingSettings { slow_start: Duration::from_secs(10), ..settings() };
    let registry = registry(&slow, 3);
    let share = |of: u16| (0..3_000).filter(|_| port(&any(&registry)) == of).count();
    assert_eq!(share(1), 1_000, "the first ones come together");

    registry.register(instance(4));
    let begin = share(4);
    assert!((1..200).contains(&begin), "{begin} of 3000");
    let others = [1, 2, 3].map(share);
    let least = others.iter().min().unwrap();
    let most = others.iter().max().unwrap();
    assert!(most - least < most / 10, "nobody takes over the part of the new one: {others:?}");
    advance(Duration::from_secs(5)).await;
    let middle = share(4);
    assert!((begin + 1..650).contains(&middle), "{middle} of 3000");
    advance(Duration::from_secs(5)).await;
    assert_eq!(share(4), 750);

    call_many(&registry, &[1], 12);
    advance(EJECTION_TIME).await;
    call_many(&registry, &[], 4);
    assert_eq!(ejected(&registry), BTreeSet::new());
    let back = share(1);
    assert!((1..200).contains(&back), "{back} of 3000");
}

/// What is said of each, by port: whether it is called, and in which words it is or is not.
fn said(registry: &Registry) -> Vec<(u16, bool, &'static str)> {
    let reports = registry.balancer(SERVICE).reports();
    let said =
        |report: &Report| (report.instance.port, report.is_called, report.eligibility.label());
    reports.iter().map(said).collect()
}

#[tokio::test(start_paused = true)]
async fn an_operator_sees_who_is_ejected_and_when_it_is_tried_again() {
    let registry = registry(&settings(), 2);
    assert_eq!(said(&registry), [(1, true, "eligible"), (2, true, "eligible")]);
    call_many(&registry, &[1], 6);
    assert_eq!(said(&registry), [(1, false, "ejected"), (2, true, "eligible")]);
    let ejection = registry.balancer(SERVICE).reports()[0].ejection.unwrap();
    assert_eq!(ejection.until, ejection.since + EJECTION_TIME);
    assert_eq!(ejection.reason, EjectionReason::FailuresInARow);
    advance(EJECTION_TIME).await;
    call_many(&registry, &[], 10);
    assert_eq!(said(&registry), [(1, true, "eligible"), (2, true, "eligible")]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_sees_who_is_about_to_go_not_ready_or_in_another_zone() {
    let zone = "b".to_owned();
    let registry = Registry::new(&LoadBalancingSettings { zone, ..settings() });
    let instances = [
        instance(1).zone("a"),
        instance(2).zone("b"),
        instance(3).readiness(Readiness::Draining),
        instance(4).readiness(Readiness::NotReady),
    ];
    registry.replace(SERVICE, instances.to_vec());
    let words = [
        (1, false, "other_zone"),
        (2, true, "eligible"),
        (3, false, "draining"),
        (4, false, "not_ready"),
    ];
    assert_eq!(said(&registry), words);
    registry.replace(SERVICE, instances[2..].to_vec());
    assert_eq!(said(&registry), [(3, true, "eligible"), (4, false, "not_ready")]);
}

/// A registry that compares its instances, until the guard is dropped.
fn comparing(settings: &LoadBalancingSettings, count: u16) -> (Registry, DropGuard) {
    let settings =
        LoadBalancingSettings { health_check_interval: Duration::ZERO, ..settings.clone() };
    let registry = registry(&settings, count);
    let shutdown = CancellationToken::new();
    tokio::spawn(registry.clone().run(shutdown.clone()));
    (registry, shutdown.drop_guard())
}

/// A hundred calls a second for so many seconds; each ends as `end` says.
async fn call_for(seconds: u64, registry: &Registry, mut end: impl AsyncFnMut(Pick)) {
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        end(any(registry)).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn reason(registry: &Registry, port: u16) -> Option<EjectionReason> {
    let reports = registry.balancer(SERVICE).reports();
    let report = reports.into_iter().find(|report| report.instance.port == port).unwrap();
    report.ejection.map(|ejection| ejection.reason)
}

/// Every third call of this instance fails, and of the others every `nth`.
async fn every_third_fails(registry: &Registry, seconds: u64, port: u16, nth: u32) {
    let mut counts = std::collections::BTreeMap::<u16, u32>::new();
    call_for(seconds, registry, async |picked| {
        let count = counts.entry(self::port(&picked)).or_default();
        *count += 1;
        let fails_each = if self::port(&picked) == port { 3 } else { nth };
        if count.is_multiple_of(fails_each) { picked.failure() } else { picked.success() }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_of_which_every_third_call_fails_is_ejected_within_ten_seconds() {
    for count in [2, 3, 8] {
        let (registry, _running) = comparing(&LoadBalancingSettings::default(), count);
        every_third_fails(&registry, 10, 1, u32::MAX).await;
        assert_eq!(reason(&registry, 1), Some(EjectionReason::SuccessRate), "one of {count}");
        assert_eq!(ejected(&registry), BTreeSet::from([1]));
        let told = registry.balancer(SERVICE).reports()[0].eligibility.to_string();
        assert_eq!(told, "it is ejected, since more of its calls fail than of the others'");
    }
}

#[tokio::test(start_paused = true)]
async fn no_instance_is_ejected_for_its_success_rate_when_all_fail_alike_or_it_is_off() {
    let off = LoadBalancingSettings { success_rate_margin: 0, ..LoadBalancingSettings::default() };
    for (settings, nth) in [(LoadBalancingSettings::default(), 3), (off, u32::MAX)] {
        let (registry, _running) = comparing(&settings, 3);
        every_third_fails(&registry, 60, 1, nth).await;
        assert_eq!(ejected(&registry), BTreeSet::new());
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_calls_are_outpaced_far_more_often_than_those_of_others_is_ejected() {
    let (registry, _running) = comparing(&LoadBalancingSettings::default(), 3);
    let mut count = 0;
    call_for(10, &registry, async |picked| {
        count += 1;
        let is_late = port(&picked) == 1 || count % 20 == 0;
        if is_late { picked.outpaced() } else { picked.success() }
    })
    .await;
    assert_eq!(ejected(&registry), BTreeSet::from([1]));
}

#[tokio::test(start_paused = true)]
async fn too_few_calls_say_nothing_of_the_success_rate() {
    let (registry, _running) = comparing(&LoadBalancingSettings::default(), 2);
    let calls = |failing: &[u16]| call_many(&registry, failing, 2);
    for _ in 0..9 {
        calls(&[1]);
        calls(&[]);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    assert_eq!(ejected(&registry), BTreeSet::new(), "nine of eighteen calls failed");
    calls(&[1]);
    calls(&[]);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(ejected(&registry), BTreeSet::from([1]), "ten of twenty did");
}

#[tokio::test(start_paused = true)]
async fn comparisons_eject_no_more_than_the_largest_share() {
    let (registry, _running) = comparing(&LoadBalancingSettings::default(), 5);
    call_for(60, &registry, async |picked| {
        let fails = port(&picked) <= 3 && fastrand::bool();
        if fails { picked.failure() } else { picked.success() }
    })
    .await;
    assert!(ejected(&registry).len() <= 2, "{:?}", ejected(&registry));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_far_slower_than_the_others_is_ejected_where_that_is_on() {
    for (algorithm, latency_factor) in
        [(Algorithm::RoundRobin, 3), (Algorithm::LeastConnections, 3), (Algorithm::RoundRobin, 0)]
    {
        let on =
            LoadBalancingSettings { algorithm, latency_factor, ..LoadBalancingSettings::default() };
        let (registry, _running) = comparing(&on, 3);
        // Which calls are measured is left to chance: some minutes have enough of them.
        let mut left = 60;
        while left > 0 && reason(&registry, 2).is_none() {
            left -= 1;
            call_for(5, &registry, async |picked| {
                let time = if port(&picked) == 2 { 100 } else { 10 };
                tokio::time::sleep(Duration::from_millis(time)).await;
                picked.success();
            })
            .await;
        }
        let expected = (latency_factor > 0).then_some(EjectionReason::Latency);
        assert_eq!(reason(&registry, 2), expected, "{algorithm:?}, {latency_factor}");
        assert!(!ejected(&registry).contains(&1) && !ejected(&registry).contains(&3));
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_ejected_again_and_again_stays_away_longer() {
    let registry = registry(&settings(), 2);
    let mut times = Vec::new();
    for _ in 0..3 {
        call_many(&registry, &[1], 20);
        let ejection = registry.balancer(SERVICE).reports()[0].ejection.unwrap();
        times.push(ejection.until - ejection.since);
        advance(ejection.until - Instant::now()).await;
        call_many(&registry, &[], 4);
        assert_eq!(ejected(&registry), BTreeSet::new());
    }
    assert_eq!(times, [1, 2, 3].map(|times| EJECTION_TIME * times));
}

/// How long the instance at port 1 is ejected, of which every third call fails.
async fn next_ejection(registry: &Registry) -> Duration {
    while reason(registry, 1).is_none() {
        every_third_fails(registry, 1, 1, u32::MAX).await;
    }
    let ejection = registry.balancer(SERVICE).reports()[0].ejection.unwrap();
    tokio::time::sleep_until(ejection.until).await;
    while reason(registry, 1).is_some() {
        any(registry).success();
    }
    ejection.until - ejection.since
}

#[tokio::test(start_paused = true)]
async fn time_in_which_an_instance_does_well_shortens_its_next_ejection() {
    let (registry, _running) = comparing(&settings(), 3);
    assert_eq!(next_ejection(&registry).await, EJECTION_TIME);
    assert_eq!(next_ejection(&registry).await, EJECTION_TIME * 2);
    every_third_fails(&registry, 180, 0, u32::MAX).await;
    assert_eq!(next_ejection(&registry).await, EJECTION_TIME);
}
