//! What an overlay renders to.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::system::root;

/// The objects of one overlay.
#[derive(Clone)]
pub(crate) struct Objects {
    pub(crate) overlay: String,
    all: Vec<Value>,
}

impl Objects {
    pub(crate) fn render(overlay: &str) -> Self {
        Self::render_at(&root(), overlay)
    }

    /// From a workspace's root.
    pub(crate) fn render_at(root: &Path, overlay: &str) -> Self {
        let folder = format!("k8s/overlays/{overlay}");
        let mut command = Command::new("kubectl");
        let output = command.args(["kustomize", &folder]).current_dir(root).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl kustomize {folder}: {errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        Self { overlay: overlay.to_owned(), all: serde_saphyr::from_multiple(&text).unwrap() }
    }

    /// A copy in which one value of one object, found by a JSON pointer, is another; null takes it
    /// away.
    pub(crate) fn with(&self, kind: &str, name: &str, pointer: &str, value: Value) -> Self {
        let mut copy = self.clone();
        let object = copy.all.iter_mut().find(|object| is(object, kind, name));
        let object = object.unwrap_or_else(|| panic!("there is no {kind} {name}"));
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent);
        let parent = parent.unwrap_or_else(|| panic!("{kind} {name} has no {pointer}"));
        match (parent, value) {
            (Value::Object(map), Value::Null) => drop(map.remove(key).unwrap()),
            (Value::Object(map), value) => drop(map.insert(key.to_owned(), value)),
            (Value::Array(list), Value::Null) => drop(list.remove(key.parse().unwrap())),
            (Value::Array(list), value) => list[key.parse::<usize>().unwrap()] = value,
            (other, _) => panic!("{pointer} is in {other}"),
        }
        copy
    }

    /// A copy without one object.
    pub(crate) fn without(&self, kind: &str, name: &str) -> Self {
        let mut copy = self.clone();
        copy.all.retain(|object| !is(object, kind, name));
        assert_eq!(copy.all.len() + 1, self.all.len(), "there is no {kind} {name}");
        copy
    }

    pub(crate) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.all.iter().filter(move |object| object["kind"] == kind)
    }

    /// The object, or null.
    pub(crate) fn get(&self, kind: &str, name: &str) -> &Value {
        self.all.iter().find(|object| is(object, kind, name)).unwrap_or(&Value::Null)
    }

    /// The pods that run, with the names of what makes them.
    pub(crate) fn pods(&self) -> impl Iterator<Item = (&str, &Value)> {
        let makers = self.of("Deployment").chain(self.of("StatefulSet"));
        makers.map(|maker| (name(maker), &maker["spec"]["template"]["spec"]))
    }

    /// The pod of a service, or null.
    pub(crate) fn pod(&self, service: &str) -> &Value {
        &self.get("Deployment", service)["spec"]["template"]["spec"]
    }
}

/// A `ConfigMap` goes by the name that it has without the hash behind it; without a name, the first
/// of its kind is meant.
fn is(object: &Value, kind: &str, expected: &str) -> bool {
    let generated = || name(object).rsplit_once('-').map(|(name, _)| name);
    object["kind"] == kind
        && (expected.is_empty()
            || name(object) == expected
            || kind == "ConfigMap" && generated() == Some(expected))
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The items of a list; none where there is no list.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Whether an object with these labels is selected. No selector selects nothing.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object();
    wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
}
