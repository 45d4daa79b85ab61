//! The manifests say what `config/`, docker-compose.yml and the services' sources say.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use super::unless;
use crate::{
    objects::{Objects, items, name, selects},
    system::{self, System},
};

/// A new service is in the cluster with all that the others have.
pub(super) fn each_service_has_one_of_everything(
    objects: &Objects,
    system: &System,
) -> Vec<String> {
    let kinds = ["Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"];
    let mut complaints = Vec::new();
    for service in system.services.iter().map(|service| service.name.as_str()) {
        let wanted = kinds.map(|kind| (kind, service.to_owned()));
        let instances = ("Service", format!("{service}-instances"));
        let config = ("ConfigMap", format!("{service}-config"));
        let missing = wanted.into_iter().chain([instances, config]);
        let missing = missing.filter(|(kind, name)| objects.get(kind, name).is_null());
        complaints.extend(missing.map(|(kind, name)| format!("there is no {kind} {name}")));
    }
    let known: Vec<&str> = system.services.iter().map(|service| service.name.as_str()).collect();
    let others = objects.of("Deployment").map(name).filter(|name| !known.contains(name));
    complaints.extend(others.map(|name| format!("{name} is in services/ no longer")));
    complaints
}

/// 80 leads to where the service listens; its callers go to the instances at the port that they
/// read in services.tsk.
pub(super) fn ports_are_those_of_the_settings(objects: &Objects, system: &System) -> Vec<String> {
    let mut complaints = Vec::new();
    for service in &system.services {
        let name = &service.name;
        let ports = items(&objects.pod(name)["containers"][0]["ports"]);
        let listening = [("http", json!(service.port)), ("management", management_port(objects))];
        let listening =
            listening.map(|(name, port)| json!({ "name": name, "containerPort": port }));
        let is_right = ports.len() == 2 && listening.iter().all(|port| ports.contains(port));
        complaints.extend(unless(is_right, || {
            format!("{name}: listens on {listening:?}, the pod says {ports:?}")
        }));
        let instances = format!("{name}-instances");
        for (entry, port, ip) in
            [(name, 80, Value::Null), (&instances, service.called_port, json!("None"))]
        {
            let spec = &objects.get("Service", entry)["spec"];
            let target = &spec["ports"][0];
            let is_right = target["port"] == port
                && target["targetPort"] == "http"
                && target["name"] == "http"
                && spec["clusterIP"] == ip
                && spec["selector"] == json!({ "app.kubernetes.io/name": name });
            complaints.extend(unless(is_right, || {
                format!("Service {entry} does not lead from {port} to the port http of {name}")
            }));
        }
        // What callers are told is the name of the instances' Service.
        let variable = service.variable("HOST");
        let told = &objects.get("ConfigMap", "environment")["data"][&variable];
        complaints.extend(unless(*told == instances.as_str(), || {
            format!("{variable} is {told}, not {instances}")
        }));
    }
    complaints
}

/// Where operators are answered, as the services are told.
fn management_port(objects: &Objects) -> Value {
    let told = &objects.get("ConfigMap", "environment")["data"]["MANAGEMENT_PORT"];
    told.as_str().and_then(|port| port.parse::<u16>().ok()).map_or(Value::Null, |port| json!(port))
}

/// Strangers come by Services and ingresses: none of these leads to the port for operators, and those
/// who scrape are let in there and nowhere else.
pub(super) fn the_port_for_operators_is_closed_to_strangers(
    objects: &Objects,
    _: &System,
) -> Vec<String> {
    let port = management_port(objects);
    let is_it = |target: &Value| *target == "management" || *target == port;
    let mut complaints = Vec::new();
    for service in objects.of("Service") {
        let ports = items(&service["spec"]["ports"]);
        let leads = ports.iter().any(|entry| is_it(&entry["targetPort"]) || is_it(&entry["port"]));
        complaints.extend(unless(!leads, || {
            format!("Service {} leads to the port for operators", name(service))
        }));
    }
    let monitoring = json!({ "kubernetes.io/metadata.name": "monitoring" });
    for policy in objects.of("NetworkPolicy") {
        for rule in items(&policy["spec"]["ingress"]) {
            let ports = items(&rule["ports"]);
            let is_open = ports.iter().any(|entry| is_it(&entry["port"]));
            let scrapes = |from: &Value| from["namespaceSelector"]["matchLabels"] == monitoring;
            let from = items(&rule["from"]);
            let all_scrape = !from.is_empty() && from.iter().all(scrapes);
            complaints.extend(unless(is_open == from.iter().any(scrapes), || {
                format!("{}: monitoring is let in where it has nothing to ask", name(policy))
            }));
            complaints.extend(unless(!is_open || all_scrape, || {
                format!("{}: others than monitoring may ask what is for operators", name(policy))
            }));
        }
    }
    complaints
}

