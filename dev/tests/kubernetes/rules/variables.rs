//! What a service is told by its environment.

use std::collections::BTreeSet;

use serde_json::Value;

use super::unless;
use crate::{
    objects::{Objects, items},
    system::System,
};

/// A name with a slip in it would change nothing, and nobody would know; one that is required and
/// missing would end the start.
pub(super) fn variables_are_read_by_somebody(objects: &Objects, system: &System) -> Vec<String> {
    let everywhere = objects.get("ConfigMap", "environment");
    let mut complaints = Vec::new();
    for service in &system.services {
        let name = &service.name;
        let container = &objects.pod(name)["containers"][0];
        let source = &container["envFrom"][0]["configMapRef"]["name"];
        complaints.extend(unless(*source == everywhere["metadata"]["name"], || {
            format!("{name} is not told what all are told")
        }));
        let own = items(&container["env"]).iter().filter_map(|variable| variable["name"].as_str());
        let shared = everywhere["data"].as_object().into_iter().flatten();
        let told: BTreeSet<&str> = own.chain(shared.map(|(name, _)| name.as_str())).collect();
        let is_read = |told: &str| {
            let plain = told.strip_suffix("_FILE").unwrap_or(told);
            told == "CONFIG_DIR" || system.variables.contains_key(plain)
        };
        let unread = told.iter().filter(|told| !is_read(told));
        complaints.extend(unread.map(|told| format!("{name}: nobody reads {told}")));
        // The secret of HS256, which other algorithms do not read.
        let algorithm = &everywhere["data"]["JWT_ALGORITHM"];
        let is_read = |name: &&str| *name != "JWT_SECRET" || algorithm.is_null();
        let missing = system.required(service).filter(is_read).filter(|required| {
            !told.contains(required) && !told.contains(format!("{required}_FILE").as_str())
        });
        complaints.extend(missing.map(|required| format!("{name}: {required} is not set")));
        complaints.extend(unless(*told_as(container, "SERVICE_NAME") == **name, || {
            format!("{name} goes by another name in traces")
        }));
    }
    complaints
}

fn told_as<'a>(container: &'a Value, name: &str) -> &'a Value {
    let found = items(&container["env"]).iter().find(|variable| variable["name"] == name);
    found.map_or(&Value::Null, |variable| &variable["value"])
}
