//! No two overlays meet: what is deployed by one takes no messages, requests or names of another.
//!
//! An overlay that is made of another one brings everything of it along that it does not replace,
//! and nothing fails at once: two systems consume the same queues, each with a database of its own.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    OVERLAYS,
    objects::{Objects, items, name},
};

/// A host that stands in for one, and that no name server knows (RFC 2606).
const PLACEHOLDER: &str = ".invalid";

/// In the place of a value that no overlay gives.
const SILENT: &str = "as in config/";

/// What an overlay has to have for itself: what it is called, and each of it.
type Own = fn(&Objects) -> BTreeSet<String>;

const OWN: [(&str, Own); 6] = [
    ("broker and virtual host", broker),
    ("ingress host", ingress_hosts),
    ("environment", |objects| variable(objects, "ENVIRONMENT")),
    ("front end", |objects| variable(objects, "FRONT_END_URL")),
    ("mail sender", |objects| variable(objects, "MAIL_FROM")),
    ("namespace", namespaces),
];

/// All that two of these overlays have both, and hosts that were never filled in.
fn complaints(overlays: &[Objects]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, one) in overlays.iter().enumerate() {
        for other in &overlays[index + 1..] {
            for (what, own) in OWN {
                let shared: Vec<String> = own(one).intersection(&own(other)).cloned().collect();
                complaints.extend(shared.into_iter().map(|shared| {
                    format!("{} and {} share the {what} {shared}", one.overlay, other.overlay)
                }));
            }
        }
        // What `config/` says without a word of the overlay may be what another one says.
        let sender = variable(one, "MAIL_FROM");
        let is_silent = sender.contains(SILENT);
        complaints.extend(is_silent.then(|| format!("{} says no mail sender", one.overlay)));
        let hosts = ingress_hosts(one);
        let unfilled = hosts.iter().filter(|host| host.ends_with(PLACEHOLDER));
        complaints.extend(unfilled.map(|host| format!("{}: {host} is no host", one.overlay)));
    }
    complaints
}

/// Queues bear no name of an environment: on one broker, virtual hosts keep them apart.
fn broker(objects: &Objects) -> BTreeSet<String> {
    let all = |name| variable(objects, name).into_iter().collect::<Vec<_>>().join(", ");
    [format!("{} {}", all("RABBITMQ_HOST"), all("RABBITMQ_VHOST"))].into()
}

fn ingress_hosts(objects: &Objects) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for ingress in objects.of("Ingress") {
        let rules = items(&ingress["spec"]["rules"]);
        let tls = items(&ingress["spec"]["tls"]);
        // Without a host it is every host's.
        hosts.extend(rules.iter().map(|rule| rule["host"].as_str().unwrap_or("*").to_owned()));
        let named = tls.iter().flat_map(|tls| items(&tls["hosts"])).filter_map(Value::as_str);
        hosts.extend(named.map(str::to_owned));
    }
    hosts
}

fn namespaces(objects: &Objects) -> BTreeSet<String> {
    let all = objects.of("Deployment").map(|it| it["metadata"]["namespace"].as_str());
    all.map(|namespace| namespace.unwrap_or("default").to_owned()).collect()
}

/// What a variable is, in whatever a pod is told; what `config/` says where nobody says it.
fn variable(objects: &Objects, variable: &str) -> BTreeSet<String> {
    let told = objects.of("ConfigMap").filter(|map| name(map).starts_with("environment"));
    let told = told.map(|map| &map["data"][variable]);
    let own = objects.pods().flat_map(|(_, pod)| items(&pod["containers"]));
    let own = own.flat_map(|container| items(&container["env"]));
    let own = own.filter(|entry| entry["name"] == variable).map(|entry| &entry["value"]);
    let values: BTreeSet<String> =
        told.chain(own).filter_map(Value::as_str).map(str::to_owned).collect();
    if values.is_empty() { [SILENT.to_owned()].into() } else { values }
}

fn rendered() -> Vec<Objects> {
    OVERLAYS.map(Objects::render).into()
}

#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn no_two_overlays_share_what_each_has_to_have_for_itself() {
    let complaints = complaints(&rendered());
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn whatever_staging_takes_from_production_is_seen() {
    let overlays = rendered();
    let of = |overlay: &str| overlays.iter().find(|it| it.overlay == overlay).unwrap();
    let production = of("production");
    let planted = |staging: Objects| {
        let others = overlays.iter().filter(|it| it.overlay != "staging");
        complaints(&others.cloned().chain([staging]).collect::<Vec<_>>())
    };
    // What stands there in production, planted into staging.
    let taken = |objects: &Objects, (kind, name, place): (&str, &str, &str)| {
        let value = production.get(kind, name).pointer(place).unwrap().clone();
        objects.with(kind, name, place, value)
    };
    let host = ("ConfigMap", "environment", "/data/RABBITMQ_HOST");
    let virtual_host = ("ConfigMap", "environment", "/data/RABBITMQ_VHOST");
    let environment = ("ConfigMap", "environment", "/data/ENVIRONMENT");
    let sender = ("ConfigMap", "environment", "/data/MAIL_FROM");
    let front_end = ("ConfigMap", "environment", "/data/FRONT_END_URL");
    let mut seen = BTreeSet::new();
    for (places, what) in [
        (vec![host, virtual_host], "broker and virtual host"),
        (vec![("Ingress", "tusk", "/spec/rules/0/host")], "ingress host"),
        (vec![("Ingress", "tusk", "/spec/tls/0/hosts/0")], "ingress host"),
        (vec![environment], "environment"),
        (vec![front_end], "front end"),
        (vec![sender], "mail sender"),
        (vec![("Deployment", "user-service", "/metadata/namespace")], "namespace"),
    ] {
        let staging = places.iter().fold(of("staging").clone(), |it, place| taken(&it, *place));
        let found = planted(staging);
        let expected = format!("production and staging share the {what} ");
        assert!(found.iter().all(|line| line.starts_with(&expected)), "{places:?}: {found:#?}");
        assert_eq!(found.len(), 1, "{places:?}: {found:#?}");
        seen.insert(what);
    }
    assert_eq!(seen, OWN.iter().map(|(what, _)| *what).collect(), "nothing is planted for some");

    // One broker for both is allowed as long as the virtual hosts differ, and so is the reverse.
    for place in [host, virtual_host] {
        assert_eq!(planted(taken(of("staging"), place)), Vec::<String>::new());
    }
    let without = of("staging").with("ConfigMap", "environment", "/data/MAIL_FROM", Value::Null);
    let found = planted(without);
    assert_eq!(found, ["staging says no mail sender"]);
    let unfilled = json!("api.invalid");
    let unfilled = of("staging").with("Ingress", "tusk", "/spec/rules/0/host", unfilled);
    assert_eq!(planted(unfilled), ["staging: api.invalid is no host"]);
}
