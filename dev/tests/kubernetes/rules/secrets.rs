//! Secrets: none is here, and each gets where it is read.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use super::unless;
use crate::{
    objects::{Objects, items, name},
    system::{self, System},
};

/// A file, not a variable: variables are inherited, and shown by more tools.
pub(super) fn secrets_are_files_from_secrets(objects: &Objects, system: &System) -> Vec<String> {
    let mut complaints: Vec<String> =
        objects.of("Secret").map(|secret| format!("{} is checked in", name(secret))).collect();
    for service in &system.services {
        let pod = objects.pod(&service.name);
        let paths = files(pod);
        let env = items(&pod["containers"][0]["env"]);
        for variable in env {
            let read = variable["name"].as_str().unwrap_or_default();
            let plain = system.variables.get(read).is_some_and(|found| found.secret);
            let plain = plain || !variable["valueFrom"]["secretKeyRef"].is_null();
            complaints.extend(unless(!plain, || format!("{}: {read} is no file", service.name)));
            let file = variable["value"].as_str().unwrap_or_default();
            let is_there = !read.ends_with("_FILE") || paths.contains(file);
            complaints
                .extend(unless(is_there, || format!("{}: nothing is at {file}", service.name)));
        }
    }
    complaints.extend(undocumented(objects, system));
    complaints
}

/// Where a pod's secrets are, as its container sees it.
fn files(pod: &Value) -> BTreeSet<String> {
    let mounts = items(&pod["containers"][0]["volumeMounts"]);
    let folder = |volume: &Value| mounts.iter().find(|mount| mount["name"] == volume["name"]);
    let mut files = BTreeSet::new();
    for volume in items(&pod["volumes"]) {
        let Some(folder) = folder(volume).and_then(|mount| mount["mountPath"].as_str()) else {
            continue;
        };
        for item in sources(volume).into_iter().flat_map(|(_, source)| items(&source["items"])) {
            files.insert(format!("{folder}/{}", item["path"].as_str().unwrap_or_default()));
        }
    }
    files
}

/// The Secrets of a volume, with their names.
fn sources(volume: &Value) -> Vec<(&str, &Value)> {
    let projected = items(&volume["projected"]["sources"]).iter().map(|source| &source["secret"]);
    let all = projected.chain([&volume["secret"]]);
    all.filter_map(|source| {
        let name = source["name"].as_str().or(source["secretName"].as_str())?;
        Some((name, source))
    })
    .collect()
}

/// Every Secret is one that k8s/README.md tells about, and secrets.sh makes those for development.
fn undocumented(objects: &Objects, system: &System) -> Vec<String> {
    let manual = system::text("k8s/README.md");
    let made = made();
    let mut complaints = BTreeSet::new();
    let volumes = objects.pods().flat_map(|(_, pod)| items(&pod["volumes"]));
    for (secret, source) in volumes.flat_map(sources) {
        let keys = items(&source["items"]).iter().filter_map(|item| item["key"].as_str());
        for key in keys {
            // What each service has of its own is told once.
            let mut names = system.services.iter().map(|service| format!("{}-", service.name));
            let general = names.find_map(|name| secret.strip_prefix(&name));
            let told = general.map_or(secret.to_owned(), |rest| format!("<service>-{rest}"));
            let line = format!("| `{told}` | `{key}` |");
            complaints
                .extend(unless(manual.contains(&line), || format!("k8s/README.md lacks {line}")));
            let is_made = objects.overlay != "dev" || made.contains(&format!("{secret} {key}"));
            complaints.extend(unless(is_made, || format!("secrets.sh makes no {key} of {secret}")));
        }
    }
    complaints.into_iter().collect()
}

/// What secrets.sh makes, as `<name> <key>`.
fn made() -> BTreeSet<String> {
    let script = system::root().join("k8s/overlays/dev/secrets.sh");
    let output = Command::new("sh").arg(script).output().unwrap();
    assert!(output.status.success(), "secrets.sh failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let secrets: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let keys = |secret: &Value| {
        let keys = secret["stringData"].as_object().unwrap().keys();
        keys.map(|key| format!("{} {key}", name(secret))).collect::<Vec<_>>()
    };
    secrets.iter().flat_map(keys).collect()
}
