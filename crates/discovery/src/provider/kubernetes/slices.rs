//! The slices of one service, and the instances that they make together.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::provider::{ProviderError, Sink};
use crate::{Instance, Readiness};

/// The port that is called when a service has several.
const PORT_NAME: &str = "http";

/// The answer to a list.
#[derive(Debug, Deserialize)]
pub(super) struct List {
    metadata: Metadata,
    #[serde(default)]
    items: Vec<serde_json::Value>,
}

/// A line of a watch; which kind of object it has depends on its type.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    r#type: String,
    object: serde_json::Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    resource_version: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slice {
    #[serde(default)]
    metadata: Metadata,
    /// `null` where there are none.
    endpoints: Option<Vec<Endpoint>>,
    ports: Option<Vec<Port>>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
    zone: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Port {
    name: Option<String>,
    port: Option<u16>,
}

/// What an error event says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}

/// All slices of one service, by name.
#[derive(Debug)]
pub(super) struct Slices {
    version: String,
    slices: BTreeMap<String, Slice>,
}

impl From<List> for Slices {
    fn from(list: List) -> Self {
        let slices = list.items.into_iter().filter_map(Slice::read);
        let named = slices.map(|slice| (slice.metadata.name.clone(), slice));
        Self { version: list.metadata.resource_version, slices: named.collect() }
    }
}

impl Slices {
    /// The version to watch from.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Takes in an event; says whether it changed a slice.
    pub(super) fn apply(&mut self, event: Event) -> Result<bool, ProviderError> {
        if event.r#type == "ERROR" {
            let status: Status = serde_json::from_value(event.object).unwrap_or_default();
            return Err(ProviderError::Refused { status: status.code, text: status.message });
        }
        let metadata = Metadata::deserialize(&event.object["metadata"])
            .map_err(|error| ProviderError::Malformed(error.to_string()))?;
        self.version = metadata.resource_version;
        match event.r#type.as_str() {
            "ADDED" | "MODIFIED" => match Slice::read(event.object) {
                Some(slice) => drop(self.slices.insert(metadata.name, slice)),
                None => drop(self.slices.remove(&metadata.name)),
            },
            "DELETED" => drop(self.slices.remove(&metadata.name)),
            // A bookmark only moves the version.
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Each address once, in its best readiness.
    pub(super) fn instances(&self, sink: &Sink) -> Vec<Instance> {
        let mut all: BTreeMap<(String, u16), Instance> = BTreeMap::new();
        for slice in self.slices.values() {
            for instance in slice.instances(sink) {
                let address = (instance.host.clone(), instance.port);
                match all.get(&address) {
                    Some(known) if known.readiness <= instance.readiness => {}
                    _ => drop(all.insert(address, instance)),
                }
            }
        }
        all.into_values().collect()
    }
}

impl Slice {
    /// None for what is no slice, as with a port that is none: it must not hide the others.
    fn read(object: serde_json::Value) -> Option<Self> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let read = serde_json::from_value(object);
        read.inspect_err(|error| {
            tracing::warn!(kubernetes.slice = name, error = %error, "this slice cannot be read");
        })
        .ok()
    }

    fn instances(&self, sink: &Sink) -> Vec<Instance> {
        let (Some(endpoints), Some(port)) = (&self.endpoints, self.port()) else {
            return Vec::new();
        };
        // All addresses of one endpoint are the same pod: the first will do.
        let first = |endpoint: &Endpoint| {
            let host = endpoint.addresses.first()?;
            let mut instance = sink.instance(host, port).readiness(endpoint.conditions.readiness());
            instance.zone.clone_from(&endpoint.zone);
            Some(instance)
        };
        endpoints.iter().filter_map(first).collect()
    }

    /// The port named `http`, or the first.
    fn port(&self) -> Option<u16> {
        let ports = self.ports.as_ref()?;
        let named = ports.iter().find(|port| port.name.as_deref() == Some(PORT_NAME));
        named.or(ports.first())?.port
    }
}

impl Conditions {
    /// What is not said counts as ready (the type's documentation); one that is about to end but
    /// still serves is draining.
    fn readiness(&self) -> Readiness {
        match (self.ready, self.serving, self.terminating) {
            (Some(true) | None, _, None | Some(false)) => Readiness::Ready,
            (_, Some(true), Some(true)) => Readiness::Draining,
            _ => Readiness::NotReady,
        }
    }
}
