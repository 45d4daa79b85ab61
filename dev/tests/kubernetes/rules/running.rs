//! How a service's pods start, are asked, are spread, and leave.

use std::time::Duration;

use serde_json::{Value, json};

use super::unless;
use crate::{
    objects::{Objects, items},
    system::{Service, System},
};

/// What is spared between the end of a service's own grace period and the kill.
const SPARE: Duration = Duration::from_secs(5);
/// How long a start may take at least, so that a migration of a large table is not cut off.
const MIGRATION_LIMIT: u64 = 300;

/// A complaint for each service of which something is not so.
fn each_service(system: &System, what: &str, is_right: impl Fn(&Service) -> bool) -> Vec<String> {
    let wrong = system.services.iter().filter(|service| !is_right(service));
    wrong.map(|service| format!("{}: {what}", service.name)).collect()
}

fn container<'a>(objects: &'a Objects, service: &Service) -> &'a Value {
    &objects.pod(&service.name)["containers"][0]
}

/// A server that is away is no reason to kill a process, and one that drains is alive.
pub(super) fn probes_ask_what_was_decided(objects: &Objects, system: &System) -> Vec<String> {
    let probes =
        [("startupProbe", "/live"), ("livenessProbe", "/live"), ("readinessProbe", "/ready")];
    let complaints = probes.iter().flat_map(|(probe, path)| {
        each_service(system, &format!("its {probe} does not ask {path}"), |service| {
            let asked = &container(objects, service)[probe]["httpGet"];
            *asked == json!({ "path": path, "port": "http" })
        })
    });
    complaints.collect()
}

/// Services migrate their database before they open their port.
pub(super) fn a_start_may_take_its_migrations(objects: &Objects, system: &System) -> Vec<String> {
    each_service(system, "its start is cut off too early for migrations", |service| {
        let probe = &container(objects, service)["startupProbe"];
        let number = |key: &str| probe[key].as_u64().unwrap_or_default();
        number("periodSeconds") * number("failureThreshold") >= MIGRATION_LIMIT
    })
}

/// Callers look for instances once in a while: until they have, the pod works on. All that and the
/// service's grace period has to fit into the pod's.
pub(super) fn a_pod_leaves_before_it_ends(objects: &Objects, system: &System) -> Vec<String> {
    let refresh = &objects.get("ConfigMap", "environment")["data"]["SERVICE_DISCOVERY_REFRESH"];
    let refresh = refresh.as_str().and_then(|seconds| seconds.parse().ok()).unwrap_or(30);
    each_service(
        system,
        "it ends before all callers know, or is killed before it ends",
        |service| {
            let sleep = &container(objects, service)["lifecycle"]["preStop"]["sleep"]["seconds"];
            let sleep = Duration::from_secs(sleep.as_u64().unwrap_or_default());
            let limit = &objects.pod(&service.name)["terminationGracePeriodSeconds"];
            let limit = Duration::from_secs(limit.as_u64().unwrap_or(30));
            sleep > Duration::from_secs(refresh) && sleep + service.grace_period + SPARE <= limit
        },
    )
}

/// One node or zone that is lost does not take all of them.
pub(super) fn replicas_are_spread(objects: &Objects, system: &System) -> Vec<String> {
    let keys = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];
    let complaints = keys.iter().flat_map(|key| {
        each_service(system, &format!("it is not spread over {key}"), |service| {
            let deployment = &objects.get("Deployment", &service.name)["spec"]["template"];
            let constraints = items(&deployment["spec"]["topologySpreadConstraints"]);
            constraints.iter().any(|constraint| {
                let compared = items(&constraint["matchLabelKeys"]);
                constraint["topologyKey"] == *key
                    && compared.contains(&json!("app.kubernetes.io/name"))
            })
        })
    });
    complaints.collect()
}

pub(super) fn a_rollout_takes_nothing_away(objects: &Objects, system: &System) -> Vec<String> {
    let complaints = system.services.iter().filter_map(|Service { name, .. }| {
        let strategy = &objects.get("Deployment", name)["spec"]["strategy"];
        unless(strategy["rollingUpdate"]["maxUnavailable"] == 0, || {
            format!("{name}: a rollout takes a replica before there is another")
        })
    });
    complaints.collect()
}
