//! What leaves a pod is encrypted, and who verifies tokens cannot sign them. Not in development, whose
//! servers are made up with the overlay.

use serde_json::Value;

use super::unless;
use crate::{
    objects::{Objects, items, name},
    system::System,
};

/// The overlay for trying things.
const DEVELOPMENT: &str = "dev";
/// The service that signs.
const ISSUER: &str = "user-service";
/// The port of AMQP without TLS.
const AMQP: u64 = 5672;

/// What the overlay says of each server. The addresses of Redis and of the mail server are in Secrets: a
/// service refuses those without TLS at its start, in each environment of `TLS_REQUIRED_IN`.
pub(super) fn servers_are_spoken_to_over_tls(objects: &Objects, system: &System) -> Vec<String> {
    if objects.overlay == DEVELOPMENT {
        return Vec::new();
    }
    let told = &objects.get("ConfigMap", "environment")["data"];
    let is = |variable: &str, value: &str| {
        unless(told[variable] == value, || format!("{variable} is {}, not {value}", told[variable]))
    };
    let mut complaints = Vec::new();
    complaints.extend(is("DB_SSLMODE", "verify-full"));
    complaints.extend(is("RABBITMQ_TLS", "true"));
    let endpoint = told["TRACING_ENDPOINT"].as_str().unwrap_or_default();
    complaints.extend(unless(endpoint.starts_with("https://"), || {
        format!("TRACING_ENDPOINT is {endpoint:?}, without TLS")
    }));
    for excuse in ["SMTP_PLAINTEXT", "TLS_REQUIRED_IN"] {
        complaints.extend(unless(told[excuse].is_null(), || format!("{excuse} is set")));
    }
    let required_in = system.tls_required_in();
    let refuses = required_in.iter().any(|environment| told["ENVIRONMENT"] == **environment);
    complaints.extend(unless(refuses, || {
        format!("ENVIRONMENT {} is none of [tls] required_in", told["ENVIRONMENT"])
    }));
    let open = objects.of("NetworkPolicy").filter(|policy| {
        let rules = items(&policy["spec"]["egress"]).iter();
        rules.flat_map(|rule| items(&rule["ports"])).any(|port| port["port"] == AMQP)
    });
    complaints.extend(open.map(|policy| format!("{} lets {AMQP} through", name(policy))));
    complaints
}

/// With HS256 whoever reads one pod's memory signs for everybody.
pub(super) fn one_service_alone_can_sign(objects: &Objects, system: &System) -> Vec<String> {
    if objects.overlay == DEVELOPMENT {
        return Vec::new();
    }
    let algorithm = &objects.get("ConfigMap", "environment")["data"]["JWT_ALGORITHM"];
    let is_asymmetric = ["EdDSA", "RS256"].iter().any(|it| *algorithm == **it);
    let mut complaints = Vec::new();
    complaints.extend(unless(is_asymmetric, || format!("tokens are signed with {algorithm}")));
    for service in &system.services {
        let pod = objects.pod(&service.name);
        let names = |name: &str| mentions(&pod["volumes"], name);
        let of = &service.name;
        complaints.extend(unless(!names("jwt-secret"), || format!("{of} mounts jwt-secret")));
        let has = names("signing-keys-secret");
        let signs = *of == ISSUER;
        complaints
            .extend(unless(has == signs, || format!("{of} mounts signing-keys-secret: {has}")));
    }
    complaints
}

/// Whether a text stands anywhere in a value.
fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found == text,
        Value::Array(list) => list.iter().any(|value| mentions(value, text)),
        Value::Object(map) => map.values().any(|value| mentions(value, text)),
        _ => false,
    }
}
