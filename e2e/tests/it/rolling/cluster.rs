//! Two instances of user-service and of payment-service, and who tells where they are.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::native::{Etcd, ServerOptions};
use testkit::{Environment, ServiceProcess};

use crate::system::{Fixture, System};

/// What `k8s/base` says of how a pod leaves.
pub(super) struct Manifests {
    /// After which the last caller knows that an address is gone.
    pub(super) refresh: Duration,
    /// From then on to SIGTERM.
    pub(super) pre_stop: Duration,
    /// From then on to the kill.
    pub(super) grace_period: Duration,
}

impl Manifests {
    pub(super) fn read() -> Self {
        let pod = &yaml("common/deployment.yaml")["spec"]["template"]["spec"];
        let pre_stop = &pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
        let environment = &yaml("kustomization.yaml")["configMapGenerator"][0]["literals"];
        let mut literals = environment.as_array().unwrap().iter().filter_map(Value::as_str);
        let refresh = literals.find_map(|line| line.strip_prefix("SERVICE_DISCOVERY_REFRESH="));
        let seconds = |value: &Value| Duration::from_secs(value.as_u64().unwrap());
        Self {
            refresh: Duration::from_secs(refresh.unwrap().parse().unwrap()),
            pre_stop: seconds(pre_stop),
            grace_period: seconds(&pod["terminationGracePeriodSeconds"]),
        }
    }
}

fn yaml(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/base").join(file);
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The addresses of the ready instances of one service: callers in this process look here,
/// services in an etcd, which this test alone writes to, as the cluster writes its endpoints.
#[derive(Clone)]
pub(super) struct Endpoints {
    service: &'static str,
    /// The variables of an instance.
    environment: Environment,
    etcd: String,
    ports: Arc<Mutex<Vec<u16>>>,
}

impl Endpoints {
    fn none_of(service: &'static str, environment: Environment, etcd: &Etcd) -> Self {
        Self { service, environment, etcd: etcd.url(), ports: Arc::default() }
    }

    /// A further instance, ready and not told of yet.
    pub(super) async fn another(&self) -> ServiceProcess {
        ServiceProcess::start(self.service, &self.environment).await
    }

    pub(super) async fn add(&self, port: u16) {
        self.ports.lock().unwrap().push(port);
        let value = STANDARD.encode(json!({"host": "127.0.0.1", "port": port}).to_string());
        self.tell("put", json!({"key": self.key(port), "value": value})).await;
    }

    pub(super) async fn remove(&self, port: u16) {
        self.ports.lock().unwrap().retain(|known| *known != port);
        self.tell("deleterange", json!({"key": self.key(port)})).await;
    }

    /// Each in turn.
    pub(super) fn pick(&self, turn: usize) -> u16 {
        let ports = self.ports.lock().unwrap();
        ports[turn % ports.len()]
    }

    fn key(&self, port: u16) -> String {
        STANDARD.encode(format!("/pods/{}/127.0.0.1:{port}", self.service))
    }

    async fn tell(&self, what: &str, body: Value) {
        let request = reqwest::Client::new().post(format!("{}/v3/kv/{what}", self.etcd));
        request.json(&body).send().await.unwrap().error_for_status().unwrap();
    }
}

/// The running system with a second instance of user-service and of payment-service.
pub(super) struct Pairs {
    pub(super) system: System,
    pub(super) second_users: ServiceProcess,
    pub(super) second_payments: ServiceProcess,
    pub(super) users: Endpoints,
    pub(super) payments: Endpoints,
    /// Of a user who pays.
    pub(super) token: String,
    _etcd: Etcd,
}

impl Pairs {
    pub(super) async fn start() -> Self {
        let etcd = Etcd::start(&ServerOptions::temporary().unwrap()).unwrap();
        let fixture = Fixture::set_up().await;
        let through_etcd = Environment::from(
            [
                ("SERVICE_DISCOVERY_TYPE", "etcd".to_owned()),
                ("ETCD_ENDPOINTS", etcd.url()),
                // Where services would register themselves, nobody looks.
                ("ETCD_PREFIX", "/pods".to_owned()),
                // An address at which nobody listens: only etcd tells where they are.
                ("USER_SERVICE_PORT", "1".to_owned()),
                // A machine that is busy with other tests is slow; that is no reason to call again.
                ("CLIENT_ATTEMPT_TIMEOUT", "10s".to_owned()),
                // Why an attempt failed, for the case that one does.
                ("LOG_FILTER", "info,service_client=debug".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let mut payments = fixture.environment(1);
        payments.extend(through_etcd.clone());
        let payments = Endpoints::none_of("payment-service", payments, &etcd);
        let users = Endpoints::none_of("user-service", fixture.environment(0), &etcd);
        let (second_users, second_payments, system) = tokio::join!(
            users.another(),
            payments.another(),
            fixture.start_with(users.environment.clone(), async |_| through_etcd),
        );
        for port in [system.users.port(), second_users.port()] {
            users.add(port).await;
        }
        for port in [system.payments.port(), second_payments.port()] {
            payments.add(port).await;
        }
        let token = system.new_user().await.token;
        Self { system, second_users, second_payments, users, payments, token, _etcd: etcd }
    }
}
