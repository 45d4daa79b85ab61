//! The edges of the network, held to a reviewed file for each overlay. What they say now is written
//! there by `UPDATE_GOLDEN=1 cargo test -p dev --test kubernetes -- --ignored edges`.

#![allow(clippy::disallowed_methods, reason = "whether to write is no setting of a service")]

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use serde_json::Value;

use crate::{
    OVERLAYS,
    objects::{Objects, items, name},
    system::root,
};

fn file(overlay: &str) -> PathBuf {
    root().join(format!("dev/golden/network-{overlay}.txt"))
}

/// The edges that somebody has read.
pub(crate) fn reviewed(overlay: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(file(overlay)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A line for each direction that a policy closes, and for each edge that one opens:
/// `name=payment-service -> name=user-service :3001 (payment-service)`.
pub(crate) fn edges(objects: &Objects) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for policy in objects.of("NetworkPolicy") {
        let spec = &policy["spec"];
        let of = name(policy);
        let ours = pods(&spec["podSelector"]);
        for direction in items(&spec["policyTypes"]).iter().filter_map(Value::as_str) {
            lines.insert(format!("{ours} closed: {direction} ({of})"));
            let (rules, peers, arrow) = match direction {
                "Ingress" => ("ingress", "from", "<-"),
                _ => ("egress", "to", "->"),
            };
            for rule in items(&spec[rules]) {
                let ports = listed(&rule["ports"], port);
                for peer in listed(&rule[peers], peer) {
                    let edge =
                        ports.iter().map(|port| format!("{ours} {arrow} {peer} {port} ({of})"));
                    lines.extend(edge);
                }
            }
        }
    }
    lines
}

/// Each of a list in words. An empty list, or none, is everything.
fn listed(list: &Value, word: impl Fn(&Value) -> String) -> Vec<String> {
    match items(list) {
        [] => vec!["EVERYTHING".to_owned()],
        list => list.iter().map(word).collect(),
    }
}

fn port(port: &Value) -> String {
    let number = port["port"].to_string();
    let end = port["endPort"].as_u64().map(|end| format!("-{end}")).unwrap_or_default();
    format!(":{}{end} {}", number.trim_matches('"'), port["protocol"].as_str().unwrap_or("TCP"))
}

fn peer(peer: &Value) -> String {
    let block = &peer["ipBlock"];
    if !block.is_null() {
        let except: Vec<&str> = items(&block["except"]).iter().filter_map(Value::as_str).collect();
        let except = if except.is_empty() { String::new() } else { format!(" but {except:?}") };
        return format!("{}{except}", block["cidr"].as_str().unwrap_or_default());
    }
    let namespace = match &peer["namespaceSelector"] {
        Value::Null => String::new(),
        selector => format!("[{}] ", pods(selector)),
    };
    format!("{namespace}{}", pods(&peer["podSelector"]))
}

/// What is selected, by the last parts of its labels.
fn pods(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let words: Vec<String> = labels
        .map(|(key, value)| {
            let key = key.rsplit('/').next().unwrap_or_default();
            format!("{key}={}", value.as_str().unwrap_or_default())
        })
        .collect();
    let more = &selector["matchExpressions"];
    let more = if more.is_null() { String::new() } else { more.to_string() };
    if words.is_empty() && more.is_empty() { "all".to_owned() } else { words.join(",") + &more }
}

#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn edges_are_those_that_were_reviewed() {
    for overlay in OVERLAYS {
        let now = edges(&Objects::render(overlay));
        if env::var_os("UPDATE_GOLDEN").is_some() {
            let lines: Vec<&str> = now.iter().map(String::as_str).collect();
            fs::write(file(overlay), lines.join("\n") + "\n").unwrap();
        }
        assert_eq!(now, reviewed(overlay), "{overlay}");
    }
}