pub(super) fn settings_are_the_files_that_the_service_reads(
    objects: &Objects,
    system: &System,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for service in &system.services {
        let name = &service.name;
        let config = objects.get("ConfigMap", &format!("{name}-config"));
        let files: BTreeSet<String> = config["data"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(file, _)| file.clone())
            .collect();
        complaints.extend(unless(files == service.files, || {
            format!("{name} reads {:?}, and gets {files:?}", service.files)
        }));
        for file in &files {
            let checked_in = fs::read_to_string(system::root().join("config").join(file)).ok();
            complaints
                .extend(unless(checked_in.as_deref() == config["data"][file].as_str(), || {
                    format!("{name}: {file} is not the one in config/")
                }));
        }
        let mounted = items(&objects.pod(name)["volumes"]);
        let is_ours = |volume: &Value| volume["configMap"]["name"] == config["metadata"]["name"];
        complaints.extend(unless(mounted.iter().any(is_ours), || {
            format!("{name}: its settings are not mounted")
        }));
    }
    complaints
}

pub(super) fn compose_has_the_same_services_and_ports(
    objects: &Objects,
    system: &System,
) -> Vec<String> {
    let compose: Value = serde_saphyr::from_str(&system::text("docker-compose.yml")).unwrap();
    let mut complaints = Vec::new();
    for service in &system.services {
        let composed = &compose["services"][&service.name];
        let ports = items(&objects.pod(&service.name)["containers"][0]["ports"]).iter();
        let port = |name: &str| ports.clone().find(|port| port["name"] == name);
        let [port, management] =
            ["http", "management"].map(|name| port(name).map(|port| &port["containerPort"]));
        let port = port.unwrap_or(&Value::Null);
        let management = management.unwrap_or(&Value::Null);
        // On this machine the second one is wherever there is room: no two services have the same.
        let published = [format!("127.0.0.1:{port}:{port}"), format!("127.0.0.1::{management}")];
        complaints.extend(unless(composed["ports"] == json!(published), || {
            format!("{}: {port} here, {} in docker-compose.yml", service.name, composed["ports"])
        }));
        let told = &composed["environment"]["MANAGEMENT_PORT"];
        let is_told = told.as_str().and_then(|port| port.parse().ok()) == management.as_u64();
        complaints.extend(unless(is_told, || {
            format!("{}: operators are at {management} here, at {told} there", service.name)
        }));
    }
    complaints
}

/// By their pods, which are scraped until they have ended.
pub(super) fn each_service_is_scraped_once(objects: &Objects, system: &System) -> Vec<String> {
    let mut complaints = Vec::new();
    for monitor in objects.of("PodMonitor") {
        let selector = &monitor["spec"]["selector"]["matchLabels"];
        let labels = |it: &Value| it["spec"]["template"]["metadata"]["labels"].clone();
        let selected = objects.of("Deployment").filter(|it| selects(selector, &labels(it)));
        let mut scraped: Vec<&str> = selected.map(name).collect();
        scraped.sort_unstable();
        let services: Vec<&str> = system.services.iter().map(|it| it.name.as_str()).collect();
        complaints.extend(unless(scraped == services, || format!("scraped are {scraped:?}")));
        let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
        let is_right = endpoint["port"] == "management" && endpoint["path"] == "/metrics";
        complaints.extend(unless(is_right, || format!("nothing answers at {endpoint}")));
        complaints.extend(unless(endpoint["honorLabels"] == true, || {
            "the label `service` of our metrics is overwritten".to_owned()
        }));
        let ours = json!({ "targetLabel": "part_of", "replacement": "tusk" });
        complaints.extend(unless(items(&endpoint["relabelings"]).contains(&ours), || {
            "no rule looks at what is scraped: it needs part_of=\"tusk\"".to_owned()
        }));
    }
    let is_missing = objects.overlay != "dev" && objects.of("PodMonitor").count() == 0;
    complaints.extend(unless(!is_missing, || "nothing is scraped".to_owned()));
    complaints
}
