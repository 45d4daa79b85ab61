//! The same sections of services in every format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tusk_config::{HttpRequest, Secret};

/// One section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) weight: f64,
    pub(crate) enabled: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) version: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) cpu: u32,
    pub(crate) memory: String,
}

/// All sections of the kind.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct Services {
    #[serde(rename = "service:*")]
    pub(crate) all: BTreeMap<String, Service>,
}

/// Sections with operators.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct Evaluated {
    #[serde(rename = "service:*")]
    all: BTreeMap<String, EvaluatedService>,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct EvaluatedService {
    host: String,
    port: u16,
    health_check: HttpRequest,
    version: String,
}

/// Settings of the shape that a service of this workspace has: sections of a kind, secrets,
/// durations, and a part that is flattened.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct Settings {
    #[serde(rename = "service:*")]
    services: BTreeMap<String, EvaluatedService>,
    database: Database,
    #[serde(flatten)]
    messaging: Messaging,
    server: Server,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Database {
    url: Secret,
    pool_size: u32,
    pool_timeout: Duration,
    checkout_timeout: Duration,
    reaping_frequency: Duration,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Messaging {
    rabbitmq: Rabbit,
    queues: BTreeMap<String, String>,
    exchanges: BTreeMap<String, String>,
    relay: Relay,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Rabbit {
    host: String,
    port: u16,
    username: String,
    password: Secret,
    vhost: String,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Relay {
    batch_size: u32,
    poll_interval: Duration,
    confirm_timeout: Duration,
    message_bytes_max: usize,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Server {
    host: String,
    port: u16,
    body_limit: usize,
    request_timeout: Duration,
    concurrency_limit: usize,
    grace_period: Duration,
    drain_delay: Duration,
}

pub(crate) fn services(count: usize) -> BTreeMap<String, Service> {
    let service = |index: usize| {
        let service = Service {
            host: format!("host-{index}.example.com"),
            port: u16::try_from(3000 + index % 1000).unwrap(),
            weight: f64::from(u32::try_from(index % 100).unwrap()) + 0.25,
            enabled: index.is_multiple_of(3),
            tags: vec!["internal".to_owned(), format!("zone-{}", index % 7), "v1".to_owned()],
            limits: Limits {
                cpu: u32::try_from(index).unwrap(),
                memory: format!("{}Mi", index % 4096),
            },
            version: format!("1.{index}.0"),
        };
        (format!("service:s{index:05}"), service)
    };
    (0..count).map(service).collect()
}

pub(crate) struct Texts {
    pub(crate) tsk: String,
    pub(crate) json: String,
    pub(crate) toml: String,
    pub(crate) ron: String,
    pub(crate) hcl: String,
}

impl Texts {
    pub(crate) fn of(services: &BTreeMap<String, Service>) -> Self {
        let (mut tsk, mut toml, mut hcl) = (String::new(), String::new(), String::new());
        for (name, service) in services {
            let Service { host, port, weight, enabled, tags, limits, version } = service;
            let Limits { cpu, memory } = limits;
            write!(
                tsk,
                "[{name}]\nhost: \"{host}\"\nport: {port}\nweight: {weight}\nenabled: {enabled}\ntags: {tags:?}\n\
                 limits: {{cpu: {cpu}, memory: \"{memory}\"}}\n# The release that runs.\nversion: \"{version}\"\n\n"
            )
            .unwrap();
            write!(
                toml,
                "[\"{name}\"]\nhost = \"{host}\"\nport = {port}\nweight = {weight}\nenabled = {enabled}\ntags = {tags:?}\n\
                 limits = {{ cpu = {cpu}, memory = \"{memory}\" }}\n# The release that runs.\nversion = \"{version}\"\n\n"
            )
            .unwrap();
            write!(
                hcl,
                "service \"{name}\" {{\n  host = \"{host}\"\n  port = {port}\n  weight = {weight}\n  enabled = {enabled}\n  tags = {tags:?}\n\
                 \x20 limits = {{ cpu = {cpu}, memory = \"{memory}\" }}\n  # The release that runs.\n  version = \"{version}\"\n}}\n\n"
            )
            .unwrap();
        }
        let json = serde_json::to_string_pretty(services).unwrap();
        let ron = ron::ser::to_string_pretty(services, ron::ser::PrettyConfig::default()).unwrap();
        Self { tsk, json, toml, ron, hcl }
    }

    /// Every format holds the same services: nobody is measured on something else.
    pub(crate) fn check(&self, services: &BTreeMap<String, Service>) {
        let typed: Services = crate::read(&self.tsk);
        let typed: Vec<&Service> = typed.all.values().collect();
        assert_eq!(typed, services.values().collect::<Vec<_>>());
        let all = |found: BTreeMap<String, Service>| assert_eq!(&found, services);
        all(serde_json::from_str(&self.json).unwrap());
        all(toml::from_str(&self.toml).unwrap());
        all(toml_edit::de::from_str(&self.toml).unwrap());
        all(ron::from_str(&self.ron).unwrap());
        assert_eq!(hcl::parse(&self.hcl).unwrap().blocks().count(), services.len());
    }
}

/// Sections as they stand in `config/services.tsk`.
pub(crate) fn evaluated(count: usize) -> String {
    let mut text = String::new();
    for index in 0..count {
        write!(
            text,
            "[service:s{index:05}]\nhost: @env(\"S{index}_HOST\", \"localhost\")\nport: @env(\"S{index}_PORT\", {})\n\
             health_check: @http(\"GET\", \"http://#{{host}}:#{{port}}/health\")\nversion: \"${{S{index}_VERSION:-1.0.0}}\"\n\n",
            3000 + index % 1000
        )
        .unwrap();
    }
    text
}
